"""Merging: the two ways into a table lead to the same, and what cannot be honest is refused."""

import pytest

from protocol import limits
from protocol.changes import Changes, EndRun, LoginRun, TouchRun
from protocol.session import State
from protocol.table import Merged
from tests.protocol.build import (
    HOUR_MS,
    NOW_MS,
    OFFSET_MS,
    ORIGIN,
    OTHER,
    all_logged_in,
    barred,
    ended,
    logged_in,
    login,
    login_id,
    new_table,
    touched,
)

LOGINS = [login(f"k{n}", f"user{n % 3}") for n in range(300)]


@pytest.mark.parametrize("first", [0, 100, 255, 256])
@pytest.mark.parametrize("states", [None, bytes([1, 3] * 150)])
def test_in_one_piece_or_one_by_one(first: int, states: bytes | None) -> None:
    """A range goes in by pieces of pages, a list record by record; records, counts, views and digest are the same."""
    in_pieces, one_by_one = new_table(), new_table()
    active_at = [NOW_MS + n for n in range(300)]
    sequences = range(first, first + 300)
    merged = in_pieces.merge(all_logged_in(sequences, LOGINS, states=states, active_at=active_at), NOW_MS)
    other = one_by_one.merge(all_logged_in(list(sequences), LOGINS, states=states, active_at=active_at), NOW_MS)
    assert (merged.fresh, merged.ended, merged.keys) == (other.fresh, other.ended, other.keys)
    assert (in_pieces.records, in_pieces.ended, in_pieces.alive) == (300, other.ended, other.fresh)
    for sequence in sequences:
        assert in_pieces.record(login_id(sequence)) == one_by_one.record(login_id(sequence))
    for user in ("user0", "user1", "user2"):
        assert in_pieces.held_of(user) == one_by_one.held_of(user)
    assert in_pieces.root(1) == one_by_one.root(1)


def test_a_run_that_is_known_in_part_goes_on() -> None:
    """Where one login of a page is known, that page goes one by one, and everything is there in the end."""
    table = new_table()
    table.merge(all_logged_in([260], [LOGINS[260]], states=bytes([State.LOGGED_OUT])), NOW_MS)
    merged = table.merge(all_logged_in(range(300), LOGINS), NOW_MS)
    assert (merged.fresh, table.records, table.ended) == (299, 300, 1)
    assert table.view("k260", NOW_MS) is None and table.view("k299", NOW_MS) is not None


def test_a_run_with_a_stride_is_no_piece() -> None:
    """Every other sequence: a range, but not consecutive."""
    table = new_table()
    table.merge(all_logged_in(range(0, 40, 2), LOGINS[:20]), NOW_MS)
    assert table.records == 20 and table.record(login_id(2)) is not None and table.record(login_id(1)) is None


def test_keys_met_before_share_their_key() -> None:
    """A piece with keys that are held already, and with one key twice, loses none of them."""
    table = new_table()
    table.merge(all_logged_in(range(10), LOGINS[:10]), NOW_MS)
    table.merge(all_logged_in(range(20), [login(f"k{n % 10}", "user9") for n in range(20)], OTHER), NOW_MS)
    assert [len(table.held(f"k{n}")) for n in range(10)] == [3] * 10


def test_empty_runs_are_no_news() -> None:
    """They change nothing and fail nowhere."""
    empty = LoginRun(ORIGIN, range(0), "lan1", [], [], [], [], [], [])
    ends = EndRun(ORIGIN, [], b"", [], [], [])
    merged = new_table().merge(Changes((empty,), (ends,), (TouchRun(ORIGIN, [], []),)), NOW_MS)
    assert merged == Merged()


# -- refusals -----------------------------------------------------------------------------------------------------


def test_what_arrives_after_its_time_is_refused() -> None:
    """When every table has forgotten it, logins and ends are refused, one millisecond earlier not."""
    made = login(at=NOW_MS - HOUR_MS, expires_at=NOW_MS)
    table = new_table()
    late_ms = NOW_MS + 2 * OFFSET_MS + limits.EXPIRED_KEPT_MS
    assert table.merge(logged_in(1, made), late_ms).refused == 1
    assert table.merge(ended(1, made), late_ms).refused == 1
    assert table.counts.refused_expired == 2 and table.records == 0
    assert table.merge(logged_in(1, made), late_ms - 1).fresh == 1


