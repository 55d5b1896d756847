"""Records with their indexes and counts, and the bounds on all that grows."""

import random

import pytest

from protocol import limits
from protocol.session import State
from tests.protocol.build import (
    NOW_MS,
    OFFSET_MS,
    all_logged_in,
    barred,
    ended,
    logged_in,
    login,
    login_id,
    new_table,
    touched,
)


def test_indexes_and_counts_agree_with_the_pages() -> None:
    """After thousands of random logins and ends, in pieces and singly, the indexes name exactly the alive states."""
    chance, table = random.Random(1), new_table()
    for _ in range(300):
        first, count = chance.randrange(2_000), chance.randrange(1, 20)
        made = {n: login(f"k{n % 97}", f"user{n % 11}") for n in range(first, first + count)}
        if chance.random() < 0.6:
            table.merge(all_logged_in(range(first, first + count), list(made.values())), NOW_MS)
        else:
            for n in made:
                table.merge(ended(n, made[n]), NOW_MS)
    records = table._records
    alive = {
        page.handle + place: page.rows[place]
        for page in records.pages
        for place in page.taken()
        if page.states[place] == State.ALIVE
    }
    assert {handle for key in records.by_key for handle in records.by_key.get(key)} == set(alive)
    assert {handle for user in records.by_user for handle in records.by_user.get(user)} == set(alive)
    for handle, row in alive.items():
        assert handle in records.by_key.get(row[0]) and handle in records.by_user.get(row[1])
    assert table.alive == len(alive) and table.ended == table.records - len(alive)


def test_users_are_kept_once() -> None:
    """The same name in many batches is one string: twenty thousand users, not a million."""
    table = new_table()
    made = [login(f"k{n}", b"alice".decode()) for n in range(16)]
    assert len({id(each.user) for each in made}) == 16
    table.merge(all_logged_in(range(8), made[:8]), NOW_MS)
    table.merge(all_logged_in(list(range(8, 16)), made[8:]), NOW_MS)
    names = {id(record.login.user) for record in table.held_of("alice")}
    assert len(names) == 1


def test_room_is_asked_for_before_anything_is_made() -> None:
    """A refused login leaves no page behind."""
    table = new_table(records_max=1, max_clock_offset_ms=OFFSET_MS)
    table.merge(all_logged_in(range(1), [login()]), NOW_MS)
    table.merge(all_logged_in(range(512, 513), [login("b")]), NOW_MS)
    assert len(table._pages) == 1


# -- bounds -------------------------------------------------------------------------------------------------------


def test_a_full_table_refuses_logins_and_takes_ends() -> None:
    """Known sessions go on, ends of known and unknown logins are taken, nothing is dropped; ends are bounded too."""
    table = new_table(records_max=8)
    table.merge(all_logged_in(range(7), [login(f"k{n}") for n in range(7)]), NOW_MS)
    assert not table.full
    merged = table.merge(all_logged_in(range(20, 22), [login("new"), login("more")]), NOW_MS)
    assert (merged.fresh, merged.refused, table.full) == (1, 1, True)
    assert table.merge(logged_in(0, login("k0"), active_at=[NOW_MS + 1]), NOW_MS).touched == 1
    assert table.merge(ended(0, login("k0")), NOW_MS).ended == 1
    assert table.merge(ended(30, login()), NOW_MS).ended == 1
    assert table.merge(logged_in(31, login()), NOW_MS).refused == 1
    assert table.merge(ended(31, login()), NOW_MS).ended == 1
    assert table.merge(ended(32, login()), NOW_MS).refused == 1
    assert (table.records, table.counts.refused_full) == (10, 3)


def test_a_long_run_stops_at_the_bound() -> None:
    """Of a run that does not fit whole, as much is taken as fits."""
    table = new_table(records_max=300)
    merged = table.merge(all_logged_in(range(400), [login(f"k{n}") for n in range(400)]), NOW_MS)
    assert (merged.fresh, merged.refused, table.records) == (300, 100, 300)


def test_scattered_sequences_do_not_get_a_page_each() -> None:
    """A hostile peer with one login a page is stopped long before records_max pages."""
    table = new_table(records_max=100_000)
    pages_max = 100_000 // limits.PAGE_RECORDS_MIN
    count = pages_max + 100
    merged = table.merge(all_logged_in(range(0, 256 * count, 256), [login(f"k{n}") for n in range(count)]), NOW_MS)
    assert (merged.fresh, merged.refused) == (pages_max, 100) and table.full
    assert table.merge(logged_in(1, login("beside")), NOW_MS).fresh == 1


def test_barriers_are_bounded() -> None:
    """A barrier of one user more than there may be records is refused; known users' still rise."""
    table = new_table(records_max=3)
    for n in range(3):
        table.merge(barred(f"u{n}", NOW_MS - 1), NOW_MS)
    assert table.merge(barred("u9", NOW_MS), NOW_MS).refused == 1
    assert table.merge(barred("u2", NOW_MS), NOW_MS).changed


def test_a_piece_goes_no_further_than_the_bound_on_records() -> None:
    """Consecutive logins beyond the bound are refused one by one, and counted."""
    table = new_table(records_max=8)
    merged = table.merge(all_logged_in(range(10), [login(f"k{n}") for n in range(10)]), NOW_MS)
    assert (table.records, merged.fresh, merged.refused, table.counts.refused_full) == (8, 8, 2, 2)


