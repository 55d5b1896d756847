"""Sections 9 and 10 of docs/reference/protocol.md: comparisons, and time."""

import pytest

from authagent.core import events as on
from protocol import codec, limits
from protocol.changes import Changes
from protocol.comparison import Comparison, Way
from protocol.errors import Code, RemoteProtocolError
from protocol.framing import frame
from protocol.messages import Bulk, Compare, Compared, Follow, Message, Nodes, Pages, Role, SnapshotWait, Want
from protocol.stamp import ClusterClock, Now, Offset, OffsetEstimator
from protocol.table import Table
from tests.spec.speakers import DIGEST_KEY, NOW_MS, SECRET_ID, LoneAgent, closes, heartbeat, logins, now, sent

CUT_MIN = NOW_MS // 60_000


def _table(*changes: Changes) -> Table:
    table = Table(digest_key=DIGEST_KEY)
    for each in changes:
        table.merge(each, NOW_MS)
    return table


def _many(count: int, proxy: str = "proxy1") -> list[Changes]:
    return [
        logins(*(f"{proxy}-{key}" for key in range(first, min(first + 500, count))), proxy=proxy, first=first)
        for first in range(0, count, 500)
    ]


def _compare(
    here: Table, there: Table, *, ids: tuple[bytes, bytes] = (SECRET_ID, SECRET_ID), apart_ms: int = 0
) -> tuple[Comparison, Comparison, list[Message]]:
    """Carry a comparison from the first Compare to the end; everything that was said."""
    opener = Comparison(here, 1, True, ids[0])
    answerer = Comparison(there, 1, False, ids[1])
    said: list[Message] = []
    inboxes: list[list[Message]] = [[], opener.start(NOW_MS)]
    sides = ((opener, here, NOW_MS), (answerer, there, NOW_MS + apart_ms))
    for turn in range(20_000):
        place = (turn + 1) % 2
        side, table, now_ms = sides[place]
        inbox, inboxes[place] = inboxes[place], []
        out: list[Message] = []
        for message in inbox:
            said.append(message)
            if isinstance(message, Bulk):
                changes = codec.decode_changes(message.payload)
                table.merge(changes, NOW_MS)
                side.received_bulk(len(changes))
            else:
                out += side.receive(message, now_ms)
        out += side.more(now_ms)
        inboxes[1 - place] += out
        if opener.finished and answerer.finished and not any(inboxes):
            return opener, answerer, said
    raise AssertionError("the comparison does not end")


def _bytes(said: list[Message]) -> int:
    return sum(len(frame(codec.encode(message))) for message in said)


def test_roots_under_different_secrets_are_not_compared() -> None:
    """[P-46] Equal tables whose roots have different secret ids are made equal all the same, and never called so."""
    opener, _, _ = _compare(_table(*_many(10)), _table(*_many(10)), ids=(b"aaaa", b"bbbb"))

    assert opener.way is Way.WHOLE
    assert not opener.comparable


def test_roots_at_different_cuts_are_not_compared() -> None:
    """[P-46] A peer whose clock is five minutes off takes another cut, and nothing is called unequal."""
    opener, _, _ = _compare(_table(*_many(10)), _table(*_many(9)), apart_ms=-300_000)

    assert opener.way is Way.NEITHER
    assert not opener.comparable


def test_numbers_tell_who_began() -> None:
    """[P-47] An agent numbers its comparisons evenly where it listened, and refuses an even one of the dialler."""
    agent = LoneAgent()
    agent.open(1, "proxy1")
    agent.hear(1, heartbeat(), Follow(0, 0))
    peer = agent.agent.peers.get(1)
    assert peer is not None
    (opened,) = sent(agent.agent.resync.open(peer, NOW_MS), Compare, 1)

    assert isinstance(opened, Compare)
    assert opened.comparison % 2 == 0
    refused = agent.hear(1, Compare(opened.comparison + 2, CUT_MIN, SECRET_ID, bytes(8), bytes(8), 0, 0))
    assert [close.code for close in closes(refused)] == [Code.PROTOCOL]


