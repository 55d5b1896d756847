"""The table's answers, one rule of DESIGN section 3 at a time. That merging is lawful is shown in tests/laws."""

import pytest

from protocol import limits
from protocol.changes import Barrier, Changes, Mark
from protocol.digest import MINUTE_MS
from protocol.item import Item
from protocol.session import LoginId, Origin, Record, State
from protocol.table import Table
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

KEY = "10.0.0.1"
CUT_MIN = NOW_MS // MINUTE_MS + 2


def shown(table: Table, key: str = KEY, now_ms: int = NOW_MS) -> LoginId | None:
    record = table.view(key, now_ms)
    return None if record is None else record.login_id


# -- the view of a key --------------------------------------------------------------------------------------------


def test_the_latest_login_is_shown() -> None:
    """Of several alive records of one user the greatest (login_at, login_id) is shown, whatever came first."""
    table = new_table()
    table.merge(logged_in(2, login(at=NOW_MS - 10)), NOW_MS)
    table.merge(logged_in(1, login(at=NOW_MS - 20), OTHER), NOW_MS)
    assert shown(table) == login_id(2)
    table.merge(logged_in(7, login(at=NOW_MS - 10), OTHER), NOW_MS)
    assert shown(table) == login_id(7, OTHER)


def test_nobody_is_shown_but_the_alive() -> None:
    """Idle, expired, ended and barred records leave the view; the next latest takes their place."""
    table = new_table()
    table.merge(logged_in(1, login(at=NOW_MS - 40, idle_timeout_s=7_200)), NOW_MS)
    table.merge(logged_in(2, login(at=NOW_MS - 30, idle_timeout_s=60)), NOW_MS)
    assert shown(table) == login_id(2)
    assert shown(table, now_ms=NOW_MS + 60_000) == login_id(1)
    assert shown(table, now_ms=NOW_MS + 7_200_000) is None
    table.merge(touched(2, NOW_MS), NOW_MS)
    assert shown(table, now_ms=NOW_MS + 59_999) == login_id(2)
    table.merge(ended(2, login(at=NOW_MS - 30)), NOW_MS)
    assert shown(table) == login_id(1)
    table.merge(barred("alice", NOW_MS - 40), NOW_MS)
    assert shown(table) is None and table.held(KEY) != [] and table.holds(KEY)
    table.merge(ended(1, login(at=NOW_MS - 40, idle_timeout_s=7_200)), NOW_MS)
    assert table.held(KEY) == [] and not table.holds(KEY)


@pytest.mark.parametrize(("apart_ms", "expected"), [(2 * OFFSET_MS, None), (2 * OFFSET_MS + 1, login_id(2))])
def test_two_users_too_near_in_time_hide_each_other(apart_ms: int, expected: LoginId | None) -> None:
    """Within twice the clock offset clocks cannot tell who is there; each such conflict is counted once."""
    table = new_table()
    table.merge(logged_in(1, login(user="bob", at=NOW_MS - apart_ms)), NOW_MS)
    table.merge(logged_in(2, login(at=NOW_MS)), NOW_MS)
    for _ in range(3):
        assert shown(table) == expected
    assert table.counts.key_conflicts == (expected is None)
    assert len(table.contenders(KEY, NOW_MS)) == (2 if expected is None else 1)
    assert len(list(table.sessions(NOW_MS))) == (expected is not None)


def test_a_conflict_needs_two_users_and_the_latest() -> None:
    """One user's own logins never conflict, nor do two users who are both older than what is shown."""
    table = new_table()
    table.merge(logged_in(1, login(at=NOW_MS - 2)), NOW_MS)
    table.merge(logged_in(2, login(at=NOW_MS - 1)), NOW_MS)
    assert shown(table) == login_id(2)
    table.merge(logged_in(3, login(user="bob", at=NOW_MS - 60_000)), NOW_MS)
    assert shown(table) == login_id(2)
    table = new_table()
    table.merge(logged_in(1, login(at=NOW_MS - 60_002)), NOW_MS)
    table.merge(logged_in(2, login(user="bob", at=NOW_MS - 60_001)), NOW_MS)
    table.merge(logged_in(3, login(user="carol", at=NOW_MS)), NOW_MS)
    assert shown(table) == login_id(3) and table.counts.key_conflicts == 0


# -- ends, touches, barriers --------------------------------------------------------------------------------------


