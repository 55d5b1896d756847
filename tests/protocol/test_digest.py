"""Digests of particular tables. The laws are in tests/laws/test_digest.py."""

from collections import defaultdict

import pytest

from protocol.changes import Barrier, Changes
from protocol.digest import CUTS_KEPT, FANOUT, MINUTE_MS
from protocol.item import Item
from protocol.session import Origin, State
from protocol.table import Table
from tests.protocol.build import HOUR_MS, NOW_MS, ORIGIN, all_logged_in, ended, logged_in, login, new_table, touched

CUT_MIN = NOW_MS // MINUTE_MS


def test_an_empty_table_has_a_root_and_no_pages() -> None:
    """The same everywhere under one key, another under another."""
    assert new_table().root(CUT_MIN) == new_table().root(CUT_MIN + 1)
    assert new_table().root(CUT_MIN) != Table(digest_key=b"q" * 32).root(CUT_MIN)
    assert len(new_table().root(CUT_MIN)) == 8
    assert new_table().pages(CUT_MIN, 0) == []


def test_activity_is_not_in_the_digest_and_states_are() -> None:
    """A touch leaves the root; an end, and a higher end, change it."""
    table = new_table()
    table.merge(logged_in(1, login()), NOW_MS)
    roots = [table.root(CUT_MIN)]
    table.merge(touched(1, NOW_MS + 5), NOW_MS)
    assert table.root(CUT_MIN) == roots[0]
    for state in (State.SUPERSEDED, State.LOGGED_OUT, State.ADMINISTRATOR):
        table.merge(ended(1, login(), state=state), NOW_MS)
        roots.append(table.root(CUT_MIN))
    assert len(set(roots)) == 4


def test_a_barrier_and_an_item_change_a_root_that_was_asked_for() -> None:
    """Neither is in the trie; the root has both, whatever it was a moment ago."""
    table, item = new_table(), Item("image", "i1", "alice", "lan1", NOW_MS, NOW_MS + HOUR_MS)
    roots = [table.root(CUT_MIN)]
    for changes in (Changes(barriers=(Barrier("alice", NOW_MS),)), Changes(items=(item,))):
        table.merge(changes, NOW_MS)
        roots.append(table.root(CUT_MIN))
    assert len(set(roots)) == 3
    both = new_table()
    both.merge(Changes(barriers=(Barrier("alice", NOW_MS),), items=(item,)), NOW_MS)
    assert both.root(CUT_MIN) == roots[-1]


def test_the_path_from_the_root_leads_to_what_differs() -> None:
    """Going down where children differ finds the one page of the one login that only one table has."""
    table, other = new_table(), new_table()
    for each in (table, other):
        each.merge(all_logged_in(range(2_000), [login(f"k{n}") for n in range(2_000)]), NOW_MS)
    table.merge(logged_in(5_000, login("more")), NOW_MS)
    path = b""
    for _ in range(3):
        mine, yours = table.children(CUT_MIN, path), other.children(CUT_MIN, path)
        steps = [step for step in range(FANOUT) if mine[step * 8 :][:8] != yours[step * 8 :][:8]]
        assert len(mine) == 128 and len(steps) == 1
        path += bytes(steps)
    leaf = int.from_bytes(bytes([path[0]]), "big") * 256 + path[1] * 16 + path[2]
    states = bytes(5_000 % 256) + bytes([State.ALIVE]) + bytes(255 - 5_000 % 256)
    assert (ORIGIN, 5_000 // 256, states) in table.pages(CUT_MIN, leaf)


@pytest.mark.parametrize("path", [b"\x00\x00\x00", b"\x10", b"\x00\xff"])
def test_a_path_to_nowhere_is_refused(path: bytes) -> None:
    """There are three levels of sixteen."""
    with pytest.raises(ValueError):
        new_table().children(CUT_MIN, path)


def test_equal_pages_of_one_leaf_do_not_cancel_out() -> None:
    """A page's contribution is its own: the XOR of two with equal states is not that of none."""
    table = new_table()
    for epoch in range(200):
        table.merge(logged_in(1, login(f"k{epoch}"), Origin("proxy1", epoch)), NOW_MS)
    pages = defaultdict(list)
    for leaf in range(4_096):
        for origin, page, states in table.pages(CUT_MIN, leaf):
            pages[leaf].append((origin, page, states))
    shared = [leaf for leaf, found in pages.items() if len(found) == 2]
    assert shared, "200 pages in 4,096 leaves meet somewhere"
    for leaf in shared:
        assert any(table.children(CUT_MIN, bytes([leaf >> 8, leaf >> 4 & 15]))[leaf % 16 * 8 :][:8])


def test_cuts_that_went_out_of_use_can_be_asked_for_again() -> None:
    """More cuts than are kept, back and forth, with changes in between, each as a fresh table answers."""
    table = new_table()
    cuts = [CUT_MIN + n for n in range(CUTS_KEPT + 2)]
    for n, cut_min in enumerate([*cuts, *reversed(cuts)]):
        table.merge(logged_in(n, login(f"k{n}", expires_at=cuts[n % 5] * MINUTE_MS + 1)), NOW_MS)
        fresh = new_table()
        for batch in table.slices(NOW_MS):
            fresh.merge(batch, NOW_MS)
        assert table.root(cut_min) == fresh.root(cut_min)


def test_nothing_is_hashed_when_nothing_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second root at one cut costs no page, and one change costs one page, not the table."""
    table = new_table()
    table.merge(all_logged_in(range(2_000), [login(f"k{n}") for n in range(2_000)]), NOW_MS)
    table.root(CUT_MIN)
    hashed = []
    contribution = table._digest._contribution
    monkeypatch.setattr(
        table._digest, "_contribution", lambda page, cut_ms: hashed.append(page) or contribution(page, cut_ms)
    )
    table.root(CUT_MIN)
    table.root(CUT_MIN + 1)
    assert hashed == []
    table.merge(ended(1_000, login("k1000")), NOW_MS)
    table.root(CUT_MIN)
    table.root(CUT_MIN + 1)
    assert [page.first for page in hashed] == [768]


def test_what_expired_before_the_cut_does_not_count() -> None:
    """Two tables that differ only in records that the cut leaves out have one root."""
    table = new_table()
    table.merge(logged_in(1, login(at=NOW_MS - HOUR_MS, expires_at=CUT_MIN * MINUTE_MS)), NOW_MS - MINUTE_MS)
    assert table.root(CUT_MIN) == new_table().root(CUT_MIN)
    assert table.root(CUT_MIN - 1) != new_table().root(CUT_MIN - 1)


def test_another_content_of_a_conflict_may_expire_before_the_cut() -> None:
    """A third content under one login id changes no state, and yet what counts at a cut."""
    table, fresh = new_table(), new_table()
    contents = [login("k", user, expires_at=NOW_MS + hours * HOUR_MS) for user, hours in (("b", 2), ("c", 2), ("a", 1))]
    for content in contents:
        table.root(CUT_MIN + 90)
        table.merge(logged_in(1, content), NOW_MS)
        fresh.merge(logged_in(1, content), NOW_MS)
    assert table.root(CUT_MIN + 90) == fresh.root(CUT_MIN + 90) == new_table().root(CUT_MIN + 90)