def test_a_stamp_too_far_ahead_refuses_its_record_and_no_other() -> None:
    """login_at, active_at, expires_at and barriers further ahead than twice the clock offset; the rest goes on."""
    table, ahead_ms = new_table(), NOW_MS + 2 * OFFSET_MS
    made = [login(f"k{n}", at=ahead_ms + (n == 3)) for n in range(8)]
    merged = table.merge(all_logged_in(range(8), made), NOW_MS)
    assert (merged.fresh, merged.refused) == (7, 1) and table.record(login_id(3)) is None
    assert table.merge(logged_in(20, login(), active_at=[ahead_ms + 1]), NOW_MS).refused == 1
    far = login(expires_at=ahead_ms + limits.LIFETIME_MS_MAX + 1)
    assert table.merge(logged_in(21, far), NOW_MS).refused == 1
    assert table.merge(ended(22, far), NOW_MS).refused == 1
    assert table.merge(touched(0, ahead_ms + 1), NOW_MS).refused == 1
    assert table.merge(barred("alice", ahead_ms + 1), NOW_MS).refused == 1
    assert table.merge(barred("alice", ahead_ms), NOW_MS).changed
    assert table.counts.refused_ahead == 6


def test_a_barrier_that_can_kill_nothing_is_refused() -> None:
    """Seven days, twice the clock offset and the kept cuts later."""
    table = new_table()
    old_ms = NOW_MS - limits.BARRIER_KEPT_MS - 2 * OFFSET_MS - limits.EXPIRED_KEPT_MS
    assert table.merge(barred("alice", old_ms), NOW_MS).refused == 1
    assert table.merge(barred("alice", old_ms + 1), NOW_MS).changed


def test_an_end_under_another_key_is_a_conflict() -> None:
    """It cannot be the end of that login: the login id has been used twice."""
    for other in (login("other"), login(user="bob"), login(expires_at=NOW_MS + HOUR_MS)):
        table = new_table()
        table.merge(logged_in(1, login()), NOW_MS)
        table.merge(ended(1, other), NOW_MS)
        record = table.record(login_id(1))
        assert record is not None and record.state == State.CONFLICT and table.counts.conflicts == 1


def test_an_end_without_its_login_was_never_active() -> None:
    """A tombstone of a login that was not seen holds nothing but key, user, expiry and its end."""
    table = new_table()
    table.merge(ended(1, login()), NOW_MS)
    record = table.record(login_id(1))
    assert record is not None and record.active_at == 0 and record.login.partial


def test_what_may_not_be_is_refused_out_of_the_midst_of_a_run() -> None:
    """One record of a run that is past its time, or stamped too far ahead; the boundary itself is admitted."""
    past_ms = NOW_MS - 8 * 24 * HOUR_MS
    lifetime_end_ms = NOW_MS + 2 * OFFSET_MS + limits.LIFETIME_MS_MAX
    made = [
        login("a"),
        login("b", at=past_ms - HOUR_MS, expires_at=past_ms),
        login("c", expires_at=lifetime_end_ms),
        login("d", expires_at=lifetime_end_ms + 1),
        login("e"),
    ]
    table = new_table()
    merged = table.merge(all_logged_in(range(5), made), NOW_MS)
    assert [table.holds(each.key) for each in made] == [True, False, True, False, True]
    assert (merged.refused, table.counts.refused_expired, table.counts.refused_ahead) == (2, 1, 1)
    ends = new_table()
    for n in (0, 1, 4):
        ends.merge(ended(n, made[n]), NOW_MS)
    assert (ends.records, ends.counts.refused_expired) == (2, 1)


def test_activity_is_taken_up_to_the_doubt_ahead() -> None:
    """Two clock offsets ahead of now is the latest that an honest stamp may be."""
    table = new_table()
    table.merge(logged_in(1, login()), NOW_MS)
    assert table.merge(touched(1, NOW_MS + 2 * OFFSET_MS), NOW_MS).changed
    assert table.merge(touched(1, NOW_MS + 2 * OFFSET_MS + 1), NOW_MS).refused == 1


def test_barriers_beyond_the_bound_are_refused_and_counted() -> None:
    """A user known already may always be barred again."""
    table = new_table(records_max=1)
    assert table.merge(barred("alice", NOW_MS - 2), NOW_MS).changed
    assert table.merge(barred("bob", NOW_MS), NOW_MS).refused == 1 and table.counts.refused_full == 1
    assert table.merge(barred("alice", NOW_MS), NOW_MS).changed and table.barrier("bob") == -1


@pytest.mark.parametrize("sequences", [range(8), list(range(8))])
def test_one_bad_stamp_in_a_run_is_looked_for_on_both_sides(sequences: object) -> None:
    """A run in which only one record is past its time, and one in which only one would live too long."""
    for expires_at in (NOW_MS - 8 * 24 * HOUR_MS, NOW_MS + 2 * OFFSET_MS + limits.LIFETIME_MS_MAX + 1):
        made = [login(f"k{n}") for n in range(7)] + [login("bad", expires_at=expires_at)]
        table = new_table()
        assert table.merge(all_logged_in(sequences, made), NOW_MS).refused == 1
        assert (table.records, table.holds("bad")) == (7, False)
