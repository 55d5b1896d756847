"""The concurrency proof: whatever is killed and cut, nobody is granted an item that somebody else was granted.

A hundred and more histories, ten rounds each; what a round is stands in contests.py. A failure names its seed.
"""

import random
from collections.abc import Iterable

import pytest

from authagent.core.redemptions import Redemptions
from protocol.item import SINGLE_USE
from protocol.item_acts import Redeemed, Step
from tests.scenarios.agents import pair
from tests.scenarios.contests import CUTTING, KILLING, History
from tests.scenarios.proxies import ProxyProcess
from tests.scenarios.world import EPOCH_MS, World

ROUNDS = 10


def faults_of(seed: int, among: tuple[str, ...]) -> tuple[str, ...]:
    """Which faults happen in a history: none, one, or several at once."""
    dice = random.Random(seed)
    return tuple(dice.sample(among, dice.choice((0, 1, 1, 2, 3))))


def play(seed: int, among: tuple[str, ...] = (*KILLING, *CUTTING), *, strict: bool = True) -> None:
    History(seed, rounds=ROUNDS, strict=strict, faults=faults_of(seed, among)).play()


def play_all(seeds: Iterable[int]) -> None:
    for seed in seeds:
        play(seed)


@pytest.mark.slow
@pytest.mark.parametrize("block", range(8))
def test_never_two_whatever_is_cut_and_killed(block: int) -> None:
    """800 rounds with four clients at five nodes: never two are granted it, and one if nothing was cut."""
    play_all(range(block * 10, block * 10 + 10))


@pytest.mark.slow
@pytest.mark.parametrize("block", range(4))
def test_exactly_one_when_agents_die_and_nothing_is_cut(block: int) -> None:
    """400 rounds in which masters and slaves are killed, powered off and stopped: exactly one is granted it."""
    for seed in range(1_000 + block * 10, 1_000 + block * 10 + 10):
        play(seed, KILLING)


@pytest.mark.slow
def test_what_is_not_strict_stays_available() -> None:
    """100 rounds in splits: whoever asks is answered on every side, and with nothing cut there is exactly one."""
    for seed in range(2_000, 2_010):
        play(seed, strict=False)


@pytest.mark.slow
@pytest.mark.parametrize("bug", ["no witnesses", "no slave", "no claims", "a claim is enough"])
def test_the_proof_can_fail(bug: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With any one part of the rule left out, some history has two who were granted the same item, or none."""
    if bug == "no witnesses":
        monkeypatch.setattr(Redemptions, "_most_witnesses", lambda self, item, sequence: True)
    elif bug == "no slave":
        monkeypatch.setattr(Redemptions, "_is_held", lambda self, item, question: self._is_own(question))
    elif bug == "no claims":
        monkeypatch.setattr("protocol.item_acts.redeem", _forgets_claims)
    else:
        monkeypatch.setattr(Redemptions, "_is_held", lambda self, item, question: True)

    with pytest.raises(AssertionError, match="granted"):
        play_all(range(400))


def _forgets_claims(table, wanted, *, node, now_ms):  # type: ignore[no-untyped-def]
    """As item_acts.redeem, for a node that grants at once and notes nothing."""
    item = table.items.get(wanted.kind, wanted.item)
    return Redeemed(Step.REFUSED) if item is None else Redeemed(Step.GRANTED, item)


def test_an_item_made_before_any_agent_was_found_has_its_times_put_right() -> None:
    """Made by a proxy whose clock is 90 s ahead, it is the same item everywhere, made when it was made."""
    world = World(1)
    one, two = pair(world)
    proxy = ProxyProcess(world, "p1", (one, two), wall_ahead_ms=90_000)
    proxy.start()
    world.run(1)
    items = proxy.client.service.items
    items.make_here(items.new_item("image", "alice", "early", b"", 120.0, SINGLE_USE, None, proxy.now()), proxy.now())
    proxy.changed()
    one.start()
    two.start()
    world.run(6)

    made = [process.table.items.get("image", "early") for process in (one, two, proxy)]
    assert [item.made_at - EPOCH_MS for item in made if item is not None] == [1_000] * 3
    assert one.root == two.root == proxy.root
