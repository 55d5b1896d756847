"""Sections 4 and 5 of docs/reference/protocol.md: the life of a link and replication, at an agent without shell."""

import msgpack
import pytest

from authagent.core import commands as do
from authagent.core import events as on
from protocol import codec, framing
from protocol.errors import Code
from protocol.messages import (
    Acknowledgement,
    Follow,
    Following,
    Heartbeat,
    IdleAnswer,
    IdleQuestion,
    Ping,
    Pong,
    Report,
    Role,
    Stored,
    Update,
)
from protocol.session import LoginId
from tests.spec.speakers import NOW_MS, LoneAgent, closes, heartbeat, logins, sent

PAYLOAD = codec.encode_changes(logins("10.0.0.1"))


def _master() -> LoneAgent:
    """A single agent, which serves at once, with proxy1 on link 1 and proxy2 on link 2, both following."""
    agent = LoneAgent()
    for link in (1, 2):
        agent.open(link, f"proxy{link}")
        agent.hear(link, heartbeat(), Follow(0, 0))
    return agent


def _slave() -> LoneAgent:
    """Agent 1 of a pair, whose partner on link 9 serves."""
    agent = LoneAgent(partner=2)
    agent.open(9, "2", "agent")
    agent.hear(9, heartbeat(Role.MASTER, term=5, log_id=77, cluster_ms=NOW_MS))
    return agent


def _updates(commands: list[do.Command], link: int) -> list[Update]:
    """The Updates that are relayed on a link."""
    relays = [command for command in commands if isinstance(command, do.Relay) and link in command.links]
    bodies = framing.FrameReader(1 << 20).feed(b"".join(relay.frames for relay in relays))
    return [message for message in map(codec.decode, bodies) if isinstance(message, Update)]


def test_a_heartbeat_is_the_first_word_and_comes_again() -> None:
    """[P-17] An agent says a heartbeat when a link opens, and one more each interval of 0.2 s."""
    agent = LoneAgent()

    assert len(sent(agent.open(1, "proxy1"), Heartbeat, 1)) == 1
    assert sum(len(sent(agent.wait(0.05), Heartbeat, 1)) for _ in range(20)) in (4, 5)


def test_a_change_of_role_is_told_at_once() -> None:
    """[P-17] A slave whose master takes its leave tells its role in the same step."""
    agent = _slave()
    agent.open(8, "check1")

    told = sent(agent.step(on.LinkClosed(9, Code.STOPPING, "stopping", True)), Heartbeat)

    assert agent.agent.election.role == Role.MASTER
    assert all(isinstance(each, Heartbeat) and each.role == Role.MASTER for each in told)


def test_silence_ends_a_link() -> None:
    """[P-20] A peer that says nothing for more than 1 s is closed with SILENT, and not much before."""
    agent = _master()

    assert closes(agent.wait(0.9)) == []
    assert {close.code for close in closes(agent.wait(0.4))} == {Code.SILENT}


def test_a_slave_sends_proxies_to_its_master() -> None:
    """[P-21] A proxy that links to a slave, or is there when the agent becomes one, is told whom to dial."""
    agent = _slave()
    commands = agent.open(1, "proxy1") + agent.hear(1, heartbeat(), Follow(0, 0))

    assert [(close.code, close.elsewhere) for close in closes(commands)] == [(Code.NOT_MASTER, "2")]


def test_one_link_for_each_id() -> None:
    """[P-22] A second process of an id waits while the first is pinged, and is refused when that answers."""
    agent = _master()
    waits = agent.open(3, "proxy1", incarnation=6)

    assert closes(waits) == []
    ping = sent(waits, Ping, 1)[0]
    assert isinstance(ping, Ping)
    assert [(close.link, close.code) for close in closes(agent.hear(1, Pong(ping.nonce)))] == [(3, Code.DUPLICATE)]


def test_a_dead_first_link_gives_way() -> None:
    """[P-22] The first link is closed when it leaves the ping unanswered, and the second takes its place."""
    agent = _master()
    agent.wait(0.5)
    agent.hear(1, heartbeat(at_s=0.5))
    agent.open(3, "proxy1", incarnation=6)
    commands = agent.wait(1.3)

    assert 1 in {close.link for close in closes(commands)}
    assert 3 not in {close.link for close in closes(commands)}
    assert sent(commands, Heartbeat, 3)


def test_the_same_process_may_link_again() -> None:
    """[P-22] A newer link of the same process replaces the first at once."""
    agent = _master()

    assert [(close.link, close.code) for close in closes(agent.open(3, "proxy1"))] == [(1, Code.SUPERSEDED)]


