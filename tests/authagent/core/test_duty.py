"""Duty: what follows from a role, in which order, and what is said to whom."""

import attrs
import pytest

from authagent.core import commands as do
from authagent.core import events as on
from authagent.core.commands import Command
from authagent.core.settings import Settings
from protocol import codec
from protocol.errors import Code
from protocol.messages import (
    Acknowledgement,
    Bulk,
    Compare,
    Compared,
    Follow,
    Following,
    Heartbeat,
    Report,
    Role,
    Stored,
    Update,
)
from protocol.session import LoginId
from tests.authagent.core.machine import (
    NOW_MS,
    ORIGIN,
    PAIRED,
    PARTNER_LINK,
    SECRET_ID,
    Machine,
    heartbeat,
    logged,
    logins,
    make_master,
    make_slave,
    now,
    of,
    opened,
    payload,
    sent,
    updates,
)

HIGHER = Settings(site="lan1", id=2, partner=1)
HASH = b"12345678"


def _closes(commands: list[Command]) -> list[tuple[int, Code, str]]:
    return [(each.link, each.code, each.elsewhere) for each in commands if isinstance(each, do.Close)]


def _partner_leaves(machine: Machine, code: Code | None = None, proven_dead: bool = True) -> list[Command]:
    return machine.step(on.LinkClosed(PARTNER_LINK, code, "gone", proven_dead))


def _with_proxy(machine: Machine, link: int = 1) -> list[Command]:
    machine.step(opened(link, f"p{link}"))
    return machine.hear(link, heartbeat(at_s=machine.at_s), Follow(0, 0))


def _equal_compare(machine: Machine, commands: list[Command]) -> list[Command]:
    """Answer the comparison that was opened as a partner with the same table does."""
    (compare,) = sent(commands, Compare, PARTNER_LINK)
    assert isinstance(compare, Compare)
    answer = attrs.evolve(compare, since_ms=0)
    return machine.hear(PARTNER_LINK, answer, Compared(compare.comparison, 0))


# -- becoming ----------------------------------------------------------------------------------------------------------


def test_a_term_is_written_before_anybody_hears_of_it() -> None:
    """Of a promotion's commands the first persists the term, and heartbeats come last."""
    machine = Machine()
    machine.step(opened(PARTNER_LINK, "2", "agent"))
    commands = machine.hear(PARTNER_LINK, heartbeat(Role.STARTING, term=6))

    kinds = [type(command) for command in commands if not isinstance(command, do.Log)]
    assert kinds[:3] == [do.PersistTerm, do.PersistTerm, do.AnnounceRole]
    assert [command.term for command in commands if isinstance(command, do.PersistTerm)] == [6, 7]
    assert kinds[-1] is do.Send


def test_a_term_heard_of_is_kept() -> None:
    """A follower writes its master's term, once, so that a later start is greater than it."""
    machine = make_slave()
    assert [command.term for command in machine.said if isinstance(command, do.PersistTerm)] == [5]

    machine.hear(PARTNER_LINK, heartbeat(Role.MASTER, term=5, log_id=77, cluster_ms=NOW_MS))
    assert len(of(machine.said, do.PersistTerm)) == 1


def test_a_slave_follows_redirects_and_compares() -> None:
    """It asks for what follows its cursor, sends its proxies to the master, and compares even a valid cursor."""
    machine = Machine(HIGHER)
    machine.step(opened(1))
    machine.step(opened(PARTNER_LINK, "1", "agent"))
    commands = machine.hear(PARTNER_LINK, heartbeat(Role.MASTER, term=5, log_id=77, cluster_ms=NOW_MS))

    assert sent(commands, Follow, PARTNER_LINK) == [Follow(0, 0)]
    assert _closes(commands) == [(1, Code.NOT_MASTER, "1")]
    assert sent(machine.hear(PARTNER_LINK, Following(77, 0, True)), Compare, PARTNER_LINK)


