"""Tests of the tests: bugs that would break a promise are put into the shipping code, and the judge must find each.

Every bug is seeded by monkeypatching, never by a switch in the code, and judged twice over one short history that is
made for it: without the bug the history must pass, with it the same judge must complain. Those that no history can
avoid for long are also put before the random ones.
"""

from collections.abc import Callable

import pytest

from authagent.core import commands as do
from authagent.core.acknowledgements import Ledger
from authagent.core.commands import Command
from authagent.core.duty import Duty
from authagent.core.election import Election, Verdict
from protocol.page import Page, Row
from protocol.records import Merged, Records
from protocol.session import State
from protocol.stamp import Now
from tests.laws.pair_history import Broken, PairHistory, play
from tests.scenarios.agents import DIGEST_KEY

Patch = pytest.MonkeyPatch
RANDOM_SEEDS = 40

# -- the bugs ----------------------------------------------------------------------------------------------------------


def wrong_merge(monkeypatch: Patch) -> None:
    """The last copy that arrives wins, instead of the greater state."""
    right = Page.join

    def join(page: Page, place: int, row: Row, state: int, active_at: int) -> bool:
        before = page.states[place]
        changed = right(page, place, row, state, active_at)
        page.states[place] = state
        return changed or state != before

    monkeypatch.setattr(Page, "join", join)


def dropped_tombstone(monkeypatch: Patch) -> None:
    """An end removes its record, instead of leaving a tombstone."""
    right = Records.end

    def end(records: Records, page: Page, place: int, state: int, merged: Merged) -> None:
        alive = page.states[place] == State.ALIVE
        right(records, page, place, state, merged)
        if alive:
            page.states[place] = State.ABSENT
            records.count -= 1
            records.ended -= 1

    monkeypatch.setattr(Records, "end", end)


def acknowledged_before_replication(monkeypatch: Patch) -> None:
    """Level site is told as soon as a report is in memory."""

    def settle(ledger: Ledger, stored: int, slave_stored: int | None) -> None:
        ledger.site = ledger.master

    monkeypatch.setattr(Ledger, "settle", settle)


def acknowledged_before_the_slave(monkeypatch: Patch) -> None:
    """Level site names the slave, and does not wait for it."""
    right = Ledger.settle
    monkeypatch.setattr(Ledger, "settle", lambda ledger, stored, slave_stored: right(ledger, stored, None))


def discard_on_demotion(monkeypatch: Patch) -> None:
    """A master that meets a greater one drops what it has and follows, instead of giving it first."""
    right = Duty._act

    def act(duty: Duty, verdict: Verdict, now: Now) -> list[Command]:
        if verdict is not Verdict.YIELD or duty.peers.partner is None:
            return right(duty, verdict, now)
        duty.table.__init__(digest_key=DIGEST_KEY)  # type: ignore[misc]
        return duty._follow(duty.peers.partner, now)

    monkeypatch.setattr(Duty, "_act", act)


def stale_term(monkeypatch: Patch) -> None:
    """An agent that starts does not heed the term on its disk."""
    right = Election.started
    monkeypatch.setattr(Election, "started", lambda election, term, now_s: right(election, 0, now_s))


def term_not_kept(monkeypatch: Patch) -> None:
    """A promotion is announced before its term is on disk."""
    right = Duty._promote

    def promote(duty: Duty, now: Now) -> list[Command]:
        return [command for command in right(duty, now) if not isinstance(command, do.PersistTerm)]

    monkeypatch.setattr(Duty, "_promote", promote)


def stale_term_of_the_partner(monkeypatch: Patch) -> None:
    """What the partner's heartbeats say of its term is not taken in, so that of two masters neither yields."""
    right = Election.partner_heard
    monkeypatch.setattr(Election, "partner_heard", lambda election, role, term: right(election, role, 0))


# -- histories made for them -------------------------------------------------------------------------------------------


def _started() -> PairHistory:
    """Agent 1 is master, agent 2 its slave, three proxies are served."""
    history = PairHistory(1, random_clocks=False)
    one, two = history.agents
    one.start()
    history.world.run(3.0)
    for process in (two, *history.proxies):
        process.start()
    history.world.run_until(history.judge.settled, 5.0)
    return history


def login_sent_again_after_its_logout() -> None:
    """A login that is not acknowledged yet is sent again after another proxy has ended it; then its proxy dies."""
    history = _started()
    one, _ = history.agents
    here, other, _ = history.proxies
    one.store_works = False
    history.judge.login(here, "10.0.0.1", "alice")
    history.world.run(0.1)
    history.judge.logout(other, "10.0.0.1", None)
    history.world.run(0.1)
    history.world.reset(here.name, one.name)
    history.world.run_until(lambda: here.client.isolated, 1.0, 0.0002)
    history.world.run_until(lambda: here.client.conversation is not None and not here.client.isolated, 1.0, 0.0002)
    here.kill()
    history.judge.died(here)
    history.world.run(1.0)
    history.finish()


