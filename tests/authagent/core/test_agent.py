"""Agent: the one door, the timer, and what a bad peer costs."""

import math

import pytest

from authagent.core import commands as do
from authagent.core import events as on
from authagent.core.agent import Agent
from protocol.errors import Code
from protocol.messages import (
    Acknowledgement,
    AdminAnswer,
    AdminRequest,
    Bulk,
    Compare,
    Error,
    Follow,
    Following,
    Heartbeat,
    IdleAnswer,
    IdleQuestion,
    Ping,
    Pong,
    Report,
    Role,
    Update,
)
from protocol.session import LoginId
from tests.authagent.core.machine import (
    NOW_MS,
    ORIGIN,
    PARTNER_LINK,
    Machine,
    heartbeat,
    logged,
    make_master,
    make_slave,
    now,
    of,
    opened,
    payload,
    sent,
    updates,
)


def _closes(commands: list[do.Command]) -> list[tuple[int, Code]]:
    return [(each.link, each.code) for each in commands if isinstance(each, do.Close)]


# -- time --------------------------------------------------------------------------------------------------------------


def test_there_is_no_deadline_before_the_start() -> None:
    """The table is loaded first; from then on something is always due."""
    machine = Machine()
    fresh = Agent(machine.agent.settings, machine.table, machine.agent.election.dice, b"sec1")
    assert fresh.deadline is None
    assert machine.agent.deadline is not None


def test_the_deadline_moves_with_every_wake() -> None:
    """Whatever the role, stepping at the deadline moves it: a loop that sleeps until then never spins."""
    for machine in (make_master(), make_slave(), Machine(), make_master(partner=False)):
        for _ in range(60):
            deadline = machine.agent.deadline
            assert deadline is not None
            machine.at_s = max(machine.at_s, deadline - now().monotonic_s)
            machine.step(on.DeadlinePassed())
            assert machine.agent.deadline is not None and machine.agent.deadline > deadline


def test_everybody_gets_a_heartbeat_each_interval() -> None:
    """A link on which nothing happens carries five a second, both for proxies and for the partner."""
    machine = make_master()
    machine.step(opened(1))
    commands = machine.wait(0.95)

    assert len(sent(commands, Heartbeat, 1)) == len(sent(commands, Heartbeat, PARTNER_LINK)) == 4


def test_silence_costs_the_link_and_nobody_elses() -> None:
    """After a second without a word a peer is closed; who speaks stays."""
    machine = make_master()
    machine.step(opened(1))
    commands = machine.wait_hearing(1.4, PARTNER_LINK, role=Role.SLAVE)

    assert _closes(commands) == [(1, Code.SILENT)]


# -- links -------------------------------------------------------------------------------------------------------------


def test_an_answer_to_a_ping_keeps_a_rival_out() -> None:
    """The first link lives: the second is refused, and the first goes on."""
    machine = make_master(partner=False)
    machine.step(opened(1))
    commands = machine.step(opened(2, incarnation=2))
    assert sent(commands, Ping, 1) and sent(commands, Heartbeat, 2) and not _closes(commands)

    assert _closes(machine.hear(1, Pong(2))) == [(2, Code.DUPLICATE)]
    assert 1 in machine.agent.peers and 2 not in machine.agent.peers


def test_a_rival_takes_the_place_of_a_silent_first() -> None:
    """The first has not answered for a second: it is closed, and the rival is greeted as anybody else."""
    machine = make_master(partner=False)
    machine.step(opened(1))
    machine.wait(0.5)
    machine.hear(1, heartbeat(at_s=machine.at_s))
    machine.step(opened(2, incarnation=2))
    commands = machine.wait(1.25)

    assert [link for link, _ in _closes(commands)] == [1]
    assert 2 in machine.agent.peers
    words = [word for word in sent(commands, Heartbeat, 2) if isinstance(word, Heartbeat)]
    assert words[0].role == Role.MASTER


def test_messages_of_whoever_waits_at_the_door_are_not_heard() -> None:
    """Only a link that was let in may say anything."""
    machine = make_master(partner=False)
    machine.step(opened(1))
    machine.step(opened(2, incarnation=2))

    assert machine.hear(2, Report(1, payload("10.0.0.1"))) == []
    assert machine.table.records == 0