def test_acknowledgements_are_cumulative() -> None:
    """[P-23] Three reports that came together are acknowledged with one number, the last, and never a greater one."""
    agent = _master()
    reports = [Report(n, codec.encode_changes(logins(f"10.0.1.{n}", first=n))) for n in (1, 2, 3)]
    first = sent(agent.hear(1, *reports), Acknowledgement, 1)
    later = sent(agent.stored(), Acknowledgement, 1)

    assert [each.master for each in first if isinstance(each, Acknowledgement)] == [3]
    assert [(each.master, each.site) for each in later if isinstance(each, Acknowledgement)] == [(3, 3)]


def test_memory_is_not_storage() -> None:
    """[P-24] A report is on level master at once, and on level site only after the store has said so."""
    agent = _master()
    first = sent(agent.hear(1, Report(1, PAYLOAD)), Acknowledgement, 1)
    agent.wait(0.6)

    assert [(each.master, each.site) for each in first if isinstance(each, Acknowledgement)] == [(1, 0)]
    assert not [each for each in sent(agent.said, Acknowledgement, 1) if each.site]  # type: ignore[attr-defined]
    assert sent(agent.stored(), Acknowledgement, 1) == [Acknowledgement(1, 1, ("1",))]


def test_a_slave_counts_from_its_first_stored() -> None:
    """[P-25] Before the slave has said Stored the master counts alone; afterwards both must have it."""
    agent = LoneAgent(partner=2)
    agent.step(on.DialFailed(None, "refused", True))
    while agent.agent.election.role != Role.MASTER:
        agent.wait(0.5)
        agent.step(on.DialFailed(None, "refused", True))
    agent.open(9, "2", "agent")
    agent.open(1, "proxy1")
    agent.hear(9, heartbeat(Role.SLAVE), Follow(0, 0))
    log_id = agent.agent.replication.log.log_id

    agent.hear(1, heartbeat(), Report(1, PAYLOAD))
    assert sent(agent.stored(), Acknowledgement, 1) == [Acknowledgement(1, 1, ("1",))]

    agent.hear(9, Stored(log_id, 1))
    agent.hear(1, Report(2, codec.encode_changes(logins("10.0.0.2", first=1))))
    assert not [each for each in sent(agent.stored(), Acknowledgement, 1) if each.site == 2]  # type: ignore[attr-defined]
    assert sent(agent.hear(9, Stored(log_id, 2)), Acknowledgement, 1) == [Acknowledgement(2, 2, ("1", "2"))]


def test_a_slave_says_stored_only_after_its_comparison() -> None:
    """[P-25] Updates that are stored before the first comparison is over are not reported as stored."""
    agent = _slave()
    agent.hear(9, Following(77, 0, False), Update(1, "lan1", PAYLOAD))

    assert sent(agent.stored(), Stored) == []


def test_a_cursor_in_the_log_is_replayed() -> None:
    """[P-26] A follower whose cursor lies in the log gets replay=True and the Updates after it, and nothing twice."""
    agent = _master()
    for n in (1, 2, 3):
        agent.hear(1, Report(n, codec.encode_changes(logins(f"10.0.1.{n}", first=n))))
    log_id = agent.agent.replication.log.log_id
    agent.open(3, "proxy3")
    commands = agent.hear(3, heartbeat(), Follow(log_id, 1))

    assert sent(commands, Following, 3) == [Following(log_id, 1, True)]
    assert [update.sequence for update in _updates(commands, 3)] == [2, 3]


@pytest.mark.parametrize("cursor", [(0, 0), (12345, 2)])
def test_another_cursor_is_not(cursor: tuple[int, int]) -> None:
    """[P-26] No cursor, or one of another log, gets replay=False and the log's end."""
    agent = _master()
    agent.hear(1, Report(1, PAYLOAD))
    log_id = agent.agent.replication.log.log_id
    agent.open(3, "proxy3")
    commands = agent.hear(3, heartbeat(), Follow(*cursor))

    assert sent(commands, Following, 3) == [Following(log_id, 1, False)]
    assert _updates(commands, 3) == []


def test_nobody_hears_what_he_said() -> None:
    """[P-27] A Report goes to the other followers as an Update and not back to its sender."""
    agent = _master()
    commands = agent.hear(1, Report(1, PAYLOAD)) + agent.wait(0.3)

    assert [update.sequence for update in _updates(commands, 2)] == [1]
    assert _updates(commands, 1) == []


