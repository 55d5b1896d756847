"""Tests of protocol.comparison: tables become equal whatever way is taken, cheaply, and against hostile peers."""

from collections import Counter
from collections.abc import Callable

import attrs
import pytest

from protocol import limits
from protocol.changes import Barrier, Changes
from protocol.comparison import Comparison, Way
from protocol.errors import LocalProtocolError, RemoteProtocolError
from protocol.messages import Bulk, Compare, Compared, Message, Nodes, Pages, Ping, SnapshotWait, Want
from protocol.session import LoginId, Origin, State
from protocol.table import Table
from tests.protocol.pairs import HOUR_MS, NOW_MS, SECRET_ID, Pair, contents, ends, logins, make_table, touches

ONE = Origin("proxy1", 7)
TWO = Origin("proxy2", 9)
CUT = NOW_MS // 60_000


def twins(count: int = 1_000) -> tuple[Table, Table]:
    """Two equal tables with so many logins of each of two origins."""
    tables = make_table(), make_table()
    for table in tables:
        for origin in (ONE, TWO):
            for first in range(0, count, 500):
                table.merge(logins(origin, range(first, min(count, first + 500))), NOW_MS)
    return tables


def ways(pair: Pair) -> tuple[Way | None, Way | None]:
    assert pair.opener.machine is not None
    assert pair.answerer.machine is not None
    return pair.opener.machine.way, pair.answerer.machine.way


def moved(pair: Pair) -> tuple[tuple[int, int], tuple[int, int]]:
    """(sent, received) of opener and answerer."""
    machines = [pair.opener.machine, pair.answerer.machine]
    first, second = [(machine.sent, machine.received) for machine in machines if machine is not None]
    return first, second


# -- the ways ----------------------------------------------------------------------------------------------------


def test_equal_tables_are_done_at_once() -> None:
    """Equal roots cost one Compare and one Compared each way, far below 1 KiB."""
    pair = Pair(*twins())
    assert pair.compare() <= 256
    assert ways(pair) == (Way.EQUAL, Way.EQUAL)
    assert [type(message) for message in pair.opener.sent_messages] == [Compare, Compared]
    assert [type(message) for message in pair.answerer.sent_messages] == [Compare, Compared]
    assert pair.opener.machine is not None
    assert pair.opener.machine.equal


def test_two_empty_tables_are_equal() -> None:
    """Nobody serves a snapshot of nothing."""
    pair = Pair(make_table(), make_table())
    pair.compare()
    assert ways(pair) == (Way.EQUAL, Way.EQUAL)


def test_differences_travel_both_ways() -> None:
    """What each lacks it gets; what it has at a lower state it gets the end of; counts tell what moved."""
    here, there = twins()
    here.merge(logins(ONE, range(2_000, 2_010)), NOW_MS)
    here.merge(ends(TWO, [3, 4], State.LOGGED_OUT), NOW_MS)
    there.merge(logins(TWO, range(5_000, 5_007)), NOW_MS)
    there.merge(ends(TWO, [4, 6], State.ADMINISTRATOR), NOW_MS)
    pair = Pair(here, there)
    pair.compare()
    assert ways(pair) == (Way.TRIE, Way.TRIE)
    assert contents(here) == contents(there)
    assert here.record(LoginId(*TWO, 4)) == there.record(LoginId(*TWO, 4))
    record = here.record(LoginId(*TWO, 4))
    assert record is not None
    assert record.state == State.ADMINISTRATOR
    assert moved(pair) == ((11, 9), (9, 11))
    again = Pair(here, there)
    again.compare()
    assert ways(again) == (Way.EQUAL, Way.EQUAL)