@pytest.mark.parametrize("at_ms", [NOW_MS + 30_000, NOW_MS - 10 * 86_400_000])
def test_a_slave_that_has_not_measured_its_masters_time_refuses_nothing(at_ms: int) -> None:
    """It started with a wrong clock: its word that it has stored something counts, so it must have it."""
    changes = codec.encode_changes(logins("10.0.0.1", at_ms=at_ms))
    for message in (Update(1, "lan1", changes), Bulk(1, changes)):
        machine = make_slave()
        machine.hear(PARTNER_LINK, message)
        assert machine.table.records == 1
    machine.hear(PARTNER_LINK, heartbeat(Role.MASTER, echo_ms=now().boot_ms, cluster_ms=NOW_MS))
    machine.wait(0.2)
    machine.hear(PARTNER_LINK, Update(2, "lan1", codec.encode_changes(logins("10.0.0.2", first=1, at_ms=at_ms))))
    assert machine.table.record(LoginId(*ORIGIN, 1)) is None


def test_the_time_of_the_site_is_on_disk_for_whoever_comes_after_a_crash() -> None:
    """Once a proxy follows, and no sooner; again when it has moved; and no more once somebody has stopped the agent."""
    machine = make_master(partner=False)
    machine.wait(1)
    assert not of(machine.said, do.PersistClock)
    machine.step(opened(1))
    machine.hear(1, Follow(0, 0))
    machine.wait_hearing(1, 1)
    assert of(machine.said, do.PersistClock) == [do.PersistClock(NOW_MS - now().boot_ms)]
    stopping = machine.step(on.StopAsked())
    assert stopping[-2:] == [do.PersistClock(None), do.Exit()]


def test_the_word_at_a_door_decides_nothing() -> None:
    """A partner that has let nobody in yet says STARTING and unsure: neither a role nor an alarm follows."""
    machine = Machine()
    machine.step(opened(PARTNER_LINK, "2", "agent"))
    commands = machine.hear(PARTNER_LINK, heartbeat(Role.STARTING, unsure=True, term=4))

    assert machine.role == Role.STARTING and not of(commands, do.AnnounceRole)


def test_another_file_is_told() -> None:
    """A peer with another configuration is a warning, and is served."""
    commands = make_master(partner=False).step(opened(1, configuration_equal=False))

    assert "peer.configuration" in logged(commands)
    assert sent(commands, Heartbeat, 1)


# -- serving -----------------------------------------------------------------------------------------------------------


def test_a_follower_is_replayed_or_told_to_compare() -> None:
    """A cursor in the log is served from it; any other starts at the end of the log."""
    machine = make_master(partner=False)
    _with_proxy(machine)
    machine.hear(1, Report(1, payload("10.0.0.1")), Report(2, payload("10.0.0.2", first=1)))
    log_id = machine.agent.replication.log.log_id
    for link, follow, following, replayed in (
        (2, Follow(log_id, 1), Following(log_id, 1, True), [2]),
        (3, Follow(log_id, 2), Following(log_id, 2, True), []),
        (4, Follow(0, 0), Following(log_id, 2, False), []),
        (5, Follow(log_id + 1, 1), Following(log_id, 2, False), []),
    ):
        machine.step(opened(link, f"p{link}"))
        commands = machine.hear(link, follow)
        assert sent(commands, Following, link) == [following]
        assert [update.sequence for update in updates(commands, link)] == replayed


def test_only_a_master_is_followed() -> None:
    """A starting agent lets whoever asks too early wait; a slave names the master."""
    starting = Machine()
    starting.step(opened(1))
    assert starting.hear(1, Follow(0, 0)) == []

    slave = make_slave()
    slave.wait(0.7)
    slave.step(opened(1))
    assert _closes(slave.hear(1, Follow(0, 0))) == [(1, Code.NOT_MASTER, "2")]


