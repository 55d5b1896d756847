"""The two ways into a table, in one piece and one by one, lead to the same."""

import pytest

from protocol.changes import Changes, EndRun, LoginRun, TouchRun
from protocol.session import State
from protocol.table import Merged
from tests.protocol.build import NOW_MS, ORIGIN, OTHER, all_logged_in, login, login_id, new_table

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