@pytest.mark.parametrize("empty_opens", [True, False])
def test_an_empty_side_gets_a_snapshot(empty_opens: bool) -> None:
    """Whoever holds nothing is sent everything, tombstones and barriers included, and teaches nobody to forget."""
    full, _ = twins(3_000)
    full.merge(ends(ONE, range(40)), NOW_MS)
    full.merge(touches(ONE, range(50, 90), NOW_MS - 7), NOW_MS)
    full.merge(Changes(barriers=(Barrier("alice", NOW_MS),)), NOW_MS)
    before = contents(full)
    empty = make_table()
    pair = Pair(empty, full) if empty_opens else Pair(full, empty)
    pair.compare()
    assert ways(pair) == (Way.SNAPSHOT, Way.SNAPSHOT)
    assert contents(full) == contents(empty) == before
    server = pair.answerer if empty_opens else pair.opener
    assert server.machine is not None
    assert server.machine.serves_snapshot
    kinds = Counter(type(message) for message in server.sent_messages)
    assert kinds[Bulk] >= 6_000 // 755


def test_an_empty_side_gives_its_barriers() -> None:
    """A logout(user) known only to a node without sessions reaches the other."""
    full, _ = twins(10)
    empty = make_table()
    empty.merge(Changes(barriers=(Barrier("user3", NOW_MS),)), NOW_MS)
    Pair(full, empty).compare()
    assert full.barrier("user3") == NOW_MS
    assert contents(full) == contents(empty)


def test_a_snapshot_is_not_made_at_once() -> None:
    """The server hands out a slice at a time, so that live updates can go in between."""
    full, _ = twins(3_000)
    pair = Pair(make_table(), full)
    pair.open()
    pair.deliver(pair.answerer)
    assert [type(message) for message in pair.answerer.sent_messages] == [Compare]
    assert pair.more(pair.answerer)
    (bulk,) = [message for message in pair.answerer.sent_messages if isinstance(message, Bulk)]
    assert len(bulk.payload) <= limits.FRAME_BYTES_MAX
    pair.run()
    assert contents(pair.opener.table) == contents(full)


def test_a_snapshot_that_waits_is_no_error() -> None:
    """SnapshotWait changes nothing; the snapshot comes when the owner calls for more."""
    full, _ = twins(10)
    pair = Pair(make_table(), full)
    pair.open()
    pair.answerer.send([SnapshotWait(1)])
    pair.run()
    assert contents(pair.opener.table) == contents(full)


def test_only_barriers_differ() -> None:
    """Barriers alone make roots differ, and are exchanged whole without any page."""
    here, there = twins()
    here.merge(Changes(barriers=(Barrier("alice", NOW_MS), Barrier("bob", NOW_MS - 9))), NOW_MS)
    there.merge(Changes(barriers=(Barrier("bob", NOW_MS), Barrier("carol", 5))), NOW_MS)
    pair = Pair(here, there)
    assert pair.compare() <= 1_024
    assert ways(pair) == (Way.TRIE, Way.TRIE)
    assert contents(here) == contents(there)
    assert {("alice", NOW_MS), ("bob", NOW_MS)} <= set(here.barriers())


def test_roots_under_different_secrets_are_never_unequal() -> None:
    """While a secret is changed roots tell nothing: pages are compared by their states, and tables become equal."""
    here, there = make_table(b"1" * 32), make_table(b"2" * 32)
    for table in (here, there):
        table.merge(logins(ONE, range(300)), NOW_MS)
    here.merge(ends(ONE, [5, 299]), NOW_MS)
    here.merge(Changes(barriers=(Barrier("alice", NOW_MS),)), NOW_MS)
    there.merge(logins(TWO, range(700)), NOW_MS)
    pair = Pair(here, there)
    pair.compare(secret_ids=(b"old.", b"new."))
    assert ways(pair) == (Way.WHOLE, Way.WHOLE)
    assert contents(here) == contents(there)
    for side in (pair.opener, pair.answerer):
        assert side.machine is not None
        assert not side.machine.comparable
        assert not side.machine.equal
        assert sum(isinstance(message, Nodes) for message in side.sent_messages) == 0


