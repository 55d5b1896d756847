"""Handing over: what a master does before another one serves, and when it changes its mind."""

from authagent.core import commands as do
from authagent.core import events as on
from authagent.core.commands import Command
from authagent.core.settings import Settings
from protocol.errors import Code
from protocol.messages import Acknowledgement, Follow, Heartbeat, Report, Role, Stored
from tests.authagent.core.machine import (
    NOW_MS,
    PARTNER_LINK,
    Machine,
    heartbeat,
    logged,
    make_master,
    make_slave,
    of,
    opened,
    payload,
    sent,
    updates,
)


def _master(stored: int = 0) -> Machine:
    """A master with a proxy on link 1 that has reported one login, and a slave that has stored so much of it."""
    machine = make_master()
    machine.hear(PARTNER_LINK, Follow(0, 0), Stored(_log_id(machine), 0))
    machine.step(opened(1))
    machine.hear(1, heartbeat(), Follow(0, 0), Report(1, payload("10.0.0.1")))
    if stored:
        machine.hear(PARTNER_LINK, Stored(_log_id(machine), stored))
    return machine


def _log_id(machine: Machine) -> int:
    return machine.agent.replication.log.log_id


def _said(commands: list[Command]) -> list[Role]:
    """What the partner is told."""
    return [Role(word.role) for word in sent(commands, Heartbeat, PARTNER_LINK)]


def _answers(commands: list[Command]) -> list[tuple[int, str, bool]]:
    return [(each.request, each.error, each.unfinished) for each in commands if isinstance(each, do.Answer)]


def _partner_serves(machine: Machine) -> list[Command]:
    return machine.hear(PARTNER_LINK, heartbeat(Role.MASTER, machine.at_s, term=2, log_id=77, cluster_ms=NOW_MS))


def test_mastership_is_offered_once_the_slave_has_everything() -> None:
    """Not before; and behind everything that was taken in meanwhile."""
    machine = _master()
    assert Role.STARTING not in _said(machine.step(on.SwitchAsked(1)))
    assert updates(machine.hear(1, Report(2, payload("10.0.0.2", first=1))), PARTNER_LINK)
    commands = machine.hear(PARTNER_LINK, Stored(_log_id(machine), 1))

    assert _said(commands) == [Role.STARTING]
    assert machine.role == Role.MASTER


def test_the_old_master_follows_and_answers_when_the_slave_serves() -> None:
    """Its proxies are sent over, and what its partner had stored counts no more."""
    machine = _master(stored=1)
    assert _said(machine.step(on.SwitchAsked(1))) == [Role.STARTING]
    commands = _partner_serves(machine)

    assert _answers(commands) == [(1, "", False)]
    assert sent(commands, Follow, PARTNER_LINK)
    assert [(each.link, each.code) for each in commands if isinstance(each, do.Close)] == [(1, Code.NOT_MASTER)]
    assert machine.role == Role.SLAVE and machine.agent.election.term == 2
    assert machine.agent.peers.partner is not None and machine.agent.peers.partner.stored is None
    assert not machine.agent.duty.handover.holds_back and not machine.agent.election.offering


def test_nothing_is_acknowledged_or_logged_out_during_a_switch() -> None:
    """The next master does both."""
    machine = _master()
    machine.step(on.SwitchAsked(1))
    assert not sent(machine.hear(1, Report(2, payload("10.0.0.2", first=1))), Acknowledgement, 1)
    ((_, error, _),) = _answers(machine.step(on.LogoutAsked(2, key="10.0.0.1")))

    assert "not master" in error
    assert machine.table.alive == 2


def test_a_slave_that_cannot_store_is_waited_for_a_moment() -> None:
    """Then the switch is given up, and acknowledgements go on."""
    machine = _master()
    machine.step(on.SwitchAsked(1))
    deadline_s = machine.agent.deadline
    assert deadline_s is not None and deadline_s <= 100.0 + machine.at_s + 0.15
    commands = machine.wait(0.2)

    ((request, error, unfinished),) = _answers(commands)
    assert (request, unfinished) == (1, True) and "agent 2 has not stored everything within 150 ms" in error
    assert "switch.given_up" in logged(commands)
    assert machine.agent.duty.may_acknowledge and machine.agent.duty.handover.deadline is None


def test_an_offer_that_is_not_taken_is_withdrawn() -> None:
    """The word MASTER takes it back; log, followers and term are the same."""
    machine = _master(stored=1)
    before = (machine.agent.election.term, _log_id(machine))
    machine.step(on.SwitchAsked(1))
    commands = machine.wait(0.2)

    assert Role.MASTER in _said(commands)
    assert _answers(commands)[0][2]
    assert (machine.agent.election.term, _log_id(machine)) == before
    assert updates(machine.hear(1, Report(2, payload("10.0.0.2", first=1))), PARTNER_LINK)