def test_an_end_that_overtakes_its_login_stays() -> None:
    """It stands as a tombstone; the login joins it, is never shown, and is counted as kept from rising."""
    table = new_table()
    assert table.merge(ended(1, login()), NOW_MS).ended == 1
    record = table.record(login_id(1))
    assert record is not None and record.login.partial
    merged = table.merge(logged_in(1, login()), NOW_MS)
    assert (merged.changed, merged.fresh) == (True, 0)
    assert table.record(login_id(1)) == Record(login_id(1), login(), NOW_MS, State.LOGGED_OUT)
    assert shown(table) is None and (table.records, table.ended) == (1, 1)
    assert table.counts.resurrections_blocked == 1


def test_a_touch_revives_the_idle_and_never_the_ended() -> None:
    """Activity in time but reported late brings an idle-dead record back."""
    table = new_table()
    table.merge(logged_in(1, login()), NOW_MS)
    late_ms = NOW_MS + 1_800_000
    assert shown(table, now_ms=late_ms) is None
    assert table.touch(login_id(1), NOW_MS + 5) and not table.touch(login_id(1), NOW_MS + 4)
    assert shown(table, now_ms=late_ms) == login_id(1)
    table.merge(ended(1, login()), NOW_MS)
    assert not table.touch(login_id(1), NOW_MS + 9) and not table.merge(touched(1, NOW_MS + 9), NOW_MS).changed
    assert not table.touch(login_id(2), NOW_MS)


def test_one_id_with_two_contents_ends_everywhere() -> None:
    """A cloned machine: both contents leave the views, and the conflict is counted once however often it is told."""
    table = new_table()
    table.merge(logged_in(1, login("10.0.0.2")), NOW_MS)
    for _ in range(2):
        table.merge(logged_in(1, login("10.0.0.1")), NOW_MS)
    table.merge(logged_in(1, login("10.0.0.2")), NOW_MS)
    record = table.record(login_id(1))
    assert record is not None and (record.state, record.login.key) == (State.CONFLICT, "10.0.0.1")
    assert shown(table, "10.0.0.1") is None and shown(table, "10.0.0.2") is None
    assert table.counts.conflicts == 1


def test_a_barrier_kills_what_is_not_later() -> None:
    """Every login at or before it, known or still to come; the next millisecond lives."""
    table = new_table()
    table.merge(logged_in(1, login("a")), NOW_MS)
    merged = table.merge(barred("alice", NOW_MS), NOW_MS)
    assert merged.keys == ["a"] and shown(table, "a") is None
    table.merge(logged_in(2, login("b")), NOW_MS)
    table.merge(logged_in(3, login("c", at=NOW_MS + 1)), NOW_MS)
    assert shown(table, "b") is None and shown(table, "c") == login_id(3)
    assert table.barrier("alice") == NOW_MS and table.barrier("bob") == -1


# -- what a merge tells -------------------------------------------------------------------------------------------


def test_a_merge_that_is_no_news_says_so() -> None:
    """The same logins, ends, touches and barriers again change nothing: nothing needs to be passed on."""
    table = new_table()
    batch = Changes(
        logins=all_logged_in(range(250, 260), [login(f"k{n}") for n in range(10)]).logins,
        ends=ended(251, login("k1")).ends,
        touches=touched(252, NOW_MS + 1).touches,
        barriers=(Barrier("bob", NOW_MS),),
    )
    merged = table.merge(batch, NOW_MS)
    assert (merged.changed, merged.fresh, merged.ended, merged.touched) == (True, 10, 1, 1)
    again = table.merge(batch, NOW_MS)
    assert (again.changed, again.fresh, again.ended, again.touched, again.keys) == (False, 0, 0, 0, [])
    assert not table.merge(Changes(marks=(Mark(KEY, NOW_MS),)), NOW_MS).changed