def test_an_empty_side_gets_its_snapshot_under_any_secret() -> None:
    """An agent that starts empty while a secret is changed does not wait for the end of the change."""
    full, _ = twins(10)
    empty = make_table(b"2" * 32)
    pair = Pair(empty, full)
    pair.compare(secret_ids=(b"old.", b"new."))
    assert ways(pair) == (Way.SNAPSHOT, Way.SNAPSHOT)
    assert contents(full) == contents(empty)


@pytest.mark.parametrize("ahead_min", [-1, 0, 1, 2])
def test_a_cut_that_differs_by_clock_or_delay_is_answered(ahead_min: int) -> None:
    """An answerer whose minute is one behind, or up to two ahead, answers at the opener's cut."""
    here, there = twins()
    here.merge(ends(ONE, [5]), NOW_MS)
    pair = Pair(here, there)
    pair.ahead_ms = ahead_min * 60_000
    pair.compare()
    assert ways(pair) == (Way.TRIE, Way.TRIE)
    assert contents(here) == contents(there)


@pytest.mark.parametrize("ahead_min", [-2, 3])
def test_a_cut_too_far_away_is_not_comparable(ahead_min: int) -> None:
    """Both say so and nothing moves: roots at different cuts are not unequal."""
    here, there = twins()
    here.merge(ends(ONE, [5]), NOW_MS)
    pair = Pair(here, there)
    pair.ahead_ms = ahead_min * 60_000
    pair.compare()
    assert ways(pair) == (Way.NEITHER, Way.NEITHER)
    assert Compared(1, 0, comparable=False) in pair.opener.sent_messages
    assert Compared(1, 0, comparable=False) in pair.answerer.sent_messages
    assert moved(pair) == ((0, 0), (0, 0))


@pytest.mark.parametrize("forced", [(True, False), (False, True)])
def test_forced_by_either_side_leads_to_equal_tables_across_cuts(forced: tuple[bool, bool]) -> None:
    """An operator's resync does not stop at clocks."""
    here, there = twins()
    here.merge(ends(ONE, [5]), NOW_MS)
    there.merge(logins(ONE, [5_000]), NOW_MS)
    pair = Pair(here, there)
    pair.ahead_ms = -2 * 60_000
    pair.compare(forced=forced)
    assert ways(pair) == (Way.WHOLE, Way.WHOLE)
    assert contents(here) == contents(there)


def test_what_expires_before_the_cut_is_not_compared() -> None:
    """Records that one node has forgotten and the other not yet make no difference once they have expired."""
    here, there = twins(10)
    here.merge(logins(ONE, [14, 19]), NOW_MS)  # these expire a minute from now
    pair = Pair(here, there)
    pair.now_ms += 2 * 60_000
    pair.compare()
    assert ways(pair) == (Way.EQUAL, Way.EQUAL)


# -- activity ----------------------------------------------------------------------------------------------------


def test_activity_travels_although_no_digest_covers_it() -> None:
    """Equal roots say nothing of active_at: each side sends what was touched since the other's last comparison."""
    here, there = twins()
    here.merge(touches(ONE, [1, 2], NOW_MS - 1_000), NOW_MS)
    there.merge(touches(ONE, [2, 3], NOW_MS - 500), NOW_MS)
    pair = Pair(here, there)
    pair.compare()
    assert ways(pair) == (Way.EQUAL, Way.EQUAL)
    assert contents(here) == contents(there)
    assert moved(pair) == ((2, 2), (2, 2))


def test_activity_goes_back_to_the_last_comparison_less_twice_the_offset() -> None:
    """Each side is sent what is news to it: since its own last comparison, less what clocks may differ, and no more."""
    here, there = twins()
    last_ms = NOW_MS - 60_000
    here.merge(touches(ONE, [1], last_ms - 4_001), NOW_MS)
    here.merge(touches(ONE, [2], last_ms - 4_000), NOW_MS)
    there.merge(touches(TWO, [1], last_ms + 3_000), NOW_MS)
    there.merge(touches(TWO, [2], last_ms + 9_000), NOW_MS)
    pair = Pair(here, there)
    pair.compare(since_ms=(last_ms + 10_000, last_ms))
    assert moved(pair) == ((1, 1), (1, 1))
    record = there.record(LoginId(*ONE, 2))
    assert record is not None
    assert record.active_at == last_ms - 4_000