def test_a_rival_that_leaves_takes_its_ping_along() -> None:
    """The first is not closed for a question that nobody asks any more, and the next rival is judged anew."""
    machine = make_master(partner=False)
    machine.step(opened(1))
    machine.step(opened(2, incarnation=2))
    machine.step(on.LinkClosed(2, None, "gone", True))
    machine.wait(0.8)
    machine.hear(1, heartbeat(at_s=machine.at_s))
    assert _closes(machine.wait(0.5)) == []

    assert sent(machine.step(opened(3, incarnation=3)), Ping, 1)


def test_a_process_that_dials_again_lives() -> None:
    """Its new link replaces the old one, and a rival that waited for the old one's place is refused."""
    machine = make_master(partner=False)
    machine.step(opened(1))
    machine.step(opened(2, incarnation=2))
    commands = machine.step(opened(3))

    assert _closes(commands) == [(2, Code.DUPLICATE), (1, Code.SUPERSEDED)]
    assert 3 in machine.agent.peers and 1 not in machine.agent.peers


def test_an_own_dial_that_waits_at_the_own_door_does_not_end_probing() -> None:
    """A dial that met another process than the one linked is over, whatever becomes of its link."""
    machine = make_slave()
    machine.agent.election.dialling = True
    machine.step(opened(10, "2", "agent", incarnation=2, dialled=True))
    machine.hear(PARTNER_LINK, Pong(10))
    machine.step(on.LinkClosed(10, None, "closed", False))

    assert of(machine.step(on.LinkClosed(PARTNER_LINK, None, "reset", True)), do.Dial)


def test_the_end_of_an_unknown_link_is_no_news() -> None:
    """A link that was closed here ends once more in the shell."""
    machine = make_master()

    assert machine.step(on.LinkClosed(77, None, "closed", False)) == []
    assert machine.hear(77, Pong(1)) == []
    assert machine.step(on.LinkDrained(77)) == []


# -- messages ----------------------------------------------------------------------------------------------------------


def test_a_bad_peer_costs_its_own_link() -> None:
    """What it may not say, and what cannot be decoded, closes it with PROTOCOL; nobody else notices."""
    for message in (
        Following(1, 1, True),
        IdleAnswer(1, b""),
        Update(1, "lan9", payload("10.0.0.9")),
        AdminRequest(1, b"{}"),
        AdminAnswer(1, b"{}"),
        Report(1, b"garbage"),
        Update(1, "lan1", b"garbage"),
        Bulk(1, b"garbage"),
    ):
        machine = make_master()
        machine.step(opened(1))
        commands = machine.hear(1, message, Report(1, payload("10.0.0.1")))
        if isinstance(message, Following):
            assert _closes(commands) == []  # of whom nobody follows it means nothing
            continue
        assert _closes(commands) == [(1, Code.PROTOCOL)]
        assert "link.refused" in logged(commands)
        assert machine.table.records == 0
        assert PARTNER_LINK in machine.agent.peers


def test_a_complaint_is_logged() -> None:
    """An Error costs nothing."""
    commands = make_master().hear(PARTNER_LINK, Error(10, "what?"))

    assert "peer.complains" in logged(commands) and not _closes(commands)


def test_a_report_reaches_everybody_else() -> None:
    """From one proxy into the table, the store, and to the other proxy."""
    machine = make_master(partner=False)
    for link in (1, 2):
        machine.step(opened(link, f"p{link}"))
        machine.hear(link, Follow(0, 0))
    commands = machine.hear(1, Report(1, payload("10.0.0.1")))

    assert of(commands, do.Persist) and updates(commands, 2) and not updates(commands, 1)
    assert machine.table.record(LoginId(*ORIGIN, 0)) is not None