def test_a_proxy_waits_at_a_slave_whose_master_is_silent() -> None:
    """Sent on it would dial a dead host; it is sent on as soon as the master speaks."""
    machine = make_slave()
    assert _closes(machine.step(opened(1))) == [(1, Code.NOT_MASTER, "2")]

    machine.wait(0.6)
    commands = machine.step(opened(2, "p2"))
    assert _closes(commands) == [] and sent(commands, Heartbeat, 2)
    commands = machine.hear(PARTNER_LINK, heartbeat(Role.MASTER, machine.at_s, term=5, log_id=77))
    assert _closes(commands) == [(2, Code.NOT_MASTER, "2")]


# -- losing the partner ------------------------------------------------------------------------------------------------


def test_a_slave_serves_after_three_refused_attempts() -> None:
    """Its proxies hear of it at once, and changes are acknowledged."""
    machine = make_slave()
    assert of(_partner_leaves(machine), do.Dial)
    assert machine.role == Role.STARTING
    machine.step(opened(1))
    for _ in range(3):
        machine.step(on.DialFailed(None, "refused", True))
        machine.wait(0.15)

    assert machine.role == Role.MASTER and machine.agent.election.term == 6
    assert machine.at_s <= 0.5
    assert machine.agent.duty.may_acknowledge


def test_who_waits_at_its_door_is_heard_before_it_tells_a_time_of_its_own() -> None:
    """The time that a proxy has kept is in the first word of the new master."""
    machine = Machine()
    kept_ms = NOW_MS - 86_400_000
    machine.step(opened(1))
    machine.hear(1, heartbeat(cluster_ms=kept_ms))
    said: list[Command] = []
    while machine.role != Role.MASTER:
        said = [*machine.step(on.DialFailed(None, "refused", True)), *machine.wait(0.15)]

    first, *_ = sent(said, Heartbeat, 1)
    assert "clock.taken" in logged(said)
    assert first.cluster_ms is not None and abs(first.cluster_ms - kept_ms) < 1_000


@pytest.mark.parametrize("code", [Code.CLOCK, Code.UNAUTHORIZED, Code.DUPLICATE, Code.WRONG_SITE])
def test_a_refusal_alarms_once_and_serves_nobody(code: Code) -> None:
    """Told by the link that the partner closes, or by the door: the same reason is told once."""
    machine = Machine()
    machine.step(opened(PARTNER_LINK, "2", "agent"))
    assert "partner.refuses" in logged(_partner_leaves(machine, code))
    for _ in range(20):
        assert "partner.refuses" not in logged(machine.step(on.DialFailed(code, "no", False)))
        machine.wait(0.5)

    assert machine.role == Role.STARTING


def test_a_late_refusal_of_an_own_dial_does_not_harm_the_partners_link() -> None:
    """The partner has linked by itself meanwhile: the slave goes on following it."""
    machine = make_slave()
    assert machine.step(on.DialFailed(Code.DUPLICATE, "no", False)) == []
    machine.step(on.DialFailed(None, "timed out", False))

    assert machine.role == Role.SLAVE and machine.agent.duty.lead is not None
    assert not of(machine.wait_hearing(2, PARTNER_LINK, role=Role.MASTER, term=5, log_id=77), do.Dial)


# -- clocks ------------------------------------------------------------------------------------------------------------


def _meets_wrong_clock(machine: Machine, role: Role) -> list[Command]:
    machine.step(opened(PARTNER_LINK, str(machine.agent.settings.partner), "agent", wall_offset_ms=5_000))
    return machine.hear(PARTNER_LINK, heartbeat(role, machine.at_s))


@pytest.mark.parametrize(
    ("settings", "own", "theirs", "refuses"),
    [
        (PAIRED, Role.MASTER, Role.STARTING, True),
        (PAIRED, Role.MASTER, Role.MASTER, True),
        (PAIRED, Role.STARTING, Role.STARTING, True),
        (HIGHER, Role.STARTING, Role.STARTING, False),
        (PAIRED, Role.STARTING, Role.MASTER, False),
    ],
)
def test_who_serves_refuses_a_wrong_clock(settings: Settings, own: Role, theirs: Role, refuses: bool) -> None:
    """Of two that do not serve, the lower id refuses, and serves."""
    machine = Machine(settings)
    if own == Role.MASTER:
        for _ in range(5):
            machine.step(on.DialFailed(None, "refused", True))
            machine.wait(0.65)
    assert machine.role == own
    commands = _meets_wrong_clock(machine, theirs)

    assert ([code for _, code, _ in _closes(commands)] == [Code.CLOCK]) is refuses
    assert ("partner.clock" in logged(commands)) is refuses
    assert machine.role == (Role.MASTER if refuses else Role.STARTING)
    assert machine.agent.election.split is (refuses and theirs == Role.MASTER)


