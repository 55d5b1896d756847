"""What is said on one link: time, following, comparing, digests."""

import attrs
import pytest

from protocol import codec
from protocol import messages as wire
from protocol.changes import Changes, LoginRun, TouchRun
from protocol.errors import Code
from protocol.messages import Role
from protocol.session import Origin
from proxyagent.core import commands, events
from proxyagent.core.client import Client
from proxyagent.notices import AgentRefused, Resynced
from tests.proxyagent.core.bench import LOG_ID, WALL_MS, Bench

OTHER = Origin("p2", 9)


def update(bench: Bench, sequence: int, key: str = "10.0.0.9") -> wire.Update:
    at_ms = bench.now.wall_ms
    run = LoginRun(OTHER, [sequence], "lan1", [key], ["bob"], [at_ms], [at_ms + 900_000], [600], [()])
    return wire.Update(sequence, "lan1", codec.encode_changes(Changes(logins=(run,))))


def started() -> Bench:
    bench = Bench()
    bench.start()
    return bench


def test_a_link_begins_with_a_heartbeat_and_waits_for_a_master() -> None:
    """Nothing but heartbeats is said to an agent that has not decided, is unsure, or is a slave."""
    bench = started()
    bench.open()
    assert len(bench.sent(wire.Heartbeat)) == 1
    for heartbeat in (
        bench.heartbeat(Role.STARTING, echo=True),
        bench.heartbeat(Role.SLAVE, echo=True),
        bench.heartbeat(unsure=True, echo=True),
    ):
        assert not [each for each in bench.hear(heartbeat) if isinstance(each, commands.Send)]


def test_nothing_is_said_before_the_time_is_known() -> None:
    """The first heartbeat of a master gives no round trip: a proxy that has no time yet waits for the next."""
    bench = started()
    bench.login("10.0.0.1")
    bench.open()
    bench.hear(bench.heartbeat(echo=False))
    assert not bench.sent(wire.Follow)
    bench.hear(bench.heartbeat(echo=True))
    assert bench.only(wire.Follow) == wire.Follow(0, 0)
    assert [report.report for report in bench.sent(wire.Report)] == [1]


def test_a_round_trip_from_before_the_master_kept_time_tells_no_time() -> None:
    """An agent that had none, and whose next answer comes too late to measure: no stamp leaves unfixed."""
    bench = started()
    bench.cluster_ahead_ms = 3_600_000
    bench.login("10.0.0.1")
    bench.open()
    bench.hear(attrs.evolve(bench.heartbeat(Role.STARTING, echo=True), cluster_ms=None))
    late = bench.heartbeat(echo=True)
    bench.pass_s(0.6)
    bench.hear(late)
    assert not bench.sent(wire.Report)
    bench.hear(bench.heartbeat(echo=True))
    (changes,) = bench.reported()
    assert changes.logins[0].login_at == [WALL_MS + 3_600_000]


def test_a_proxy_that_keeps_time_follows_at_once() -> None:
    """After a failover the first heartbeat is enough, and the outbox is sent again from 1."""
    bench = started()
    bench.serve()
    bench.close()
    bench.login("10.0.0.1")
    bench.login("10.0.0.2", "bob")
    bench.open(1)
    bench.hear(bench.heartbeat(echo=False, sequence=3))
    assert bench.only(wire.Follow) == wire.Follow(LOG_ID, 0)
    (changes,) = bench.reported()
    assert changes.logins[0].keys == ["10.0.0.1", "10.0.0.2"]


def test_a_replay_needs_no_comparison() -> None:
    """A cursor that is still in the log makes the copy full at once, and moves with updates and heartbeats."""
    bench = started()
    bench.serve()
    bench.hear(update(bench, 5))
    bench.close()
    bench.open()
    bench.hear(bench.heartbeat())
    assert bench.only(wire.Follow) == wire.Follow(LOG_ID, 5)
    bench.hear(wire.Following(LOG_ID, 5, True), update(bench, 7), bench.heartbeat(sequence=9))
    assert not bench.sent(wire.Compare)
    assert bench.client.synchronised
    assert bench.lookup("10.0.0.9").user == "bob"
    bench.close()
    bench.open()
    bench.hear(bench.heartbeat())
    assert bench.only(wire.Follow).sequence == 9


def test_a_cursor_is_the_position_when_the_comparison_began_until_it_is_over() -> None:
    """A link that is lost while comparing leaves no cursor: the next one begins with a comparison too."""
    bench = started()
    bench.open()
    bench.hear(bench.heartbeat(echo=True))
    bench.hear(wire.Following(LOG_ID, 4, False), update(bench, 6))
    assert bench.only(wire.Compare).number == wire.Compare.number
    assert not bench.client.synchronised
    bench.close()
    bench.open()
    bench.hear(bench.heartbeat())
    assert bench.only(wire.Follow) == wire.Follow(0, 0)


def test_an_emptied_outbox_is_made_up_for_by_a_comparison() -> None:
    """Even when the cursor is valid, what the outbox lost is compared."""
    bench = Bench(outbox_events_max=1)
    bench.start()
    bench.serve()
    bench.close()
    bench.login("10.0.0.1")
    bench.login("10.0.0.2")
    bench.open()
    bench.client.outbox.close()
    bench.hear(bench.heartbeat())
    bench.hear(wire.Following(LOG_ID, 0, True))
    assert bench.only(wire.Compare).records == 2
    bench.close()
    bench.open()
    bench.hear(bench.heartbeat())
    bench.hear(wire.Following(LOG_ID, 0, True))
    assert bench.sent(wire.Compare), "the comparison was cut short, so it is still owed"