def test_an_observed_table_tells_what_opened_and_closed() -> None:
    """Fresh logins that are not barred, and what ended or was barred, as it was; unobserved it tells nothing."""
    table = new_table()
    assert table.merge(logged_in(1, login()), NOW_MS).opened == []
    table.observed = True
    table.merge(barred("bob", NOW_MS), NOW_MS)
    merged = table.merge(logged_in(2, login(user="bob", at=NOW_MS)), NOW_MS)
    assert merged.opened == []
    many = [login(f"k{n}", user="carol") for n in range(8)]
    merged = table.merge(all_logged_in(range(252, 260), many, states=bytes([1, 1, 3, 1, 1, 1, 1, 1])), NOW_MS)
    assert [each.sequence for each in merged.opened] == [252, 253, 255, 256, 257, 258, 259] and merged.closed == []
    merged = table.merge(ended(1, login(), state=State.ADMINISTRATOR), NOW_MS)
    assert merged.closed == [(Record(login_id(1), login(), NOW_MS, State.ALIVE), State.ADMINISTRATOR)]
    merged = table.merge(barred("carol", NOW_MS), NOW_MS)
    assert {record.login_id.sequence for record, _ in merged.closed} == {252, 253, 255, 256, 257, 258, 259}
    assert {state for _, state in merged.closed} == {State.LOGGED_OUT}


# -- what goes in and out besides merging -------------------------------------------------------------------------


def test_a_login_made_here_is_there_at_once() -> None:
    """add() is merge() for one fresh login; to use a login id twice is a bug of the caller."""
    table, other = new_table(), new_table()
    table.add(ORIGIN, 300, login())
    other.merge(logged_in(300, login()), NOW_MS)
    assert table.view(KEY, NOW_MS) == other.view(KEY, NOW_MS) == Record(login_id(300), login(), NOW_MS, State.ALIVE)
    assert table.root(1) == other.root(1) and table.records == table.alive == 1
    with pytest.raises(AssertionError):
        table.add(ORIGIN, 300, login())


@pytest.mark.parametrize("away_ms", [0, 400 * 24 * HOUR_MS, -400 * 24 * HOUR_MS])
def test_what_is_merged_without_a_time_is_all_there(away_ms: int) -> None:
    """Somebody let it in before: logins, ends, activity, barriers and items of long ago, or years ahead."""
    at_ms, sole = NOW_MS + away_ms, Origin("proxy3", 1)
    table, made = new_table(), login(at=at_ms)
    item = Item("image", "i1", "", "lan1", at_ms, at_ms + 1)
    for changes in (
        logged_in(1, made),
        touched(1, at_ms + HOUR_MS),
        ended(1, login(at=at_ms), sole),
        Changes(barriers=(Barrier("carol", at_ms),), items=(item,)),
    ):
        table.merge(changes, None)
    left = table.record(login_id(1))

    assert left is not None and left.active_at == at_ms + HOUR_MS
    assert table.records == 2 and table.ended == 1
    assert table.barrier("carol") == at_ms and table.items.get("image", "i1") is not None


def test_slices_are_robust_to_changes_between_them() -> None:
    """Logins, ends and upkeep between two slices disturb nothing; what was there all the time is in."""
    table, copy = new_table(), new_table()
    table.merge(all_logged_in(range(1_000), [login(f"k{n}") for n in range(1_000)]), NOW_MS)
    walk = table.slices(NOW_MS, 100)
    copy.merge(next(walk), NOW_MS)
    table.merge(logged_in(0, login("x"), OTHER), NOW_MS)
    table.merge(ended(1, login("k1")), NOW_MS)
    table.sweep(NOW_MS + 13 * HOUR_MS, 1)
    for batch in walk:
        copy.merge(batch, NOW_MS)
    assert copy.records >= 1_000 - 256
    assert all(copy.record(login_id(n)) for n in range(512))


def test_a_slice_is_about_as_large_as_asked() -> None:
    """At most a page more, in barriers as in records; nothing of an empty table."""
    table = new_table()
    table.merge(all_logged_in(range(2_000), [login(f"k{n}") for n in range(2_000)]), NOW_MS)
    table.merge(Changes(barriers=tuple(Barrier(f"u{n}", NOW_MS) for n in range(250))), NOW_MS)
    sizes = [len(batch) for batch in table.slices(NOW_MS, 100)]
    assert sum(sizes) == 2_250 and max(sizes) <= 100 + 255 and sizes[:3] == [100, 100, 50]
    assert list(new_table().slices(NOW_MS)) == []


def test_slices_leave_out_what_everybody_would_refuse() -> None:
    """Records that are past their time and not yet swept are offered to nobody."""
    table = new_table()
    made = [login("a"), login("b", expires_at=NOW_MS + 1), login("c", expires_at=NOW_MS + 2)]
    table.merge(all_logged_in(range(3), made), NOW_MS)
    late_ms = NOW_MS + 2 * OFFSET_MS + limits.EXPIRED_KEPT_MS + 1
    (batch,) = table.slices(late_ms)
    assert batch.logins[0].keys == ["a", "c"] and table.records == 3
    assert new_table().merge(batch, late_ms).refused == 0


