"""The table of items: names and users, bounds, hashes, forgetting."""

import attrs

from protocol import limits
from protocol.changes import Changes
from protocol.digest import CUTS_KEPT
from protocol.item import SINGLE_USE, SOLE, Claim, Fate, Item, claimed
from protocol.items import Items, shifted
from protocol.table import Table

KEY = b"k" * 32
NOW_MS = 1_790_000_000_000
MINUTE_MS = 60_000
KEPT_MS = 2 * limits.MAX_CLOCK_OFFSET_MS + CUTS_KEPT * MINUTE_MS


def item(id: str = "a", user: str = "alice", *, at: int = NOW_MS, lasts_ms: int = 120_000, flags: int = 1) -> Item:
    return Item("image", id, user, "lan1", at, at + lasts_ms, flags)


def filled(*given: Item, key: bytes = KEY) -> Items:
    items = Items(key)
    for each in given:
        items.merge(each)
    return items


def test_items_are_found_by_name_and_by_user() -> None:
    """The latest of a user comes first; another kind is another matter."""
    items = filled(item("a"), item("b", at=NOW_MS + 1), item("c", "bob"))

    assert items.get("image", "a") == item("a")
    assert items.get("sms", "a") is None
    assert [each.id for each in items.of_user("image", "alice")] == ["b", "a"]
    assert len(items) == 3 and len(list(items)) == 3


def test_merging_tells_what_changed() -> None:
    """New: yes. The same again: no. A claim more: yes."""
    items = Items(KEY)
    grown = claimed(item(), Claim(b"r", "", NOW_MS, "n", False))

    assert [items.merge(each) for each in (item(), item(), grown, item())] == [True, False, True, False]


def test_a_conflict_moves_the_item_to_the_user_who_stays() -> None:
    """The lesser content is alice's; bob has it no more, whichever came first."""
    items = filled(item("a", "bob"), item("a", "alice"))

    assert items.of_user("image", "bob") == []
    assert items.of_user("image", "alice")[0].fate is Fate.CONFLICT


def test_only_the_latest_counts_where_the_kind_says_so() -> None:
    """Of two sole items of one user the earlier is not current; of others both are."""
    early, late = item("a", flags=SINGLE_USE | SOLE), item("b", at=NOW_MS + 1, flags=SINGLE_USE | SOLE)
    items = filled(early, late, item("c", "bob"), item("d", "bob", at=NOW_MS + 1))

    assert items.is_current(late) and not items.is_current(early)
    assert items.is_current(item("c", "bob"))


def test_a_full_table_refuses_its_own_first() -> None:
    """At the bound nothing new is made; what others made is taken a quarter beyond; what is known always grows."""
    items = Items(KEY, items_max=4)
    taken = [items.merge(item(f"i{number}")) for number in range(6)]

    assert taken == [True] * 5 + [None]
    assert items.full
    assert items.merge(claimed(item("i1"), Claim(b"r", "", NOW_MS, "n", True))) is True


def test_bytes_are_bounded_too() -> None:
    """Large blobs fill a table before its number of items does."""
    items = Items(KEY, bytes_max=10_000)
    large = [attrs.evolve(item(f"i{number}"), blob=b"b" * 4_096) for number in range(4)]

    assert [items.merge(each) for each in large] == [True, True, True, None]
    items.forget(NOW_MS + 120_000)
    assert not items.full and len(items) == 0


def test_bounds_hold_to_the_item_and_to_the_byte() -> None:
    """At a bound and not before it is full, and at a quarter more it takes nothing; each counts half a KiB more."""
    blob = attrs.evolve(item(), blob=b"b" * 488)
    nearly = Items(KEY, bytes_max=1_001)
    assert nearly.merge(blob) and not nearly.full
    for bound, most in (("items_max", 4), ("bytes_max", 4_000)):
        items = Items(KEY, **{bound: most})
        full = []
        while items.merge(attrs.evolve(blob, id=f"i{len(items)}")):
            full.append(items.full)
        assert full == [False, False, False, True, True]


def test_a_conflict_counts_the_bytes_of_what_is_kept() -> None:
    """Of a long and a short content, the lesser: its bytes count, and no others."""
    long, short = attrs.evolve(item("a", "bob"), blob=b"b" * 2_488), attrs.evolve(item("a", "alice"), blob=b"b" * 488)
    for copies in ((long, short), (short, long)):
        items = Items(KEY, bytes_max=2_000)
        items.merge(copies[0])
        items.merge(copies[1])
        assert not items.full
        items.merge(attrs.evolve(short, id="b"))
        assert items.full


def test_nothing_stays_behind_of_what_is_forgotten() -> None:
    """Neither in the index of users nor beside it; what else a user has is still found."""
    items = filled(item("a"), item("b", lasts_ms=200_000), item("c", "bob"))
    items.forget(NOW_MS + 120_000)

    assert items.of_user("image", "alice") == [item("b", lasts_ms=200_000)]
    assert set(items._of_user) == {("image", "alice")}