def test_a_comparison_fills_an_empty_agent() -> None:
    """An agent that lost everything gets everything, in bulk, and Resynced tells how much."""
    bench = started()
    for number in range(3):
        bench.login(f"10.0.0.{number}")
    bench.open()
    bench.hear(bench.heartbeat(echo=True))
    bench.hear(wire.Following(LOG_ID, 0, False))
    number = bench.only(wire.Compare).comparison
    assert number % 2 == 1
    bench.hear(bench.compare_empty(number))
    assert bench.all(commands.AwaitRoom)
    bench.step(events.LinkDrained(bench.link))
    (bulk,) = bench.sent(wire.Bulk)
    assert sum(len(run.sequences) for run in codec.decode_changes(bulk.payload).logins) == 3
    while not bench.sent(wire.Compared):
        bench.step(events.LinkDrained(bench.link))
    bench.hear(wire.Compared(number, 0))
    (resynced,) = bench.notices(Resynced)
    assert resynced.sent >= 3
    assert bench.client.synchronised


def test_digests_that_differ_for_a_second_start_a_comparison() -> None:
    """Once is not enough, a second is; and a comparison that does not help is not repeated soon."""
    bench = started()
    bench.serve()
    wrong = b"\7" * 8
    compares = []
    for _ in range(8):
        bench.pass_s(0.2)
        bench.hear(bench.heartbeat(echo=True, root=wrong))
        compares.append(len(bench.sent(wire.Compare)))
    assert sum(compares) == 1
    assert compares[:5] == [0] * 5
    assert bench.client.conversation is not None
    assert bench.client.conversation.equal is False


def test_equal_digests_are_told() -> None:
    """A master's root that is ours makes the copy equal."""
    bench = started()
    bench.serve()
    root = bench.client.cache.table.root(bench.now.wall_ms // 60_000)
    bench.hear(bench.heartbeat(echo=True, root=root))
    assert bench.client.conversation is not None
    assert bench.client.conversation.equal is True


def test_a_master_far_off_in_time_is_refused_until_an_operator_accepts_it() -> None:
    """Beyond max_clock_offset the link is closed and AgentRefused told once; a resync by hand accepts it."""
    bench = started()
    bench.serve()
    bench.close()
    bench.cluster_ahead_ms = 2_500
    bench.open()
    bench.hear(bench.heartbeat(echo=True))
    assert bench.all(commands.Close)[0].code is Code.CLOCK
    assert "2.5 s" in bench.notices(AgentRefused)[0].reason
    assert bench.client.isolated
    bench.run_s(1.0)
    bench.open()
    bench.hear(bench.heartbeat(echo=True))
    assert bench.all(commands.Close)
    assert not bench.notices(AgentRefused)
    bench.step(events.ResyncAsked())
    bench.open()
    bench.hear(bench.heartbeat(echo=True))
    bench.hear(wire.Following(LOG_ID, 0, True))
    assert not bench.client.isolated
    assert abs(bench.client.cache.clock.now_ms(bench.now) - bench.now.wall_ms - 2_500) <= 1


def test_an_hour_off_is_not_followed_for_a_moment() -> None:
    """A master whose time is plainly wrong is not followed even before a round trip is known."""
    bench = started()
    bench.serve()
    bench.close()
    bench.cluster_ahead_ms = 3_600_000
    bench.open()
    bench.hear(bench.heartbeat(echo=False))
    assert not bench.sent(wire.Follow)


def test_an_answer_to_an_idle_question_revives() -> None:
    """Activity that another proxy saw brings an idle session back; an answer without it changes nothing."""
    bench = started()
    bench.serve()
    session = bench.login("10.0.0.1", idle_timeout_s=60)
    bench.leave()
    bench.pass_s(61)
    assert bench.lookup("10.0.0.1") is None
    bench.hear(wire.IdleAnswer(1, codec.encode_changes(Changes())))
    assert bench.lookup("10.0.0.1") is None
    touch = TouchRun(session.origin, [session.sequence], [WALL_MS + 30_000])
    bench.hear(wire.IdleAnswer(1, codec.encode_changes(Changes(touches=(touch,)))))
    assert bench.lookup("10.0.0.1") == session


@pytest.mark.parametrize(
    "message",
    [
        wire.Update(1, "lan1", b"\x90"),
        wire.Following(LOG_ID, 0, False),
        wire.Acknowledgement(1, 0, ()),
        wire.Bulk(1, b"\x90"),
        wire.Compared(1, 0),
        wire.Follow(0, 0),
        wire.IdleAnswer(1, b"garbage"),
    ],
)
def test_what_an_agent_may_not_say_costs_the_link(message: wire.Message) -> None:
    """A message out of turn closes the link with a reason, and the proxy goes on."""
    bench = started()
    bench.open()
    bench.hear(message)
    assert bench.all(commands.Close)[0].code is Code.PROTOCOL
    assert bench.client.conversation is None
    assert isinstance(bench.client, Client)
    assert bench.client.deadline - bench.now.monotonic_s <= 1.0
