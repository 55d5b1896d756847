"""Tests of protocol.disclosure: both kinds answer alike. What they answer: test_table and test_selection."""

import pytest

from protocol.changes import Changes
from protocol.disclosure import Disclosure
from protocol.filter import EVERYTHING, Filter, between
from protocol.item import Item
from protocol.sections import RemoteEntry
from protocol.session import State
from tests.protocol.build import NOW_MS, ORIGIN, all_logged_in, barred, ended, login, new_table, touched

CUT_MIN = NOW_MS // 60_000
NOBODY = between([RemoteEntry(site="lan2", users=("!nobody",))], ("lan1", "lan2"))


def test_it_is_made_as_one_of_its_kinds_only() -> None:
    """What pages are shown is for each kind to say."""
    with pytest.raises(TypeError):
        Disclosure(None, None, None, None, 0)  # type: ignore[abstract, arg-type]


@pytest.mark.parametrize("filter", [EVERYTHING, NOBODY])
def test_a_selection_of_everything_discloses_what_the_table_does(filter: Filter) -> None:
    """Roots, nodes, pages, records, activity, barriers: byte for byte, so that a filter costs nothing it need not."""
    table = new_table()
    table.merge(all_logged_in(range(600), [login(f"k{n}") for n in range(600)]), NOW_MS)
    table.merge(ended(7, login("k7"), state=State.ADMINISTRATOR), NOW_MS)
    table.merge(ended(700, login("k700")), NOW_MS)
    table.merge(touched(300, NOW_MS + 5), NOW_MS)
    table.merge(barred("bob", NOW_MS), NOW_MS)
    shown = table.selection(filter)
    assert (shown is table) is (not filter)
    for question in (
        lambda of: [of.root(CUT_MIN - n) for n in range(3)],
        lambda of: [of.children(CUT_MIN, path) for path in (b"", b"\x07", b"\x07\x03")],
        lambda of: [of.pages(CUT_MIN, leaf) for leaf in range(4_096)],
        lambda of: [of.states(ORIGIN, page, CUT_MIN) for page in range(5)],
        lambda of: of.select(ORIGIN, 0, b"\xff" * 32),
        lambda of: list(of.slices(NOW_MS)),
        lambda of: list(of.touched_since(NOW_MS + 1)),
        lambda of: [list(of.barriers()), of.barriers_hash(), of.items_hash(CUT_MIN), of.records],
        lambda of: [of.kept_ms, of.max_clock_offset_ms, list(of.item_slices())],
    ):
        assert question(shown) == question(table)


@pytest.mark.parametrize("filter", [EVERYTHING, NOBODY])
def test_items_are_disclosed_eight_at_a_time(filter: Filter) -> None:
    """All of them, ahead of the sessions in a snapshot: eight of the longest still fit one frame."""
    table = new_table()
    made = tuple(Item("image", f"i{n}", "alice", "lan1", NOW_MS, NOW_MS + 60_000) for n in range(20))
    table.merge(Changes(items=made), NOW_MS)
    table.merge(all_logged_in(range(3), [login(f"k{n}") for n in range(3)]), NOW_MS)
    shown = table.selection(filter)
    batches = [changes.items for changes in shown.slices(NOW_MS)]
    assert [len(batch) for batch in batches] == [8, 8, 4, 0] and sum(batches, ()) == made
    assert [changes.items for changes in shown.item_slices()] == batches[:3]
    assert shown.items_hash(CUT_MIN) != shown.items_hash(CUT_MIN + 2) == bytes(8), "all have expired by then"
