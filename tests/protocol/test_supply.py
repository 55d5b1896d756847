"""Tests of protocol.supply: what is owed comes out complete, lazily, and in messages of a bounded size."""

from protocol import limits
from protocol.changes import Barrier, Changes, LoginRun
from protocol.codec import decode_changes
from protocol.session import Origin, State
from protocol.states import lacking
from protocol.supply import Debt, Supply
from tests.protocol.pairs import HOUR_MS, NOW_MS, contents, ends, logins, make_table, touches

ORIGIN = Origin("proxy1", 7)
ALL = b"\xff" * 32


def drain(supply: Supply) -> list[Changes]:
    found = []
    while (bulk := supply.next()) is not None:
        assert bulk.comparison == 5
        assert len(bulk.payload) <= limits.FRAME_BYTES_MAX
        found.append(decode_changes(bulk.payload))
    return found


def test_nothing_owed_is_nothing_sent() -> None:
    """A supply without debts ends at once."""
    supply = Supply(make_table(), 5)
    assert supply.next() is None
    assert supply.sent == 0


def test_debts_are_paid_from_what_the_table_holds_now() -> None:
    """A record that ended after it was promised is sent as ended; one that was never there is not sent."""
    table, other = make_table(), make_table()
    table.merge(logins(ORIGIN, range(3)), NOW_MS)
    supply = Supply(table, 5)
    supply.owe(Debt(ORIGIN, 0, b"\x07", b""))
    supply.owe(Debt(Origin("proxy1", 8), 4, ALL, ALL))
    table.merge(ends(ORIGIN, [1]), NOW_MS)
    for changes in drain(supply):
        other.merge(changes, NOW_MS)
    assert contents(other) == contents(table)
    assert supply.sent == 3


def test_an_end_travels_without_its_login() -> None:
    """Where the peer has the login, only the end is sent."""
    table = make_table()
    table.merge(logins(ORIGIN, range(4)), NOW_MS)
    table.merge(ends(ORIGIN, [2], State.ADMINISTRATOR), NOW_MS)
    supply = Supply(table, 5)
    supply.owe(Debt(ORIGIN, 0, *lacking(bytes([1]) * 256, bytes([1, 1, 4]) + bytes([1]) * 253)))
    (changes,) = drain(supply)
    assert changes.logins == ()
    (run,) = changes.ends
    assert (list(run.sequences), run.states) == ([2], bytes([State.ADMINISTRATOR]))


def test_an_end_that_is_none_is_not_sent() -> None:
    """A peer that asks for the end of a living login is told nothing: there is no such end."""
    table = make_table()
    table.merge(logins(ORIGIN, range(4)), NOW_MS)
    supply = Supply(table, 5)
    supply.owe(Debt(ORIGIN, 0, b"", b"\x0f"))
    assert drain(supply) == []


def test_barriers_come_before_records_and_activity_last() -> None:
    """Who is logged out matters most: so barriers and repairs go first."""
    table = make_table()
    table.merge(logins(ORIGIN, range(2)), NOW_MS)
    table.merge(touches(ORIGIN, [0], NOW_MS - 5), NOW_MS)
    table.merge(Changes(barriers=(Barrier("alice", NOW_MS),)), NOW_MS)
    supply = Supply(table, 5)
    supply.owe_activity(0)
    supply.owe(Debt(ORIGIN, 0, b"\x02", b""))
    supply.owe_barriers()
    barriers, records, activity = drain(supply)
    assert barriers.barriers == (Barrier("alice", NOW_MS),)
    assert [list(run.sequences) for run in records.logins] == [[1]]
    assert [list(run.active_at) for run in activity.touches] == [[NOW_MS - 5]]


def test_many_barriers_come_in_slices() -> None:
    """Barriers are sent whole, however many, in bounded batches."""
    table = make_table()
    barriers = tuple(Barrier(f"user{number}", NOW_MS) for number in range(1_200))
    for place in range(0, 1_200, 400):
        table.merge(Changes(barriers=barriers[place : place + 400]), NOW_MS)
    supply = Supply(table, 5)
    supply.owe_barriers()
    found = drain(supply)
    assert [len(changes) for changes in found] == [500, 500, 200]
    assert {barrier for changes in found for barrier in changes.barriers} == set(barriers)


def test_fat_records_come_in_small_messages() -> None:
    """500 sessions with 4 KiB of attributes each are 2 MB, and still no message is above 64 KiB."""
    table, other = make_table(), make_table()
    fat = (("groups", "x" * 4_000),)
    for place in range(0, 512, 16):
        count = 16
        run = LoginRun(
            ORIGIN, range(place, place + count), "lan1", [f"key{place + n}" for n in range(count)], ["alice"] * count,
            [NOW_MS - HOUR_MS] * count, [NOW_MS + HOUR_MS] * count, [600] * count,
            [(*fat, ("number", str(place + n))) for n in range(count)],
        )  # fmt: skip
        table.merge(Changes(logins=(run,)), NOW_MS)
    supply = Supply(table, 5)
    supply.owe_everything(NOW_MS)
    for changes in drain(supply):
        other.merge(changes, NOW_MS)
    assert contents(other) == contents(table)
    assert supply.sent == 512


def test_a_snapshot_is_made_as_it_is_asked_for() -> None:
    """What is logged in while a snapshot is on its way is in the rest of it: nothing was made in advance."""
    table, other = make_table(), make_table()
    for page in range(8):
        table.merge(logins(ORIGIN, range(page * 256, page * 256 + 200)), NOW_MS)
    supply = Supply(table, 5)
    supply.owe_everything(NOW_MS)
    first = supply.next()
    assert first is not None
    other.merge(decode_changes(first.payload), NOW_MS)
    assert other.records < table.records
    table.merge(ends(ORIGIN, [7 * 256]), NOW_MS)
    for changes in drain(supply):
        other.merge(changes, NOW_MS)
    assert contents(other) == contents(table)