def test_what_counts_in_a_digest_can_be_mended() -> None:
    """A record that has just expired is in the digest of the current minute, so a table that lacks it takes it."""
    cut_min = NOW_MS // MINUTE_MS
    now_ms = (cut_min + 1) * MINUTE_MS - 1
    table, other = new_table(), new_table()
    table.merge(logged_in(1, login(at=NOW_MS - HOUR_MS, expires_at=cut_min * MINUTE_MS + 1)), NOW_MS)
    assert table.root(cut_min) != other.root(cut_min)
    for batch in table.slices(now_ms):
        other.merge(batch, now_ms)
    assert table.root(cut_min) == other.root(cut_min)


def test_activity_since_a_time_is_told() -> None:
    """Touches at or after it, of logins that have not ended; not the logins themselves."""
    table = new_table()
    table.merge(all_logged_in(range(600), [login(f"k{n}", at=NOW_MS - 100) for n in range(600)]), NOW_MS)
    for sequence, at in ((1, NOW_MS - 1), (300, NOW_MS), (301, NOW_MS + 1), (599, NOW_MS + 2)):
        table.merge(touched(sequence, at), NOW_MS)
    table.merge(ended(301, login("k301", at=NOW_MS - 100)), NOW_MS)
    found = [
        (sequence, at)
        for batch in table.touched_since(NOW_MS)
        for run in batch.touches
        for sequence, at in zip(run.sequences, run.active_at, strict=True)
    ]
    assert found == [(300, NOW_MS), (599, NOW_MS + 2)]