def test_the_next_comparison_looks_back_to_the_beginning_of_this_one() -> None:
    """`began_ms` is when a comparison began and not when it ended: what changed meanwhile is told again."""
    pair = Pair(*twins(10))
    pair.open()
    pair.now_ms += 5_000
    pair.run()
    for side, began_ms in ((pair.opener, NOW_MS), (pair.answerer, NOW_MS + 5_000)):
        assert side.machine is not None
        assert side.machine.began_ms == began_ms
        assert side.machine.moved_ms == NOW_MS + 5_000


# -- contents ----------------------------------------------------------------------------------------------------


def test_a_conflict_reaches_the_other_side_whole() -> None:
    """Where one side knows two contents of one login, the other comes to keep the same one, ended as a conflict."""
    here, there = twins(10)
    (run,) = logins(ONE, [3]).logins
    here.merge(Changes(logins=(attrs.evolve(run, users=["aaron"]),)), NOW_MS)
    pair = Pair(here, there)
    pair.compare()
    record = there.record(LoginId(*ONE, 3))
    assert record is not None
    assert (record.state, record.login.user) == (State.CONFLICT, "aaron")
    assert here.record(LoginId(*ONE, 3)) == record


def test_a_tombstone_without_login_travels() -> None:
    """An end that overtook its login is given on as it stands, and ends the login elsewhere."""
    here, there = twins(10)
    here.merge(ends(ONE, [500]), NOW_MS)
    there.merge(logins(ONE, [700]), NOW_MS)
    here.merge(ends(ONE, [700]), NOW_MS)
    Pair(here, there).compare()
    assert contents(here) == contents(there)
    record = there.record(LoginId(*ONE, 700))
    assert record is not None
    assert record.state == State.LOGGED_OUT


# -- cost --------------------------------------------------------------------------------------------------------


def test_a_hundred_scattered_differences_are_cheap() -> None:
    """100 differences in 100 pages, salted with old logouts, cost at most 40 KiB both ways."""
    here, there = make_table(), make_table()
    for table in (here, there):
        for first in range(0, 100 * 256, 500):
            table.merge(logins(ONE, range(first, min(100 * 256, first + 500))), NOW_MS)
            table.merge(ends(ONE, [number for number in range(first, first + 500) if number * 7919 % 13 < 6]), NOW_MS)
    for page in range(0, 100, 2):
        here.merge(ends(ONE, [page * 256 + page], State.ADMINISTRATOR), NOW_MS)
        there.merge(ends(ONE, [page * 256 + 300], State.ADMINISTRATOR), NOW_MS)
    pair = Pair(here, there)
    assert pair.compare() <= 40 * 1024
    assert contents(here) == contents(there)
    assert moved(pair) == ((50, 50), (50, 50))


def test_everything_different_is_sent_in_bounded_messages() -> None:
    """Two tables with nothing in common exchange all of both, no message above the ordinary frame."""
    here, there = make_table(), make_table()
    for page in range(300):
        here.merge(logins(ONE, range(page * 256, page * 256 + 10)), NOW_MS)
        there.merge(logins(TWO, range(page * 256, page * 256 + 10)), NOW_MS)
    pair = Pair(here, there)
    pair.compare()
    assert contents(here) == contents(there)
    assert here.records == 6_000
    for message in (*pair.opener.sent_messages, *pair.answerer.sent_messages):
        if isinstance(message, Bulk):
            assert len(message.payload) <= limits.FRAME_BYTES_MAX
        if isinstance(message, Pages):
            assert len(message.pages) <= 2 * 256


