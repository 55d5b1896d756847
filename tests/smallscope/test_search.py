"""Every order of what may happen in the smallest world, a few moves far: no promise is broken (DESIGN section 9)."""

import functools

import pytest

from authagent.core.acknowledgements import Ledger as Acknowledged
from authagent.core.commands import Command
from authagent.core.duty import Duty
from authagent.core.election import Election
from authagent.core.peer import Peer
from protocol.stamp import Now
from tests.smallscope.freezing import thaw
from tests.smallscope.processes import DIGEST_KEY
from tests.smallscope.search import Counterexample, Found, beginnings, flow, judge, search
from tests.smallscope.world import World

DEPTH = 3
JUDGED_OF = 32

STATES_MIN = {
    "a pair that serves": 1_000,
    "a login under way": 1_600,
    "two masters": 350,
    "two masters that meet": 300,
}
"""By beginning: what the search must go through at least, or something has become impossible that was not."""


@functools.cache
def _beginnings() -> dict[str, World]:
    return dict(beginnings())


@pytest.mark.slow
@pytest.mark.parametrize("name", STATES_MIN)
def test_no_order_of_moves_breaks_a_promise(name: str) -> None:
    """Nothing acknowledged is lost, nobody ended comes back, and after healing there is one master and one table."""
    found = search(name, _beginnings()[name], DEPTH, JUDGED_OF)
    assert found.states >= STATES_MIN[name] and found.judged > 0


def test_a_search_goes_the_same_way_twice() -> None:
    """The same states are found again, from machines made anew (promise 11)."""
    first, second = (search("two masters", dict(beginnings())["two masters"], 2, 16) for _ in range(2))
    assert isinstance(first, Found) and first == second


def test_a_beginning_settles() -> None:
    """Where a search begins nothing is broken yet: left alone, each beginning ends with one master and one table."""
    for world in _beginnings().values():
        judge(world)


# -- tests of the test: mistakes in the machines that it must find ---------------------------------------------------


def test_masters_that_never_yield_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two masters for ever after healing."""
    world = _beginnings()["two masters"]
    monkeypatch.setattr(Election, "loses", property(lambda election: False))
    with pytest.raises(Counterexample, match=r"not settled within"):
        search("two masters", world, 1)


def test_discarding_on_demotion_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A master that yields begins anew with an empty table, instead of keeping what it gave."""
    right = Duty._demote

    def demote(duty: Duty, partner: Peer, now: Now) -> list[Command]:
        duty.table.__init__(digest_key=DIGEST_KEY)  # type: ignore[misc]
        return right(duty, partner, now)

    world = _beginnings()["two masters that meet"]
    monkeypatch.setattr(Duty, "_demote", demote)
    with pytest.raises(Counterexample, match=r"had .* as ALIVE, and has it as None"):
        search("two masters that meet", world, 1)


def test_an_acknowledgement_before_its_store_wrote_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Level site is told at once; then agent and proxy are killed, and the login is nowhere."""

    def settle(ledger: Acknowledged, stored: int, slave_stored: int | None) -> None:
        ledger.site = ledger.master

    monkeypatch.setattr(Acknowledged, "settle", settle)
    world = _beginnings()["a pair that serves"]
    world = world.move(("kill", "a2")).move(("kill", "p2")).move(("login", "p1"))
    world = flow(world, lambda world: not thaw(world.frozen["p1"]).outbox.events, 1_000).copy()
    assert world.unsynced["a1"], "acknowledged, and not written yet"
    world.faults_left, world.logins_left = 2, 0
    with pytest.raises(Counterexample, match="is lost"):
        search("a pair that serves", world, 2)