def test_selected_records_are_those_of_the_mask() -> None:
    """Bit p % 8 of byte p // 8 asks for place p; absent ones, short masks and unknown pages are no error."""
    table = new_table()
    table.merge(all_logged_in(range(256, 270), [login(f"k{n}") for n in range(14)]), NOW_MS)
    table.merge(ended(300, login()), NOW_MS)
    mask = bytearray(32)
    for place in (0, 9, 44, 200):
        mask[place // 8] |= 1 << place % 8
    selected = table.select(ORIGIN, 1, bytes(mask))
    assert [list(run.sequences) for run in selected.logins] == [[256, 265]]
    assert [list(run.sequences) for run in selected.ends] == [[300]]
    assert len(table.select(ORIGIN, 1, b"\x03")) == 2
    assert not table.select(OTHER, 1, bytes(mask)) and not table.select(ORIGIN, 9, bytes(mask))


def test_times_of_one_origin_can_be_shifted() -> None:
    """A proxy never linked moves its own logins at its first link; others stay, and the digest is as if made so."""
    table, expected = new_table(), new_table()
    table.merge(logged_in(1, login(), active_at=[NOW_MS + 7]), NOW_MS)
    table.merge(logged_in(1, login("other"), OTHER), NOW_MS)
    table.root(NOW_MS // MINUTE_MS)
    table.shift(ORIGIN, HOUR_MS)
    expected.merge(logged_in(1, login(at=NOW_MS + HOUR_MS), active_at=[NOW_MS + HOUR_MS + 7]), NOW_MS + HOUR_MS)
    assert table.record(login_id(1)) == expected.record(login_id(1))
    assert table.record(login_id(1, OTHER)) == Record(login_id(1, OTHER), login("other"), NOW_MS, State.ALIVE)
    cut_min = (NOW_MS + 12 * HOUR_MS) // MINUTE_MS + 1
    assert table.root(cut_min) == expected.root(cut_min) != new_table().root(cut_min)


def test_activity_can_be_restamped_back() -> None:
    """For stamps of a proxy that was never linked; what is not known stays so, and upkeep counts anew."""
    table = new_table()
    table.merge(logged_in(1, login()), NOW_MS)
    table.touch(login_id(1), NOW_MS + HOUR_MS)
    while not table.sweep(NOW_MS, 10):
        pass
    table.restamp(login_id(1), NOW_MS + 5)
    table.restamp(login_id(2), NOW_MS + 5)
    record = table.record(login_id(1))
    assert record is not None and record.active_at == NOW_MS + 5
    while not table.sweep(NOW_MS + HOUR_MS, 10):
        pass
    assert table.alive == 0 and table.records == 1


# -- upkeep -------------------------------------------------------------------------------------------------------


def test_upkeep_forgets_only_when_no_cut_can_ask() -> None:
    """A record goes 2 x max clock offset and the kept cuts after its expiry, tombstones alike, origins with them."""
    table = new_table()
    table.merge(logged_in(1, login(expires_at=NOW_MS + HOUR_MS)), NOW_MS)
    table.merge(ended(300, login(expires_at=NOW_MS + HOUR_MS)), NOW_MS)
    gone_ms = NOW_MS + HOUR_MS + 2 * OFFSET_MS + 3 * MINUTE_MS
    assert not table.sweep(gone_ms - 1, 1) and table.sweep(gone_ms - 1, 1)
    assert (table.records, table.ended, table.alive) == (2, 1, 0)
    assert not table.sweep(gone_ms, 1) and table.sweep(gone_ms, 1)
    assert (table.records, table.ended) == (0, 0)
    assert table.held(KEY) == table.held_of("alice") == []
    table.merge(logged_in(1, login(at=gone_ms), Origin("proxy9", 1)), gone_ms)
    assert table.record(login_id(1)) is None


def test_alive_is_adjusted_between_rounds() -> None:
    """Logins and ends count at once, idle deaths with the next round, and nothing twice."""
    table = new_table()
    table.merge(all_logged_in(range(10), [login(f"k{n}", idle_timeout_s=60) for n in range(10)]), NOW_MS)
    table.merge(ended(0, login("k0")), NOW_MS)
    assert table.alive == 9
    assert table.sweep(NOW_MS + 60_000, 9) and table.alive == 0
    table.merge(ended(1, login("k1")), NOW_MS)
    assert table.alive == 0
    table.merge(touched(2, NOW_MS + 30_000), NOW_MS + 30_000)
    assert table.sweep(NOW_MS + 60_000, 9) and table.alive == 1


def test_upkeep_drops_barriers_after_their_time() -> None:
    """Seven days, twice the clock offset, and the kept cuts."""
    table = new_table()
    table.merge(barred("alice", NOW_MS), NOW_MS)
    gone_ms = NOW_MS + limits.BARRIER_KEPT_MS + 2 * OFFSET_MS + 3 * MINUTE_MS
    assert table.sweep(gone_ms - 1, 1) and table.barrier("alice") == NOW_MS
    assert table.sweep(gone_ms, 1) and table.barrier("alice") == -1


def test_upkeep_tells_what_timed_out_since_the_round_before() -> None:
    """Idle and expired sessions are told once each; what was dead when first seen, and what was ended, never."""
    table = new_table()
    assert table.watch_timeouts() == []
    table.merge(all_logged_in(range(3), [login(f"k{n}", idle_timeout_s=60) for n in range(3)]), NOW_MS)
    table.merge(logged_in(3, login("k3", expires_at=NOW_MS + 30_000)), NOW_MS)
    table.merge(logged_in(256, login("old", at=NOW_MS - HOUR_MS, idle_timeout_s=60)), NOW_MS)
    table.sweep(NOW_MS, 9)
    assert table.watch_timeouts() == []
    table.merge(ended(0, login("k0", idle_timeout_s=60)), NOW_MS)
    table.merge(touched(1, NOW_MS + 40_000), NOW_MS + 40_000)
    table.sweep(NOW_MS + 60_000, 9)
    assert [record.login.key for record in table.watch_timeouts()] == ["k2", "k3"]
    table.sweep(NOW_MS + 90_000, 9)
    assert table.watch_timeouts() == []
    table.sweep(NOW_MS + 100_000, 9)
    assert [record.login.key for record in table.watch_timeouts()] == ["k1"]


def test_traces_are_every_record_of_a_key_or_a_user_ended_ones_too() -> None:
    """Page by page, so that whoever asks can pause."""
    table = new_table()
    table.merge(logged_in(0, login("k0", "alice")), NOW_MS)
    table.merge(logged_in(1, login("k1", "bob")), NOW_MS)
    table.merge(logged_in(300, login("k0", "bob")), NOW_MS)
    table.merge(logged_in(301, login("k2", "carol")), NOW_MS)
    table.merge(ended(0, login("k0", "alice")), NOW_MS)

    pages = list(table.traces("k0", "bob"))
    assert [[record.login_id.sequence for record in page] for page in pages] == [[0, 1], [300]]
    assert pages[0][0].state == State.LOGGED_OUT
    assert [page for page in table.traces("", "") if page] == []


def test_users_are_counted_once() -> None:
    """However many sessions each has; whoever has none that is alive does not count."""
    table = new_table()
    table.merge(all_logged_in(range(3), [login("k0", "alice"), login("k1", "alice"), login("k2", "bob")]), NOW_MS)
    assert (table.alive, table.users) == (3, 2)
    table.merge(ended(2, login("k2", "bob")), NOW_MS)
    assert (table.alive, table.users) == (2, 1)


def test_a_page_is_told_as_it_counts_at_a_cut() -> None:
    """By origin and page number; a page that is not there is empty, and nothing can be selected of it."""
    table = new_table()
    table.merge(logged_in(300, login(expires_at=CUT_MIN * MINUTE_MS + 1)), NOW_MS)
    table.merge(logged_in(301, login("k2", expires_at=CUT_MIN * MINUTE_MS)), NOW_MS)
    assert table.states(ORIGIN, 1, CUT_MIN)[40:50] == bytes([0, 0, 0, 0, 1, 0, 0, 0, 0, 0])
    assert table.states(ORIGIN, 0, CUT_MIN) == table.states(OTHER, 1, CUT_MIN) == bytes(256)
    assert table.select(ORIGIN, 0, b"\xff" * 32) == Changes()


def test_the_hash_of_barriers_is_of_the_latest_cut_by_default() -> None:
    """A cut that was asked for; before any was, the beginning of time."""
    table = new_table()
    table.merge(barred("alice", NOW_MS), NOW_MS)
    late_min = (NOW_MS + limits.BARRIER_KEPT_MS) // MINUTE_MS + 1
    assert table.barriers_hash() == table.barriers_hash(0) == table.barriers_hash(CUT_MIN)
    table.root(late_min)
    assert table.barriers_hash() == table.barriers_hash(late_min) != table.barriers_hash(CUT_MIN)


def test_another_key_makes_the_digest_of_a_table_that_always_had_it() -> None:
    """After `rekey` every hash is what a fresh table under that key has, barriers included."""
    table, fresh = new_table(), Table(digest_key=b"q" * 32)
    changes = [logged_in(1, login()), logged_in(700, login("k2"), OTHER), barred("bob", NOW_MS)]
    for each in changes:
        table.merge(each, NOW_MS)
        fresh.merge(each, NOW_MS)
    before = table.root(CUT_MIN)
    table.rekey(b"q" * 32)
    assert table.root(CUT_MIN) == fresh.root(CUT_MIN) != before
    assert table.barriers_hash(CUT_MIN) == fresh.barriers_hash(CUT_MIN)
    assert [table.children(CUT_MIN, bytes([n])) for n in range(16)] == [
        fresh.children(CUT_MIN, bytes([n])) for n in range(16)
    ]
    for each in (table, fresh):
        each.merge(ended(1, login()), NOW_MS)
    assert table.root(CUT_MIN) == fresh.root(CUT_MIN)


def test_times_that_move_move_in_the_digest() -> None:
    """A record that expires behind the cut after a shift counts from then on."""
    table, fresh = new_table(), new_table()
    table.merge(logged_in(1, login(at=NOW_MS, expires_at=CUT_MIN * MINUTE_MS - 5)), NOW_MS)
    table.root(CUT_MIN)
    table.shift(ORIGIN, 10)
    fresh.merge(logged_in(1, login(at=NOW_MS + 10, expires_at=CUT_MIN * MINUTE_MS + 5)), NOW_MS)
    assert table.root(CUT_MIN) == fresh.root(CUT_MIN)


def test_a_dispute_is_counted_once_however_often_upkeep_comes_round() -> None:
    """As long as the same two contend."""
    table = new_table()
    table.merge(logged_in(1, login(user="alice", at=NOW_MS)), NOW_MS)
    table.merge(logged_in(1, login(user="bob", at=NOW_MS + 1), OTHER), NOW_MS)
    for _ in range(3):
        assert shown(table) is None
        table.sweep(NOW_MS, 9)
    assert table.counts.key_conflicts == 1