# -- against the rules -------------------------------------------------------------------------------------------


def compare(**changes: object) -> Compare:
    message = Compare(1, CUT, SECRET_ID, b"somewhat", b"barriers", 5, 0)
    return attrs.evolve(message, **changes)  # type: ignore[arg-type]


def pages(*leaves: int, last: bool = False) -> Pages:
    return Pages(1, leaves, (), (), (), (), (), last)


def page(number: int = 0, origin: int = 0, states: bytes = b"\x00\x01", *, count: int = 1, leaf: int = 7) -> Pages:
    return Pages(1, (leaf,), ("x",), (1,), (origin,) * count, (number,) * count, (states,) * count, last=False)


def want(number: int = 0, origin: int = 0, *, last: bool = False) -> Want:
    return Want(1, (ONE.proxy,), (ONE.epoch,), (origin,), (number,), (b"\x01",), (b"",), last)


LAST_WANT = Want(1, (), (), (), (), (), (), last=True)
TOP = Nodes(1, (b"",), b"?" * 128)
LAST_PAGES = pages(last=True)


def machine(*, opener: bool) -> Comparison:
    table = make_table()
    table.merge(logins(ONE, [0]), NOW_MS)
    made = Comparison(table, 1, opener, SECRET_ID)
    if opener:
        made.start(NOW_MS)
    return made


ANSWERER_TRANSCRIPTS: dict[str, list[Message]] = {
    "nodes first": [TOP],
    "pages first": [LAST_PAGES],
    "want first": [LAST_WANT],
    "compared first": [Compared(1, 0)],
    "two compares": [compare(), compare()],
    "a root too short": [compare(root=b"short")],
    "barriers too long": [compare(barriers=b"too long for it")],
    "nodes of the top": [compare(), TOP],
    "want of the answerer": [compare(), LAST_WANT],
    "compared before the last pages": [compare(), Compared(1, 0)],
    "compared twice": [compare(), LAST_PAGES, Compared(1, 0), Compared(1, 0)],
    "leaves do not ascend": [compare(), pages(5, 4)],
    "a leaf twice": [compare(), pages(5), pages(5)],
    "a leaf that is none": [compare(), pages(4_096)],
    "pages of no leaf": [compare(), attrs.evolve(page(), leaves=())],
    "endless empty pages": [compare(), pages()],
    "an unlisted origin": [compare(), page(origin=1)],
    "a page twice": [compare(), page(count=2)],
    "states that are none": [compare(), page(states=b"\x00\x09")],
    "pages after the last": [compare(), LAST_PAGES, pages(9)],
    "nodes after pages": [compare(), pages(9), Nodes(1, (b"\x01",), b"?" * 128)],
    "wholly announced, no wants": [compare(secret_id=b"other"), LAST_PAGES, Compared(1, 0)],
}

OPENER_TRANSCRIPTS: dict[str, list[Message]] = {
    "nodes first": [TOP],
    "compared first": [Compared(1, 0)],
    "two compares": [compare(), compare()],
    "pages of the answerer": [compare(), LAST_PAGES],
    "want before pages": [compare(), LAST_WANT],
    "want of what was not announced": [compare(), want()],
    "compared instead of nodes": [compare(), Compared(1, 0)],
    "the top twice": [compare(), TOP, TOP],
}


@pytest.mark.parametrize("name", ANSWERER_TRANSCRIPTS)
def test_an_answerer_refuses_what_is_out_of_turn(name: str) -> None:
    """All but the last message is in order; the last costs the link, at the moment it is heard."""
    answerer = machine(opener=False)
    *before, last = ANSWERER_TRANSCRIPTS[name]
    for message in before:
        answerer.receive(message, NOW_MS)
    with pytest.raises(RemoteProtocolError):
        answerer.receive(last, NOW_MS)