def logout_while_a_proxy_is_away() -> None:
    """One proxy does not hear of a logout; when it is back, under another master, it offers the login again."""
    history = _started()
    here, away, _ = history.proxies
    history.judge.login(here, "10.0.0.1", "alice")
    history.world.run(0.5)
    for agent in history.agents:
        history.world.cut(away.name, agent.name)
    history.judge.logout(here, "10.0.0.1", None)
    history.world.run(0.5)
    history.agents[0].kill()
    history.world.run(1.0)
    history.finish()


def master_lost_before_its_slave_heard() -> None:
    """The way to the slave is slow; then the master is lost with its disk, and the proxy too."""
    history = _started()
    proxy = history.proxies[0]
    for agent in history.agents:
        history.world.cut("p2", agent.name)
        history.world.cut("p3", agent.name)
    history.world.silence("a1", "a2")
    history.judge.login(proxy, "10.0.0.1", "alice")
    history.world.run(0.1)
    history.agents[0].kill(power=True)
    history.agents[0].lose_disk()
    proxy.kill()
    history.judge.died(proxy)
    history.world.run(1.0)
    history.finish()


def master_lost_before_its_store_wrote() -> None:
    """Master, slave and proxy lose their power a moment after an acknowledgement; every disk survives."""
    history = _started()
    proxy = history.proxies[0]
    for agent in history.agents:
        agent.store_works = False
        history.world.cut("p2", agent.name)
        history.world.cut("p3", agent.name)
    history.judge.login(proxy, "10.0.0.1", "alice")
    history.world.run(0.1)
    for agent in history.agents:
        agent.kill(power=True)
    proxy.kill(power=True)
    history.judge.died(proxy)
    history.world.run(0.1)
    history.finish()


def split_with_a_login_on_the_losing_side() -> None:
    """In a split somebody logs in at the master that will yield, which acknowledges it; then that proxy dies."""
    history = _started()
    proxy = history.proxies[0]
    history.world.silence("a1", "a2")
    for name in ("p2", "p3"):
        history.world.cut(name, "a1")
        history.world.cut(name, "a2")
    history.world.run(3.0)
    history.agents[1].kill()  # so that it has no cursor by which it would ask for what it missed
    history.agents[1].start()
    history.world.run(4.0)
    history.judge.login(proxy, "10.0.0.1", "alice")
    history.world.run(0.5)
    proxy.kill()
    history.judge.died(proxy)
    history.world.run(0.1)
    history.finish()


def master_started_anew() -> None:
    """A master is killed and serves again, with its partner down all the time."""
    history = _started()
    one, two = history.agents
    two.kill()
    one.kill()
    history.world.run(0.1)
    one.start()
    history.world.run(4.0)
    history.finish()


def split_that_heals() -> None:
    """Both serve, with terms that differ; the way heals."""
    history = _started()
    history.world.silence("a1", "a2")
    history.world.run(3.0)
    history.finish()


BUGS: list[tuple[Callable[[Patch], None], Callable[[], None], str]] = [
    (wrong_merge, login_sent_again_after_its_logout, "was ended and is alive"),
    (dropped_tombstone, logout_while_a_proxy_is_away, "was ended and is alive"),
    (acknowledged_before_replication, master_lost_before_its_store_wrote, "is lost"),
    (acknowledged_before_the_slave, master_lost_before_its_slave_heard, "is lost"),
    (discard_on_demotion, split_with_a_login_on_the_losing_side, "is lost"),
    (stale_term, master_started_anew, "became master of term 1 again"),
    (stale_term_of_the_partner, split_that_heals, "not so within"),
    (term_not_kept, split_that_heals, "a term is written before anybody hears of it"),
]


@pytest.mark.parametrize(("bug", "history", "complaint"), BUGS, ids=[bug.__name__ for bug, _, _ in BUGS])
def test_the_judge_finds_the_bug(
    bug: Callable[[Patch], None], history: Callable[[], None], complaint: str, monkeypatch: Patch
) -> None:
    """The history passes as the code is, and fails with the bug in it."""
    history()
    with monkeypatch.context() as patch:
        bug(patch)
        with pytest.raises(AssertionError, match=complaint):
            history()
    history()


@pytest.mark.parametrize("bug", [dropped_tombstone, acknowledged_before_replication, stale_term])
def test_random_histories_find_the_bug(bug: Callable[[Patch], None], monkeypatch: Patch) -> None:
    """Of few random histories, which all pass as the code is, one fails with the bug in it."""
    bug(monkeypatch)
    assert any(_fails(seed) for seed in range(RANDOM_SEEDS))


def _fails(seed: int) -> bool:
    try:
        play(seed)
    except Broken:
        return True
    return False