def test_a_refused_clock_does_not_end_the_probing() -> None:
    """Whoever refused goes on looking for the partner, and alarms once."""
    machine = Machine()
    _meets_wrong_clock(machine, Role.STARTING)
    assert of(machine.wait(1.0), do.Dial)
    assert "partner.clock" not in logged(_meets_wrong_clock(machine, Role.STARTING))
    assert machine.wait(0.1) is not None and not machine.agent.election.dialling
    assert of(machine.wait(1.0), do.Dial)


# -- unsure ------------------------------------------------------------------------------------------------------------


def _sleeps(machine: Machine, seconds: float = 3.0) -> list[Command]:
    machine.at_s += seconds
    return machine.step(on.DeadlinePassed())


def test_who_slept_acknowledges_nothing_until_it_is_sure() -> None:
    """A master that stood still says so, takes in what comes, and acknowledges it only after a second."""
    machine = make_master()
    _partner_leaves(machine)
    _with_proxy(machine)
    commands = _sleeps(machine, 1.5)
    assert "agent.slept" in logged(commands)

    machine.hear(1, Report(1, payload("10.0.0.1")))
    assert not sent(machine.stored(), Acknowledgement)
    assert sent(machine.wait(1.05), Acknowledgement, 1) == [Acknowledgement(1, 1, ("1",))]
    assert machine.agent.duty.unsure_until_s is None and not machine.agent.pulse.unsure


def test_the_partners_word_makes_sure() -> None:
    """Not any word: one that answers what was said after waking."""
    machine = make_master()
    _sleeps(machine, 1.5)
    machine.hear(PARTNER_LINK, heartbeat(Role.SLAVE, machine.at_s, echo_ms=1_000_000))
    assert machine.agent.duty.unsure_until_s is not None

    woke_ms = 1_000_000 + round(machine.at_s * 1000)
    machine.hear(PARTNER_LINK, heartbeat(Role.SLAVE, machine.at_s, echo_ms=woke_ms))
    assert machine.agent.duty.unsure_until_s is None
    assert machine.role == Role.MASTER


def test_an_unsure_master_lets_no_proxy_follow() -> None:
    """It may not be master any more."""
    machine = make_master()
    _sleeps(machine, 1.5)
    machine.step(opened(1))

    assert [code for _, code, _ in _closes(machine.hear(1, Follow(0, 0)))] == [Code.BUSY]


def test_an_unsure_master_that_has_lost_its_partner_looks_for_it_at_once() -> None:
    """It does not wait for the next probe."""
    machine = make_master()
    _partner_leaves(machine)
    machine.step(on.DialFailed(None, "refused", True))

    assert of(_sleeps(machine), do.Dial)


def test_a_single_or_starting_agent_is_never_unsure() -> None:
    """There is nobody who could have served meanwhile, or nothing decided."""
    for machine in (make_master(partner=False), Machine()):
        _sleeps(machine)
        assert machine.agent.duty.unsure_until_s is None


# -- two masters -------------------------------------------------------------------------------------------------------


def _split(partner_term: int) -> tuple[Machine, list[Command]]:
    """Agent 1, master of term 1 with a proxy on link 1, meets a master of another term on a new link."""
    machine = make_master()
    _partner_leaves(machine, proven_dead=False)
    _with_proxy(machine)
    machine.step(opened(PARTNER_LINK, "2", "agent"))
    return machine, machine.hear(PARTNER_LINK, heartbeat(Role.MASTER, term=partner_term, log_id=99, cluster_ms=NOW_MS))


