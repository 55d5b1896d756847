"""Records with their indexes and counts, and the bounds on all that grows."""

import random

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
    new_table,
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
