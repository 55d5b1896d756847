"""Resync: when comparisons begin, how many snapshots at once, when they are over."""

import pytest

from authagent.core.commands import Command, Send
from authagent.core.peer import Peer
from authagent.core.resync import STALLED_MS, Resync
from protocol import codec
from protocol.errors import RemoteProtocolError
from protocol.messages import Bulk, Compare, Compared, Message, Nodes, SnapshotWait
from tests.authagent.core.machine import NOW_MS, SECRET_ID, logins, make_peer, make_table, sent

HASH = b"12345678"


def _resync(*keys: str) -> Resync:
    table = make_table()
    if keys:
        table.merge(logins(*keys), NOW_MS)
    return Resync(table, SECRET_ID)


def _compare(number: int, records: int = 1, *, cut_min: int = NOW_MS // 60_000, root: bytes = HASH) -> Compare:
    return Compare(number, cut_min, SECRET_ID, root, HASH, records, 0)


def _messages(commands: list[Command]) -> list[Message]:
    return [command.message for command in commands if isinstance(command, Send)]


def _run(one: Resync, one_peer: Peer, other: Resync, other_peer: Peer, said: list[Command]) -> list[str]:
    """Carry messages between two sides until both are quiet; who said that it is over."""
    finished = []
    mine, theirs = _messages(said), [*_messages(one.more(one_peer, NOW_MS)[0])]
    to_other, to_one = mine + theirs, list[Message]()
    for _ in range(200):
        for name, resync, peer, inbox, outbox in (
            ("other", other, other_peer, to_other, to_one),
            ("one", one, one_peer, to_one, to_other),
        ):
            while inbox:
                message = inbox.pop(0)
                if isinstance(message, Bulk):
                    changes = codec.decode_changes(message.payload)
                    resync.table.merge(changes, NOW_MS)
                    resync.bulk(peer, message, len(changes))
                    continue
                commands, over = resync.receive(peer, message, NOW_MS)  # type: ignore[arg-type]
                outbox += _messages(commands)
                finished += [name] * over
            more, over = resync.more(peer, NOW_MS)
            outbox += _messages(more)
            finished += [name] * over
    return finished


def test_both_sides_end_with_equal_tables() -> None:
    """A comparison opened here goes both ways, is told to be over once on each side, and is counted."""
    one, other = _resync("10.0.0.1"), _resync("10.0.0.2", "10.0.0.3")
    one.table.merge(logins("10.0.0.9", first=300), NOW_MS)
    one_peer, other_peer = make_peer(1, "2", "agent", dialled=True), make_peer(5, "1", "agent")
    one.table.merge(logins("10.0.0.4", first=100), NOW_MS)

    finished = _run(one, one_peer, other, other_peer, one.open(one_peer, NOW_MS))

    assert sorted(finished) == ["one", "other"]
    assert one.table.root(1) == other.table.root(1)
    assert (one.finished_count, other.finished_count) == (1, 1)
    assert not one.comparing(1) and not other.comparing(5)


def test_the_next_comparison_tells_when_the_last_began() -> None:
    """By it the peer knows since when it owes activity; it is remembered by name, whatever the link."""
    one, other = _resync("10.0.0.1"), _resync("10.0.0.1")
    one_peer, other_peer = make_peer(1, "2", "agent", dialled=True), make_peer(5, "1", "agent")
    _run(one, one_peer, other, other_peer, one.open(one_peer, NOW_MS))

    (compare,) = _messages(one.open(make_peer(2, "2", "agent", dialled=True), NOW_MS + 5_000))
    (first,) = _messages(one.open(make_peer(3, "p1"), NOW_MS + 5_000))

    assert isinstance(compare, Compare) and compare.since_ms == NOW_MS
    assert isinstance(first, Compare) and first.since_ms == 0


def test_numbers_are_odd_for_the_dialler_and_even_for_the_listener() -> None:
    """So two that begin at once do not take the same; a number of ours from the peer is refused."""
    resync = _resync("10.0.0.1")
    (dialled,) = _messages(resync.open(make_peer(1, dialled=True), NOW_MS))
    (listened,) = _messages(resync.open(make_peer(2), NOW_MS))
    assert isinstance(dialled, Compare) and dialled.comparison % 2 == 1
    assert isinstance(listened, Compare) and listened.comparison % 2 == 0

    with pytest.raises(RemoteProtocolError):
        resync.receive(make_peer(3, dialled=True), _compare(5), NOW_MS)
    with pytest.raises(RemoteProtocolError):
        resync.receive(make_peer(4), _compare(4), NOW_MS)


def test_one_comparison_on_a_link() -> None:
    """A second one is not begun while the first is under way."""
    resync, peer = _resync("10.0.0.1"), make_peer(1)
    assert resync.open(peer, NOW_MS)

    assert resync.open(peer, NOW_MS) == []


def test_of_two_begun_at_once_the_diallers_goes_on() -> None:
    """The dialler ignores the other's, the listener drops its own."""
    dialler, listener = make_peer(1, dialled=True), make_peer(1)
    here, there = _resync("10.0.0.1"), _resync("10.0.0.2")
    (ours,) = _messages(here.open(dialler, NOW_MS))
    (theirs,) = _messages(there.open(listener, NOW_MS))
    assert isinstance(ours, Compare) and isinstance(theirs, Compare)

    assert here.receive(dialler, theirs, NOW_MS) == ([], False)
    answered, _ = there.receive(listener, ours, NOW_MS)
    assert next(type(message) for message in _messages(answered)) is Compare
    assert all(message.comparison == ours.comparison for message in _messages(answered))  # type: ignore[attr-defined]


def test_the_rest_of_what_was_given_up_is_passed_over() -> None:
    """Messages of a comparison that does not run here do no harm; Bulk of it is merged by its owner all the same."""
    resync, peer = _resync("10.0.0.1"), make_peer(1)

    assert resync.receive(peer, Compared(7, 0), NOW_MS) == ([], False)
    assert resync.receive(peer, Nodes(7, (b"",), bytes(128)), NOW_MS) == ([], False)
    resync.bulk(peer, Bulk(7, b""), 3)


def test_two_snapshots_are_served_at_once() -> None:
    """The third waits, told so, until one of the two is over or its link is gone."""
    resync = _resync(*(f"10.0.0.{number}" for number in range(200)))
    peers = [make_peer(link, f"p{link}") for link in range(3)]
    answers = [resync.receive(peer, _compare(1, records=0, root=bytes(8)), NOW_MS)[0] for peer in peers]

    assert [bool(sent(answer, SnapshotWait)) for answer in answers] == [False, False, True]
    assert [bool(sent(answer, Bulk)) for answer in answers] == [True, True, False]
    assert resync.more(peers[2], NOW_MS) == ([], False)

    resync.close(peers[0].link)
    assert sent(resync.more(peers[2], NOW_MS)[0], Bulk)


def test_who_waits_for_a_snapshot_is_not_stalled() -> None:
    """Only what could move and does not is given up, after ten seconds."""
    resync = _resync("10.0.0.1")
    peers = [make_peer(link, f"p{link}") for link in range(3)]
    for peer in peers:
        resync.receive(peer, _compare(1, records=0, root=bytes(8)), NOW_MS)

    later = NOW_MS + STALLED_MS + 1
    assert [resync.stalled(peer.link, later) for peer in peers] == [True, True, False]
    assert not resync.stalled(peers[0].link, NOW_MS + STALLED_MS)
    assert not resync.stalled(99, later)


def test_cuts_too_far_apart_compare_nothing_and_are_forced() -> None:
    """A comparison that told nothing is neither over nor counted: the opener asks again for all pages."""
    one, other = _resync("10.0.0.1"), _resync("10.0.0.2", "10.0.0.3")
    one.table.merge(logins("10.0.0.7", first=500), NOW_MS)
    one_peer, other_peer = make_peer(1, dialled=True), make_peer(5)
    hour_ms = 3_600_000

    (compare,) = _messages(one.open(one_peer, NOW_MS - hour_ms))
    answered, over = other.receive(other_peer, compare, NOW_MS)  # type: ignore[arg-type]
    assert not over
    again: list[Command] = []
    for message in _messages(answered):
        commands, over = one.receive(one_peer, message, NOW_MS - hour_ms)  # type: ignore[arg-type]
        again += commands
        assert not over
    opened = [message for message in _messages(again) if isinstance(message, Compare)]

    assert [message.forced for message in opened] == [True]
    assert one.finished_count == 0
    for message in _messages(again):
        if isinstance(message, Compared):
            assert not other.receive(other_peer, message, NOW_MS)[1]
    assert other.finished_count == 0
    assert sorted(_run(one, one_peer, other, other_peer, [Send((1,), opened[0])])) == ["one", "other"]
    assert one.table.root(1) == other.table.root(1)


def test_a_snapshot_that_was_served_is_counted() -> None:
    """Only on the side that served it."""
    full, empty = _resync("10.0.0.1", "10.0.0.2"), _resync()
    _run(empty, make_peer(1, dialled=True), full, make_peer(5), empty.open(make_peer(1, dialled=True), NOW_MS))

    assert (full.snapshots_count, empty.snapshots_count) == (1, 0)
    assert full.table.root(1) == empty.table.root(1)