def _yielding() -> tuple[Machine, list[Command]]:
    """The same, where agent 1 loses, has compared, and has sent its fence."""
    machine, commands = _split(7)
    assert sent(commands, Follow, PARTNER_LINK) == [Follow(0, 0)]
    machine.hear(PARTNER_LINK, Follow(0, 0))
    commands = _equal_compare(machine, machine.hear(PARTNER_LINK, Following(99, 0, False)))
    return machine, commands


def test_both_follow_each_other_and_the_winner_waits() -> None:
    """Both ask for the other's changes; only the one that will yield opens the comparison."""
    machine, commands = _split(0)
    assert sent(commands, Follow, PARTNER_LINK)

    assert not sent(machine.hear(PARTNER_LINK, Following(99, 0, False)), Compare)
    assert machine.role == Role.MASTER and machine.agent.election.split


def test_the_loser_fences_before_it_demotes() -> None:
    """After the comparison it acknowledges no more, sends a fence, and is still master."""
    machine, commands = _yielding()

    assert sent(commands, Report, PARTNER_LINK) == [Report(1, b"")]
    assert "split.yields" in logged(commands)
    assert machine.role == Role.MASTER and not machine.agent.duty.may_acknowledge
    machine.hear(1, Report(1, payload("10.0.0.1")))
    assert not sent(machine.stored(), Acknowledgement, 1)


def test_what_comes_while_yielding_goes_to_the_winner() -> None:
    """A report that arrives behind the fence is given to the winner too."""
    machine, _ = _yielding()

    assert updates(machine.hear(1, Report(1, payload("10.0.0.1"))), PARTNER_LINK)


@pytest.mark.parametrize(("acknowledgement", "demotes"), [((1, 0), False), ((1, 1), True)])
def test_only_level_site_of_the_fence_demotes(acknowledgement: tuple[int, int], demotes: bool) -> None:
    """Then proxies are sent to the winner, whose stream goes on."""
    machine, _ = _yielding()
    commands = machine.hear(PARTNER_LINK, Acknowledgement(*acknowledgement, ("2",)))

    assert (machine.role == Role.SLAVE) is demotes
    assert (_closes(commands) == [(1, Code.NOT_MASTER, "2")]) is demotes
    if demotes:
        assert machine.agent.election.term == 7
        assert machine.agent.replication.streaming and machine.agent.duty.lead is not None


def test_a_broken_store_of_the_winner_does_not_keep_a_split() -> None:
    """Once the fence is in the winner's memory, its store is waited for two seconds and no longer."""
    machine, _ = _yielding()
    machine.hear(PARTNER_LINK, Acknowledgement(1, 0, ("2",)))
    word = {"role": Role.MASTER, "term": 7, "log_id": 99, "cluster_ms": NOW_MS}
    machine.wait_hearing(1.8, PARTNER_LINK, **word)
    assert machine.role == Role.MASTER

    machine.wait_hearing(0.4, PARTNER_LINK, **word)
    assert machine.role == Role.SLAVE
    assert machine.agent.duty.deadline is None


def test_a_fence_that_is_not_in_memory_is_waited_for() -> None:
    """Nothing demotes a master of which the winner may lack something, however long it takes."""
    machine, _ = _yielding()
    machine.wait_hearing(10, PARTNER_LINK, role=Role.MASTER, term=7, log_id=99, cluster_ms=NOW_MS)

    assert machine.role == Role.MASTER and machine.agent.election.split


def test_a_yielding_master_that_loses_the_link_serves_on() -> None:
    """It acknowledges again, and begins anew at the next contact."""
    machine, _ = _yielding()
    _partner_leaves(machine)
    assert machine.agent.duty.may_acknowledge

    machine.step(opened(10, "2", "agent"))
    machine.hear(10, heartbeat(Role.MASTER, machine.at_s, term=7, log_id=99, cluster_ms=NOW_MS))
    assert sent(machine.hear(10, Following(99, 0, True)), Compare, 10)