def test_the_checksum_covers_what_expires_after_the_cut() -> None:
    """It does not depend on when a node forgets, is 0 for nothing, and tells claims apart."""
    both, one = filled(item("a"), item("b", lasts_ms=600_000)), filled(item("b", lasts_ms=600_000))
    cut_ms = NOW_MS + 120_000

    assert both.checksum(NOW_MS) != one.checksum(NOW_MS)
    assert both.checksum(cut_ms) == one.checksum(cut_ms) != 0
    both.forget(cut_ms)
    assert both.checksum(NOW_MS) == one.checksum(NOW_MS)
    assert Items(KEY).checksum(NOW_MS) == 0
    grown = claimed(item("b", lasts_ms=600_000), Claim(b"r", "", NOW_MS, "n", False))
    assert filled(grown).checksum(NOW_MS) != one.checksum(NOW_MS)
    assert filled(item("a"), key=b"x" * 32).checksum(NOW_MS) != filled(item("a")).checksum(NOW_MS)


def test_a_checksum_follows_what_changes() -> None:
    """Asked for before and after an item grew, was moved or forgotten: it is that of a table made as it is now."""
    grown = claimed(item("a"), Claim(b"r", "", NOW_MS, "n", False))
    items = filled(item("a"), item("b", lasts_ms=600_000))

    def agrees(*now: Item) -> bool:
        return all(items.checksum(cut_ms) == filled(*now).checksum(cut_ms) for cut_ms in (NOW_MS, NOW_MS + 1))

    assert agrees(item("a"), item("b", lasts_ms=600_000))
    items.merge(grown)
    assert agrees(grown, item("b", lasts_ms=600_000))
    items.shift(1_000)
    assert agrees(shifted(grown, 1_000), item("b", at=NOW_MS + 1_000, lasts_ms=600_000))
    items.forget(NOW_MS + 121_000)
    assert agrees(item("b", at=NOW_MS + 1_000, lasts_ms=600_000))


def test_a_new_key_makes_new_hashes() -> None:
    """As if the table had always had it."""
    items = filled(item("a"))
    items.checksum(NOW_MS)
    items.rekey(b"x" * 32)

    assert items.checksum(NOW_MS) == filled(item("a"), key=b"x" * 32).checksum(NOW_MS)
    table, other = Table(digest_key=KEY), Table(digest_key=b"x" * 32)
    for each in (table, other):
        each.merge(Changes(items=(item(),)), NOW_MS)
    table.root(NOW_MS // MINUTE_MS)
    table.rekey(b"x" * 32)
    assert table.root(NOW_MS // MINUTE_MS) == other.root(NOW_MS // MINUTE_MS)


def test_times_can_be_moved_before_anybody_has_seen_them() -> None:
    """All of an item's times, claims included."""
    items = filled(claimed(item("a"), Claim(b"r", "", NOW_MS, "n", True)))
    items.shift(-1_000)
    moved = items.get("image", "a")

    assert moved is not None
    assert (moved.made_at, moved.expires_at, moved.claims[0].at) == (NOW_MS - 1_000, NOW_MS + 119_000, NOW_MS - 1_000)


def test_a_table_without_items_has_the_root_that_it_always_had() -> None:
    """Items come and go, and the root is what it was; while there is one, it is another."""
    table = Table(digest_key=KEY)
    before = table.root(NOW_MS // MINUTE_MS)
    table.merge(Changes(items=(item(),)), NOW_MS)
    during = table.root(NOW_MS // MINUTE_MS)
    table.sweep(NOW_MS + 120_000, 16)
    assert len(table.items) == 1, "it is kept for as long as others may ask about it"
    end_ms = NOW_MS + 120_000 + 5 * MINUTE_MS
    table.sweep(end_ms, 16)

    assert during != before
    assert len(table.items) == 0
    assert table.root(NOW_MS // MINUTE_MS) == before


def test_stamps_that_cannot_be_refuse_the_item_only() -> None:
    """Expired so long ago that no digest counts it, or made further ahead than clocks may differ."""
    table = Table(digest_key=KEY)
    late, early = item("late", at=NOW_MS - 120_000 - KEPT_MS), item("early", at=NOW_MS + 4_001)
    merged = table.merge(Changes(items=(late, early, item("good"))), NOW_MS)

    assert merged.changed and merged.refused == 2
    assert [each.id for each in table.items] == ["good"]
    assert (table.counts.refused_expired, table.counts.refused_ahead) == (1, 1)


def test_a_state_is_one_word() -> None:
    """Only what is open may be redeemed for the first time."""
    taken = claimed(item("t"), Claim(b"r", "", NOW_MS, "n", False))
    used = claimed(taken, Claim(b"r", "", NOW_MS, "n", True))
    guessed = attrs.evolve(item("g"), lock=b"l" * 36, tries=(("n", 5),))
    early, late = item("e", flags=SINGLE_USE | SOLE), item("l", at=NOW_MS + 1, flags=SINGLE_USE | SOLE)
    items = filled(early, late)

    assert items.state(late, NOW_MS) == "open"
    assert items.state(late, NOW_MS + 120_000) == "open"
    assert items.state(late, NOW_MS + 120_001) == "expired"
    assert items.state(early, NOW_MS) == "superseded"
    assert [items.state(each, NOW_MS) for each in (taken, used, guessed)] == ["claimed", "used", "exhausted"]
    assert [items.state(attrs.evolve(item("f"), fate=fate), NOW_MS) for fate in (Fate.REVOKED, Fate.CONFLICT)] == [
        "revoked",
        "conflict",
    ]