def test_payloads_travel_as_they_came() -> None:
    """[P-28] The Update and the store get the bytes of the Report, a newer version's seventh part included."""
    newer = msgpack.packb([*msgpack.unpackb(PAYLOAD), [], [], [], [], [], ["of version 2"]])
    agent = _master()
    commands = agent.hear(1, Report(1, newer)) + agent.wait(0.3)

    assert [update.payload for update in _updates(commands, 2)] == [newer]
    assert [command.payload for command in commands if isinstance(command, do.Persist)] == [newer]


def test_an_empty_report_is_a_fence() -> None:
    """[P-29] It changes nothing, is stored nowhere, and is acknowledged after what went before it."""
    agent = _master()
    agent.hear(1, Report(1, PAYLOAD))
    commands = agent.hear(1, codec.decode(codec.encode(Report(2, b""))))

    assert not [command for command in commands if isinstance(command, do.Persist)]
    assert sent(agent.stored(), Acknowledgement, 1)[-1] == Acknowledgement(2, 2, ("1",))


def test_an_idle_question_is_answered_with_later_activity() -> None:
    """[P-30] The answer holds the activity that is later than the question's, and nothing of unknown logins."""
    agent = _master()
    agent.hear(1, Report(1, PAYLOAD))
    login_id = LoginId("proxy1", 1, 0)
    agent.table.touch(login_id, NOW_MS + 5_000)
    question = IdleQuestion(4, ("proxy1", "proxy1"), (1, 1), (0, 99), (NOW_MS + 1_000, NOW_MS))
    (answer,) = sent(agent.hear(2, question), IdleAnswer, 2)

    assert isinstance(answer, IdleAnswer)
    (run,) = codec.decode_changes(answer.payload).touches
    assert (list(run.sequences), list(run.active_at)) == ([0], [NOW_MS + 5_000])


# -- handing over ------------------------------------------------------------------------------------------------------


def _offering() -> LoneAgent:
    """A master of a pair that was asked to switch: a proxy on link 1, and on link 9 a slave that has all but one."""
    agent = LoneAgent(partner=2)
    agent.open(9, "2", "agent")
    agent.hear(9, heartbeat(Role.STARTING))
    agent.open(1, "proxy1")
    agent.hear(1, heartbeat(), Follow(0, 0), Report(1, PAYLOAD))
    agent.hear(9, Follow(0, 0), Stored(agent.agent.replication.log.log_id, 0))
    agent.step(on.Stored(1))
    agent.step(on.SwitchAsked(1))
    return agent


def test_an_offer_of_mastership_is_taken_at_once() -> None:
    """[P-57] A slave that hears its master say STARTING serves with a greater term; with `unsure` it means nothing."""
    agent = _slave()
    assert not sent(agent.hear(9, heartbeat(Role.STARTING, unsure=True, term=5)), Heartbeat, 9)

    (word,) = sent(agent.hear(9, heartbeat(Role.STARTING, term=5)), Heartbeat, 9)
    assert (word.role, word.term) == (Role.MASTER, 6)


def test_nothing_is_offered_that_is_not_stored_and_nothing_acknowledged_meanwhile() -> None:
    """[P-58] The offer waits for the slave's Stored; reports that come in between are acknowledged by nobody."""
    agent = _offering()
    log_id = agent.agent.replication.log.log_id
    assert not sent(agent.hear(1, Report(2, codec.encode_changes(logins("10.0.0.2")))), Acknowledgement)
    assert not [word for word in sent(agent.wait(0.1), Heartbeat, 9) if word.role != Role.MASTER]

    commands = agent.hear(9, Stored(log_id, 1))
    assert [word.role for word in sent(commands, Heartbeat, 9)] == [Role.STARTING]
    assert not sent(commands, Acknowledgement)
    commands = agent.wait(0.2)
    assert next(word.role for word in sent(commands, Heartbeat, 9)) == Role.MASTER
    assert sent(commands, Acknowledgement, 1)


def test_whoever_offered_follows() -> None:
    """[P-59] The old master follows the new one, and its proxies are sent there."""
    agent = _offering()
    agent.hear(9, Stored(agent.agent.replication.log.log_id, 1))
    commands = agent.hear(9, heartbeat(Role.MASTER, term=2, log_id=77, cluster_ms=NOW_MS))

    assert sent(commands, Follow, 9)
    assert [(each.link, each.code, each.elsewhere) for each in closes(commands)] == [(1, Code.NOT_MASTER, "2")]
    assert agent.agent.table.records == 1