@pytest.mark.parametrize("name", OPENER_TRANSCRIPTS)
def test_an_opener_refuses_what_is_out_of_turn(name: str) -> None:
    """All but the last message is in order; the last costs the link, at the moment it is heard."""
    opener = machine(opener=True)
    *before, last = OPENER_TRANSCRIPTS[name]
    for message in before:
        opener.receive(message, NOW_MS)
    with pytest.raises(RemoteProtocolError):
        opener.receive(last, NOW_MS)


def announced() -> Comparison:
    """An opener that has announced its only page."""
    opener = machine(opener=True)
    opener.receive(compare(), NOW_MS)
    (middle,) = opener.receive(TOP, NOW_MS)
    assert isinstance(middle, Nodes)
    lowest = tuple(bytes([high, low]) for high in range(16) for low in range(16))
    opener.receive(Nodes(1, lowest, b"?" * 128 * 256), NOW_MS)
    (said,) = opener.more(NOW_MS)
    assert isinstance(said, Pages)
    assert said.last
    assert said.pages == (0,)
    return opener


def test_a_page_is_wanted_once() -> None:
    """A peer cannot make us send a page again and again."""
    opener = announced()
    opener.receive(want(), NOW_MS)
    with pytest.raises(RemoteProtocolError):
        opener.receive(want(), NOW_MS)


@pytest.mark.parametrize("wrong", [want(number=1), want(origin=1)])
def test_only_announced_pages_are_wanted(wrong: Want) -> None:
    """Pages and origins that were not announced are unknown to the conversation."""
    with pytest.raises(RemoteProtocolError):
        announced().receive(wrong, NOW_MS)


def test_the_last_want_ends_wanting() -> None:
    """After it the peer may say Compared, and want nothing more."""
    opener = announced()
    opener.receive(want(last=True), NOW_MS)
    with pytest.raises(RemoteProtocolError):
        opener.receive(LAST_WANT, NOW_MS)
    opener.receive(Compared(1, 0), NOW_MS)
    assert [type(message) for message in opener.more(NOW_MS) + opener.more(NOW_MS)] == [Bulk, Compared]
    assert opener.finished
    assert opener.more(NOW_MS) == []


def test_a_liar_about_pages_gets_wants_and_nothing_else() -> None:
    """Pages that a peer makes up cost one Want each and no memory; the table is not touched."""
    answerer = machine(opener=False)
    answerer.receive(compare(), NOW_MS)
    for leaf in range(20):
        (said,) = answerer.receive(page(number=leaf, states=b"\xff\x01", leaf=leaf), NOW_MS)
        assert isinstance(said, Want)
        assert said.masks == (b"\xff" * 32,)
    assert answerer.more(NOW_MS) == []
    assert not answerer.finished


def test_own_mistakes_are_local() -> None:
    """Opening twice, opening as the answerer, or handing in a Bulk is a bug here and no fault of the peer's."""
    opener, answerer = machine(opener=True), machine(opener=False)
    calls: tuple[Callable[[], object], ...] = (
        lambda: opener.start(NOW_MS),
        lambda: answerer.start(NOW_MS),
        lambda: opener.receive(Bulk(1, b"?"), NOW_MS),
        lambda: opener.receive(Ping(1), NOW_MS),
        lambda: Comparison(make_table(), 1, True, SECRET_ID).receive(compare(), NOW_MS),
    )
    for call in calls:
        with pytest.raises(LocalProtocolError):
            call()


def test_expired_logins_are_not_brought_back_by_a_slow_comparison() -> None:
    """A comparison that takes so long that what it promised has expired still ends, and revives nobody."""
    here, there = twins(10)
    here.merge(logins(ONE, [14]), NOW_MS)
    there.merge(logins(ONE, [1_000]), NOW_MS)
    pair = Pair(here, there)
    pair.open()
    for _ in range(4):
        pair.deliver(pair.answerer)
        pair.deliver(pair.opener)
        pair.more(pair.opener)
    pair.now_ms += 12 * HOUR_MS
    pair.run()
    assert there.record(LoginId(*ONE, 14)) is None
