"""The laws of merging, for one record and for whole tables."""

import random

from hypothesis import given
from hypothesis import strategies as st

from protocol.changes import Changes
from protocol.session import Record, State, merge
from protocol.table import Table
from tests.laws import strategies as some
from tests.laws.reference import Reference, records_of

NOW_MS = some.NOW_MS


def new_table() -> Table:
    return Table(digest_key=b"k" * 32)


def contents(table: Table) -> dict[object, object]:
    """All that a table says, except when ended logins were last active (which nobody asks)."""
    found: dict[object, object] = {}
    for batch in table.slices(0):
        for record in records_of(batch):
            found[record.login_id] = (record.login, record.state, record.active_at * (record.state == State.ALIVE))
        found.update((barrier.user, barrier.at) for barrier in batch.barriers)
    return found


def check_against(table: Table, reference: Reference) -> None:
    """Everything that can be asked of the table is what the reference says."""
    for login_id, record in reference.records.items():
        held = table.record(login_id)
        assert held is not None and held.login == record.login and held.state == record.state
        assert held.state != State.ALIVE or held.active_at == record.active_at
    assert table.records == len(reference.records)
    assert table.ended == sum(record.state != State.ALIVE for record in reference.records.values())
    assert sorted(table.barriers()) == reference.barrier_list()
    for user in (*some.USERS, "mallory"):
        assert table.barrier(user) == reference.barrier(user)
        assert {record.login_id for record in table.held_of(user)} == reference.held_of(user)
    for now_ms in (NOW_MS, NOW_MS + 61_000, some.CUT_MIN * some.MINUTE_MS):
        for key in some.KEYS:
            assert {record.login_id for record in table.held(key)} == reference.held(key)
            assert table.view(key, now_ms) == reference.view(key, now_ms)
        shown = {record.login_id for record in table.sessions(now_ms)}
        assert shown == {view.login_id for key in some.KEYS if (view := reference.view(key, now_ms))}


@given(some.copies(2))
def test_merging_records_is_commutative(copies: list[Record]) -> None:
    """Two copies merge to the same record, whichever comes first."""
    a, b = copies
    assert merge(a, b) == merge(b, a)


@given(some.copies(3))
def test_merging_records_is_associative(copies: list[Record]) -> None:
    """Three copies merge to the same record, however they meet."""
    a, b, c = copies
    assert merge(merge(a, b), c) == merge(a, merge(b, c))


@given(some.copies(2))
def test_merging_records_is_idempotent_and_monotone(copies: list[Record]) -> None:
    """A copy merged again changes nothing, and nothing ever goes down."""
    a, b = copies
    both = merge(a, b)
    assert merge(a, a) == a
    assert merge(both, a) == both == merge(both, b)
    assert both.state >= max(a.state, b.state) and both.active_at >= max(a.active_at, b.active_at)


@given(some.batches)
def test_a_table_is_its_records(batches: list[Changes]) -> None:
    """Table.merge, with its pages and indexes, does what merging record by record does, and answers the same."""
    table, reference = new_table(), Reference(some.OFFSET_MS)
    for batch in batches:
        table.merge(batch, NOW_MS)
        reference.merge(batch, NOW_MS)
    check_against(table, reference)


@given(st.lists(some.changes_without_touches, max_size=6), st.randoms(use_true_random=False))
def test_any_order_and_any_repetition_makes_the_same_table(batches: list[Changes], chance: random.Random) -> None:
    """Logins, ends and barriers may come shuffled and repeated: contents and digest come out the same."""
    one, other = new_table(), new_table()
    for batch in batches:
        one.merge(batch, NOW_MS)
    shuffled = batches + [batch for batch in batches if chance.random() < 0.5]
    chance.shuffle(shuffled)
    for batch in shuffled:
        other.merge(batch, NOW_MS)
    assert contents(one) == contents(other)
    assert one.root(some.CUT_MIN) == other.root(some.CUT_MIN)


@given(some.batches, st.randoms(use_true_random=False))
def test_touches_too_come_out_the_same_once_everything_has_come_twice(
    batches: list[Changes], chance: random.Random
) -> None:
    """A touch that overtook its login is lost, and counts as soon as it is repeated."""
    one, other = new_table(), new_table()
    shuffled = list(batches)
    chance.shuffle(shuffled)
    for batch in batches + batches:
        one.merge(batch, NOW_MS)
    for batch in shuffled + shuffled:
        other.merge(batch, NOW_MS)
    assert contents(one) == contents(other)


@given(some.batches, some.batches)
def test_two_tables_that_exchange_slices_become_one(mine: list[Changes], yours: list[Changes]) -> None:
    """Whole tables merge as records do: each takes the other's slices and both hold the join."""
    one, other, both = new_table(), new_table(), new_table()
    for batch in mine:
        one.merge(batch, NOW_MS)
        both.merge(batch, NOW_MS)
    for batch in yours:
        other.merge(batch, NOW_MS)
        both.merge(batch, NOW_MS)
    for batch in list(one.slices(NOW_MS, 3)):
        other.merge(batch, NOW_MS)
    for batch in other.slices(NOW_MS):
        one.merge(batch, NOW_MS)
    assert contents(one) == contents(other)
    assert one.root(some.CUT_MIN) == other.root(some.CUT_MIN) == both.root(some.CUT_MIN)


@given(some.batches, some.changes)
def test_merged_tells_all_that_changed(batches: list[Changes], last: Changes) -> None:
    """Whoever keeps views may trust `changed` and `keys`: a view changes only under a key that is named."""
    table = new_table()
    for batch in batches:
        table.merge(batch, NOW_MS)
    before, shown_before = contents(table), {key: table.view(key, NOW_MS) for key in some.KEYS}
    records, ended = table.records, table.ended
    merged = table.merge(last, NOW_MS)
    assert merged.changed or contents(table) == before
    assert {key for key in some.KEYS if table.view(key, NOW_MS) != shown_before[key]} <= set(merged.keys)
    assert merged.ended == table.ended - ended
    assert table.records - records <= merged.fresh + merged.ended


@given(some.batches)
def test_upkeep_counts_the_alive_and_forgets_only_what_is_past(batches: list[Changes]) -> None:
    """After a round of upkeep `alive` is exact; after the last expiry and the last cut nothing is left."""
    table, reference = new_table(), Reference(some.OFFSET_MS)
    for batch in batches:
        table.merge(batch, NOW_MS)
        reference.merge(batch, NOW_MS)
    for now_ms in (NOW_MS, NOW_MS + 61_000):
        while not table.sweep(now_ms, 1):
            pass
        assert table.alive == len(reference.alive(now_ms))
        assert table.records == len(reference.records)
    late_ms = NOW_MS + 8 * 24 * 3_600_000
    while not table.sweep(late_ms, 1):
        pass
    assert (table.records, table.ended, table.alive, list(table.barriers())) == (0, 0, 0, [])
    assert table.root(late_ms // some.MINUTE_MS) == new_table().root(late_ms // some.MINUTE_MS)
