"""Records with their indexes and counts."""

import random

from protocol.session import State
from tests.protocol.build import NOW_MS, OFFSET_MS, all_logged_in, ended, login, new_table


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