def test_a_yielding_master_whose_link_is_replaced_begins_anew() -> None:
    """The fence went with the old link; the new one gets its own, and the demotion happens."""
    machine, _ = _yielding()
    machine.step(opened(10, "2", "agent"))
    assert machine.agent.duty.may_acknowledge
    machine.hear(10, heartbeat(Role.MASTER, machine.at_s, term=7, log_id=99, cluster_ms=NOW_MS))
    (compare,) = sent(machine.hear(10, Following(99, 0, True)), Compare, 10)
    assert isinstance(compare, Compare)
    commands = machine.hear(10, attrs.evolve(compare, since_ms=0), Compared(compare.comparison, 0))
    assert sent(commands, Report, 10) == [Report(1, b"")]

    machine.hear(10, Acknowledgement(1, 1, ("2",)))
    assert machine.role == Role.SLAVE


def test_the_winner_follows_nobody_when_the_other_has_yielded() -> None:
    """From then on the partner is judged as a slave is: at the log's end."""
    machine, _ = _split(0)
    machine.hear(PARTNER_LINK, Following(99, 0, False), Follow(0, 0))
    assert machine.agent.replication.lead == PARTNER_LINK
    machine.hear(PARTNER_LINK, heartbeat(Role.SLAVE, term=1))

    assert machine.agent.replication.lead is None
    assert not machine.agent.election.split


def test_an_unasked_comparison_proves_the_partner_too() -> None:
    """The winner has the loser's table when the loser's comparison is over: it may say what it has stored."""
    machine, _ = _split(0)
    machine.hear(PARTNER_LINK, Following(99, 4, False))
    cut_min = NOW_MS // 60_000
    root, barriers = machine.table.root(cut_min), machine.table.barriers_hash(cut_min)
    commands = machine.hear(PARTNER_LINK, Compare(1, cut_min, SECRET_ID, root, barriers, 0, 0), Compared(1, 0))

    assert sent(commands, Stored, PARTNER_LINK) == [Stored(99, 4)]


# -- leaving -----------------------------------------------------------------------------------------------------------


def test_a_master_hands_over_before_it_leaves() -> None:
    """It waits until its slave has stored everything, then takes its leave from it first."""
    machine = make_master()
    log_id = machine.agent.replication.log.log_id
    machine.hear(PARTNER_LINK, Follow(0, 0), Stored(log_id, 0))
    _with_proxy(machine)
    machine.hear(1, Report(1, payload("10.0.0.1")))
    assert not of(machine.step(on.StopAsked()), do.Exit)
    assert not machine.agent.duty.may_acknowledge

    commands = machine.hear(PARTNER_LINK, Stored(log_id, 1))
    assert _closes(commands) == [(PARTNER_LINK, Code.STOPPING, ""), (1, Code.NOT_MASTER, "2")]
    assert isinstance(commands[-1], do.Exit)


def test_handing_over_has_an_end() -> None:
    """A slave whose store is broken delays the exit by a second at most."""
    machine = make_master()
    machine.hear(PARTNER_LINK, Follow(0, 0), Stored(machine.agent.replication.log.log_id, 0))
    _with_proxy(machine)
    machine.hear(1, Report(1, payload("10.0.0.1")))
    machine.step(on.StopAsked())
    machine.step(on.StopAsked())

    assert of(machine.wait(1.1), do.Exit)


def test_without_a_slave_there_is_nothing_to_wait_for() -> None:
    """Proxies are told that nobody serves."""
    machine = make_master(partner=False)
    _with_proxy(machine)
    commands = machine.step(on.StopAsked())

    assert _closes(commands) == [(1, Code.STOPPING, "")]
    assert of(commands, do.Exit)


def test_a_stopping_slave_is_not_promoted() -> None:
    """Its master's farewell comes while it leaves."""
    machine = make_slave()
    machine.agent.duty.handover.stopping_until_s = 1_000.0
    _partner_leaves(machine, Code.STOPPING)

    assert machine.role != Role.MASTER