def test_a_piece_goes_no_further_than_the_bound_on_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """A new page beyond the bound is refused; on a page that is there, there is room."""
    monkeypatch.setattr(limits, "PAGES_MIN", 2)
    monkeypatch.setattr(limits, "PAGE_RECORDS_MIN", 100)
    table = new_table(records_max=100)
    for first in (0, 256, 512):
        table.merge(all_logged_in(range(first, first + 8), [login(f"k{first + n}") for n in range(8)]), NOW_MS)
    assert (table.records, table.counts.refused_full) == (16, 8)
    table.merge(all_logged_in(range(8, 16), [login(f"j{n}") for n in range(8)]), NOW_MS)
    assert table.records == 24


def test_every_kind_of_news_is_told() -> None:
    """Logins in a piece, one login, an end, activity and a barrier each say that something changed, and where."""
    table = new_table()
    table.observed = True
    assert table.observed
    merged = table.merge(all_logged_in(range(8), [login(f"k{n}") for n in range(8)]), NOW_MS)
    assert merged.changed and [each.sequence for each in merged.opened] == list(range(8))
    merged = table.merge(logged_in(300, login("x")), NOW_MS)
    assert merged.changed and merged.opened == [login_id(300)]
    assert table.merge(touched(300, NOW_MS + 1), NOW_MS).changed
    merged = table.merge(logged_in(300, login("x"), active_at=[NOW_MS + 2]), NOW_MS)
    assert (merged.changed, merged.touched, merged.keys) == (True, 1, ["x"])
    merged = table.merge(ended(300, login("x")), NOW_MS)
    assert merged.changed and [record.login_id for record, _ in merged.closed] == [login_id(300)]
    assert not table.merge(ended(300, login("x")), NOW_MS).changed


def test_a_barrier_closes_whom_it_kills_and_nobody_twice() -> None:
    """Told only while somebody observes; who was behind an earlier barrier was told then."""
    table = new_table()
    table.merge(logged_in(1, login("k1", at=NOW_MS - 10)), NOW_MS)
    assert table.merge(barred("alice", NOW_MS - 20), NOW_MS).closed == []
    assert table.merge(barred("alice", NOW_MS - 15), NOW_MS).closed == []
    table.observed = True
    assert [record.login_id for record, _ in table.merge(barred("alice", NOW_MS - 10), NOW_MS).closed] == [login_id(1)]
    assert table.merge(barred("alice", NOW_MS - 5), NOW_MS).closed == []


def test_who_is_behind_a_barrier_is_not_counted_as_alive() -> None:
    """Upkeep looks at a page again as soon as a barrier rises over one of its records."""
    table = new_table()
    table.merge(logged_in(1, login()), NOW_MS)
    table.sweep(NOW_MS, 9)
    assert table.alive == 1
    table.merge(barred("alice", NOW_MS), NOW_MS)
    table.sweep(NOW_MS, 9)
    assert table.alive == 0


def test_a_shorter_session_on_a_counted_page_is_counted_out_in_time() -> None:
    """Upkeep does not trust what it found of a page before the newcomer."""
    table = new_table()
    table.merge(logged_in(1, login("k1", idle_timeout_s=7_200)), NOW_MS)
    table.sweep(NOW_MS, 9)
    table.merge(logged_in(2, login("k2", idle_timeout_s=60)), NOW_MS)
    table.sweep(NOW_MS + 60_000, 9)
    assert table.alive == 1


def test_a_resurrection_is_counted_when_it_is_one() -> None:
    """An alive copy of what has ended; neither an alive copy of the alive nor an end of the ended."""
    table = new_table()
    table.merge(logged_in(1, login()), NOW_MS)
    table.merge(logged_in(1, login()), NOW_MS)
    assert table.counts.resurrections_blocked == 0
    table.merge(ended(1, login()), NOW_MS)
    table.merge(logged_in(1, login(), states=bytes([State.SUPERSEDED])), NOW_MS)
    assert table.counts.resurrections_blocked == 0
    table.merge(logged_in(1, login()), NOW_MS)
    assert table.counts.resurrections_blocked == 1


def test_an_expired_session_is_not_alive() -> None:
    """From its expiry on, to the millisecond, however active."""
    table = new_table()
    table.merge(logged_in(1, login(expires_at=NOW_MS + 1_000)), NOW_MS)
    assert table.view("10.0.0.1", NOW_MS + 999) is not None
    assert table.view("10.0.0.1", NOW_MS + 1_000) is None


def test_a_copy_that_has_ended_changes_the_digest() -> None:
    """An end that comes as a whole record shows in the root at once."""
    table, other = new_table(), new_table()
    table.merge(logged_in(1, login()), NOW_MS)
    alive_root = table.root(NOW_MS // 60_000)
    for each in (table, other):
        each.merge(logged_in(1, login(), states=bytes([State.LOGGED_OUT])), NOW_MS)
    assert table.root(NOW_MS // 60_000) == other.root(NOW_MS // 60_000) != alive_root