@pytest.mark.parametrize(("apart_min", "taken"), [(0, True), (2, True), (-1, True), (3, False), (-2, False)])
def test_the_answerer_takes_a_near_cut(apart_min: int, taken: bool) -> None:
    """[P-48] The opener's cut is answered up to two minutes back and one ahead; else the answerer names its own."""
    answerer = Comparison(_table(), 1, False, SECRET_ID)
    now_ms = NOW_MS + apart_min * 60_000
    answer = answerer.receive(Compare(1, CUT_MIN, SECRET_ID, bytes(8), bytes(8), 0, 0), now_ms)

    assert isinstance(answer[0], Compare)
    assert answer[0].cut_min == (CUT_MIN if taken else now_ms // 60_000)


def test_equal_tables_cost_less_than_a_kibibyte() -> None:
    """[P-49] Two tables of 10,000 sessions find out that they are equal with less than 1,024 bytes."""
    opener, _, said = _compare(_table(*_many(10_000)), _table(*_many(10_000)))

    assert opener.equal
    assert _bytes(said) < 1_024


def test_an_empty_side_is_sent_everything() -> None:
    """[P-50] A side that holds nothing gets the whole table as Bulk and nothing else."""
    here, there = _table(), _table(*_many(1_000))
    _, answerer, said = _compare(here, there)

    assert answerer.way is Way.SNAPSHOT
    assert here.records == 1_000
    assert {type(message) for message in said} == {Compare, Bulk, Compared}


def test_two_snapshots_are_served_at_once() -> None:
    """[P-50] The third follower that holds nothing is told to wait, and is served when one of the others is done."""
    agent = LoneAgent()
    for changes in _many(3_000):
        agent.table.merge(changes, NOW_MS)
    told = {}
    for link in (1, 2, 3):
        agent.open(link, f"proxy{link}")
        told[link] = agent.hear(link, heartbeat(), Compare(1, CUT_MIN, SECRET_ID, bytes(8), bytes(8), 0, 0))

    assert [bool(sent(told[link], SnapshotWait, link)) for link in (1, 2, 3)] == [False, False, True]
    agent.step(on.LinkClosed(1, None, "gone", True))
    assert sent(agent.step(on.LinkDrained(3)), Bulk, 3)


@pytest.mark.parametrize(
    "nodes",
    [
        Nodes(1, (b"\x00",), bytes(128)),
        Nodes(1, (b"", b""), bytes(256)),
        Nodes(1, (), bytes(128)),
    ],
    ids=["too deep", "not ascending", "children of nothing"],
)
def test_nodes_are_checked(nodes: Nodes) -> None:
    """[P-51] Nodes at the wrong depth, out of order, or that do not fit their paths cost the link."""
    opener = Comparison(_table(*_many(10)), 1, True, SECRET_ID)
    opener.start(NOW_MS)
    opener.receive(Compare(1, CUT_MIN, SECRET_ID, b"other123", bytes(8), 5, 0), NOW_MS)

    with pytest.raises(RemoteProtocolError):
        opener.receive(nodes, NOW_MS)


def test_nodes_lie_below_what_was_sent() -> None:
    """[P-51] A second-level answer about a node that was not asked for costs the link."""
    here = _table(*_many(10))
    opener = Comparison(here, 1, True, SECRET_ID)
    opener.start(NOW_MS)
    opener.receive(Compare(1, CUT_MIN, SECRET_ID, b"other123", bytes(8), 5, 0), NOW_MS)
    children = here.children(CUT_MIN, b"")
    (asked,) = opener.receive(Nodes(1, (b"",), bytes([children[0] ^ 1]) + children[1:]), NOW_MS)

    assert isinstance(asked, Nodes)
    assert asked.paths == (b"\x00",)
    with pytest.raises(RemoteProtocolError):
        opener.receive(Nodes(1, (b"\x05\x00",), bytes(128)), NOW_MS)


def test_leaves_ascend() -> None:
    """[P-52] Pages that name a leaf again cost the link."""
    answerer = Comparison(_table(*_many(10)), 1, False, SECRET_ID)
    answerer.receive(Compare(1, CUT_MIN, b"oldr", b"other123", bytes(8), 5, 0), NOW_MS)
    answerer.receive(Pages(1, (7,), (), (), (), (), (), False), NOW_MS)

    with pytest.raises(RemoteProtocolError):
        answerer.receive(Pages(1, (7,), (), (), (), (), (), False), NOW_MS)


def test_wants_are_of_announced_pages() -> None:
    """[P-52] A Want of a page that was never announced costs the link."""
    answerer = Comparison(_table(*_many(10)), 1, False, SECRET_ID)
    answerer.receive(Compare(1, CUT_MIN, b"oldr", b"other123", bytes(8), 5, 0), NOW_MS)

    with pytest.raises(RemoteProtocolError):
        answerer.receive(Want(1, ("proxy1",), (1,), (0,), (99,), (b"\x01",), (b"",), False), NOW_MS)


def test_both_end_with_the_join() -> None:
    """[P-53] Tables that differ on both sides end equal, with Compared once from each as the last of all it sends."""
    here = _table(*_many(2_000), *_many(40, "proxy2"))
    there = _table(*_many(2_000), *_many(60, "proxy3"))
    opener, answerer, said = _compare(here, there)

    assert opener.way is answerer.way is Way.TRIE
    assert here.root(CUT_MIN) == there.root(CUT_MIN)
    assert here.records == there.records == 2_100
    assert [type(message) for message in said].count(Compared) == 2
    assert isinstance(said[-1], Compared)


def test_cluster_time_slews_and_never_steps() -> None:
    """[P-54] Pulled by a wall clock that is an hour ahead, or behind, cluster time changes by 5 ms a second."""
    for ahead_ms in (3_600_000, -3_600_000):
        clock = ClusterClock()
        clock.lead(now())
        moved = Now(1_000.0, 1_000_000, NOW_MS + ahead_ms)
        before = clock.now_ms(moved)
        clock.lead(moved)
        later = Now(1_010.0, 1_010_000, NOW_MS + ahead_ms + 10_000)

        assert abs(clock.now_ms(later) - before - 10_000) <= 50
        assert clock.now_ms(later) > before


def test_the_first_sample_sets_a_clock_and_later_ones_do_not_step_it() -> None:
    """[P-54] A clock that was never set takes the master's time at once; the next sample only slews it."""
    clock = ClusterClock()
    clock.follow(Offset(1, NOW_MS + 90_000 - 1_000_000, NOW_MS - 1_000_000, 1_000_000), now())
    assert clock.now_ms(now()) == NOW_MS + 90_000
    clock.follow(Offset(1, NOW_MS - 1_000_000, NOW_MS - 1_000_000, 1_000_000), now())

    assert clock.now_ms(now(1.0)) == NOW_MS + 90_000 + 995


def test_a_time_that_nobody_follows_gives_way() -> None:
    """[P-54] A lone master takes over the time that its first proxy has kept, if it is far away, until one follows."""
    alone = LoneAgent()
    day_ms = 86_400_000
    for link, kept_ms, then_ms in ((1, NOW_MS + day_ms, NOW_MS + day_ms), (2, NOW_MS, NOW_MS + day_ms)):
        alone.open(link, f"p{link}")
        alone.hear(link, heartbeat(Role.PROXY, cluster_ms=kept_ms), Follow(0, 0))
        assert alone.agent.duty.now_ms(now(alone.at_s)) == then_ms


@pytest.mark.parametrize(("trip_ms", "counts"), [(0, True), (500, True), (502, False)])
def test_long_round_trips_tell_nothing(trip_ms: int, counts: bool) -> None:
    """[P-55] An offset is taken at half of the round trip, and from no trip whose half is above 250 ms."""
    estimator = OffsetEstimator()
    here = now(1.0)
    there = heartbeat(
        Role.MASTER, cluster_ms=NOW_MS, wall_ms=NOW_MS, echo_ms=here.boot_ms - trip_ms - 40, held_ms=40
    )
    estimator.heard(there, here)

    assert (estimator.best is not None) == counts
    if estimator.best is not None:
        assert estimator.best.cluster_ms == NOW_MS + trip_ms // 2 - here.boot_ms


def test_the_shortest_trip_of_the_last_minute_is_believed() -> None:
    """[P-55] A longer trip does not replace a shorter one until that is a minute old."""
    estimator = OffsetEstimator()
    for at_s, trip_ms in ((1.0, 4), (30.0, 80), (62.0, 90)):
        here = now(at_s)
        said = {"cluster_ms": here.wall_ms, "wall_ms": here.wall_ms, "echo_ms": here.boot_ms - trip_ms}
        estimator.heard(heartbeat(Role.MASTER, **said), here)
        assert estimator.round_trip_ms == {1.0: 4, 30.0: 4, 62.0: 80}[at_s]


def test_agents_with_clocks_apart_refuse_each_other() -> None:
    """[P-56] A master closes the link of a partner whose wall clock is more than 2 s away, with CLOCK."""
    pair = LoneAgent(partner=2)
    pair.step(on.LinkOpened(9, "agent", "lan1", "2", 5, "127.0.0.1:5", "test", True, 0, False))
    pair.hear(9, heartbeat(Role.STARTING))
    assert pair.agent.election.role == Role.MASTER
    for _ in range(3):
        pair.at_s += 0.1
        here = now(pair.at_s)
        ahead_ms = limits.MAX_CLOCK_OFFSET_MS + 500
        said = pair.hear(9, heartbeat(Role.SLAVE, pair.at_s, wall_ms=here.wall_ms + ahead_ms, echo_ms=here.boot_ms))
        if closes(said):
            break

    assert [close.code for close in closes(said)] == [Code.CLOCK]