def test_a_slave_that_is_lost_ends_a_switch_at_once() -> None:
    """Before and after the offer."""
    for stored in (0, 1):
        machine = _master(stored)
        machine.step(on.SwitchAsked(1))
        commands = machine.step(on.LinkClosed(PARTNER_LINK, None, "gone", True))

        ((_, error, unfinished),) = _answers(commands)
        assert unfinished and "lost in the middle" in error
        assert machine.role == Role.MASTER and machine.agent.duty.may_acknowledge
        assert not machine.agent.election.offering


def test_a_partner_that_took_a_withdrawn_offer_is_yielded_to() -> None:
    """Two masters on one link: each asks for the other's changes, and the lower term compares."""
    machine = _master(stored=1)
    machine.step(on.SwitchAsked(1))
    machine.wait(0.2)
    commands = _partner_serves(machine)

    assert machine.role == Role.MASTER and machine.agent.election.split
    assert sent(commands, Follow, PARTNER_LINK)


def test_who_slept_in_the_middle_is_not_sure_and_gives_up() -> None:
    """The slave may have been promoted meanwhile."""
    machine = _master()
    machine.step(on.SwitchAsked(1))
    machine.at_s += 3
    ((_, error, _),) = _answers(machine.step(on.DeadlinePassed()))

    assert "stood still" in error
    assert not machine.agent.duty.may_acknowledge


def test_who_slept_while_it_offered_says_nothing_as_a_sure_master() -> None:
    """The offer is taken back at once; that it is master again is said only as far as it knows."""
    machine = _master(stored=1)
    assert _said(machine.step(on.SwitchAsked(7))) == [Role.STARTING]
    machine.at_s += 3
    words = sent(machine.step(on.DeadlinePassed()), Heartbeat, PARTNER_LINK)

    assert {Role(word.role) for word in words} == {Role.MASTER}
    assert all(word.unsure for word in words)


def test_who_asks_again_meanwhile_gets_the_same_answer() -> None:
    """One switch, two answers."""
    machine = _master(stored=1)
    machine.step(on.SwitchAsked(1))
    assert machine.step(on.SwitchAsked(2)) == []

    assert _answers(_partner_serves(machine)) == [(1, "", False), (2, "", False)]


def test_a_switch_is_refused_with_the_reason() -> None:
    """No other agent, no slave, one that has not everything, no mastership, doubt."""
    alone = make_master(partner=False)
    lost = make_master()
    lost.step(on.LinkClosed(PARTNER_LINK, None, "gone", True))
    unsure = _master(stored=1)
    unsure.at_s += 3
    unsure.step(on.DeadlinePassed())
    stopping = _master()
    stopping.step(on.StopAsked())
    for machine, reason in (
        (alone, "this site has one"),
        (lost, "agent 2 is not linked"),
        (make_master(), "agent 2 has not everything yet"),
        (make_slave(), "not master"),
        (Machine(Settings(site="lan1", id=2, partner=1)), "not master"),
        (unsure, "not sure"),
        (stopping, "stopping"),
    ):
        ((_, error, unfinished),) = _answers(machine.step(on.SwitchAsked(7)))
        assert reason in error and not unfinished
        assert not machine.agent.election.offering


def test_a_refusal_of_the_partner_is_part_of_the_reason() -> None:
    """Wrong secrets keep a pair from being one."""
    machine = make_master()
    machine.step(on.LinkClosed(PARTNER_LINK, Code.UNAUTHORIZED, "no", False))
    ((_, error, _),) = _answers(machine.step(on.SwitchAsked(7)))

    assert "wrong secret" in error


def test_a_stop_ends_a_switch() -> None:
    """The farewell promotes the slave, which needs everything as before."""
    machine = _master()
    machine.step(on.SwitchAsked(1))
    commands = machine.step(on.StopAsked())
    assert _answers(commands)[0][2] and not of(commands, do.Exit)

    commands = machine.hear(PARTNER_LINK, Stored(_log_id(machine), 1))
    assert of(commands, do.Exit)


def test_a_stop_under_load_waits_for_what_was_acknowledged_only() -> None:
    """Reports go on coming in; the slave need not have them on its disk."""
    machine = _master()
    machine.step(on.StopAsked())
    machine.hear(1, Report(2, payload("10.0.0.2", first=1)))

    assert of(machine.hear(PARTNER_LINK, Stored(_log_id(machine), 1)), do.Exit)