def test_an_idle_question_is_answered_from_the_table() -> None:
    """Later activity comes back as a touch; what is not known is not in the answer."""
    machine = make_master(partner=False)
    machine.step(opened(1))
    machine.hear(1, Report(1, payload("10.0.0.1")))
    question = IdleQuestion(5, ("p1", "p1"), (1, 1), (0, 9), (NOW_MS - 9_000, NOW_MS - 9_000))
    (answer,) = sent(machine.hear(1, question), IdleAnswer, 1)

    assert isinstance(answer, IdleAnswer) and answer.question == 5 and answer.payload


def test_a_proxy_of_another_site_is_served_like_an_own_one() -> None:
    """[P-82] What it reports is stored, relayed and acknowledged, and its idle questions are answered; one that says
    nothing is given as long as its site would be.
    """
    machine = make_master(partner=False)
    machine.step(opened(1, site="lan9"))
    machine.step(opened(2, "p2"))
    assert sent(machine.hear(1, Follow(0, 0)), Following, 1)
    machine.hear(2, Follow(0, 0))
    assert updates(machine.hear(1, Report(1, payload("10.0.0.1"))), 2)
    assert [each.site for each in sent(machine.stored(), Acknowledgement, 1)] == [1]
    question = IdleQuestion(5, ("p1",), (1,), (0,), (NOW_MS - 9_000,))
    assert sent(machine.hear(1, question), IdleAnswer, 1)
    lost = of(machine.wait(machine.agent.settings.wan_suspect_after_s - 0.5), do.Close)
    assert [each.link for each in lost] == [2]
    assert [each.link for each in of(machine.wait(1.0), do.Close)] == [1]


def test_verbs_travel_between_agents() -> None:
    """The slave's question is carried out at the master, and the answer goes back to who asked."""
    master, slave = make_master(), make_slave()
    asked = slave.step(on.AdminAsked(3, b"{}"))
    assert sent(asked, AdminRequest, PARTNER_LINK) == [AdminRequest(3, b"{}")]
    assert of(master.hear(PARTNER_LINK, AdminRequest(3, b"{}")), do.CarryOut) == [do.CarryOut(PARTNER_LINK, 3, b"{}")]
    told = master.step(on.AdminDone(PARTNER_LINK, 3, b"done"))
    assert sent(told, AdminAnswer, PARTNER_LINK) == [AdminAnswer(3, b"done")]
    assert of(slave.hear(PARTNER_LINK, AdminAnswer(3, b"done")), do.Answer) == [do.Answer(3, b"done")]


def test_what_nobody_knows_is_a_broken_invariant() -> None:
    """An event that is none must not be passed over."""
    with pytest.raises(AssertionError):
        make_master().agent.step("what", now())  # type: ignore[arg-type]


# -- comparisons -------------------------------------------------------------------------------------------------------


def test_a_comparison_that_stands_still_is_given_up_and_begun_again() -> None:
    """A master that lives but never answers does not keep its slave incomplete for ever."""
    machine = make_slave()
    assert sent(machine.hear(PARTNER_LINK, Following(77, 0, False)), Compare)
    word = {"role": Role.MASTER, "term": 5, "log_id": 77, "cluster_ms": NOW_MS}
    assert not sent(machine.wait_hearing(9, PARTNER_LINK, **word), Compare)

    assert len(sent(machine.wait_hearing(3, PARTNER_LINK, **word), Compare)) == 1


def test_another_secret_ends_comparisons() -> None:
    """Under another key nothing that runs means anything."""
    machine = make_slave()
    machine.hear(PARTNER_LINK, Following(77, 0, False))
    machine.agent.rekey(b"n" * 32, b"sec2")

    assert not machine.agent.resync.comparing(PARTNER_LINK)
    assert machine.agent.resync.secret_id == b"sec2"


# -- after the end -----------------------------------------------------------------------------------------------------


def test_whoever_has_left_does_nothing_more() -> None:
    """After Exit nothing is acknowledged, dialled or served; who comes is sent away; nothing is due."""
    machine = make_master(partner=False)
    assert of(machine.step(on.StopAsked()), do.Exit)

    assert machine.agent.deadline == math.inf
    assert _closes(machine.step(opened(5))) == [(5, Code.STOPPING)]
    assert machine.hear(5, Report(1, payload("10.0.0.1"))) == []
    assert machine.wait(5) == []
