"""The laws of merging items, for one item and for whole tables."""

import random

import attrs
from hypothesis import given
from hypothesis import strategies as st

from protocol import item_rows
from protocol.changes import Changes
from protocol.codec import decode_changes, encode_changes
from protocol.item import SINGLE_USE, Claim, Fate, Item, Witness, claimed, merge, tried
from protocol.items import shifted
from protocol.session import Origin
from protocol.table import Table
from tests.protocol import pairs
from tests.protocol.pairs import make_table

NOW_MS = 1_790_000_000_000

_claims = st.lists(
    st.builds(
        Claim,
        st.sampled_from([b"r1", b"r2", b"r3", b"r4", b"r5", b"r6"]),
        st.sampled_from(["", "phone"]),
        st.integers(NOW_MS, NOW_MS + 3),
        st.sampled_from(["lan1/authagent-1", "lan1/authagent-2"]),
        st.booleans(),
    ),
    max_size=4,
    unique_by=lambda claim: claim.request,
)
_tries = st.dictionaries(st.sampled_from([f"lan1/{n}" for n in range(10)]), st.integers(1, 4), max_size=8)


@st.composite
def items(draw: st.DrawFn, id: str = "") -> Item:
    """A copy of one of a few items; now and then its content is a lie."""
    name = id or draw(st.sampled_from(["a", "b", "c"]))
    item = Item("image", name, "alice", "lan1", NOW_MS, NOW_MS + 60_000, SINGLE_USE, b"blob", b"")
    lies = [{}, {}, {}, {"blob": b"other"}, {"user": "mallory"}, {"witnesses": (Witness("p1", 1),)}]
    lie = draw(st.sampled_from(lies))
    claims = tuple(sorted(draw(_claims), key=lambda claim: claim.rank))
    tries = tuple(sorted(draw(_tries).items()))
    return attrs.evolve(item, **lie, fate=draw(st.sampled_from(Fate)), claims=claims, tries=tries)


@given(items("a"), items("a"), items("a"))
def test_merging_items_is_a_lattice(a: Item, b: Item, c: Item) -> None:
    """Commutative, associative, idempotent; and a copy that is merged in again changes nothing."""
    both = merge(a, b)

    assert both == merge(b, a)
    assert merge(both, c) == merge(a, merge(b, c))
    assert merge(a, a) == a
    assert merge(both, a) == merge(both, b) == both


@given(items("a"), items("a"))
def test_what_is_consumed_stays_consumed(a: Item, b: Item) -> None:
    """A final claim on either side is final in both, whatever else they say; fates and tries only grow."""
    both = merge(a, b)

    assert (both.consumed is not None) == (a.consumed is not None or b.consumed is not None)
    assert both.fate >= max(a.fate, b.fate)
    assert a.content == b.content or both.fate is Fate.CONFLICT
    assert all(dict(both.tries).get(node, count) >= count for node, count in dict(a.tries).items())


@given(items())
def test_items_come_back_from_the_wire(item: Item) -> None:
    """Whatever an item is, its row says it."""
    assert item_rows.unpack(item_rows.pack(item)) == item
    assert decode_changes(encode_changes(Changes(items=(item,)))).items == (item,)


@given(st.lists(items(), max_size=12), st.randoms(use_true_random=False))
def test_tables_agree_whatever_the_order(copies: list[Item], dice: random.Random) -> None:
    """Two tables that met the same copies in different orders, some twice, are equal, and so are their roots."""
    tables = []
    for _ in range(2):
        order = copies + copies[: len(copies) // 2]
        dice.shuffle(order)
        table = Table(digest_key=b"k" * 32)
        for copy in order:
            table.merge(Changes(items=(copy,)), NOW_MS)
        tables.append(table)
    one, other = tables

    assert {item.name: item for item in one.items} == {item.name: item for item in other.items}
    assert one.root(NOW_MS // 60_000) == other.root(NOW_MS // 60_000)
    assert {item.name: item for item in one.items} == _joined(copies)


def _joined(copies: list[Item]) -> dict[tuple[str, str], Item]:
    found: dict[tuple[str, str], Item] = {}
    for copy in copies:
        found[copy.name] = merge(found[copy.name], copy) if copy.name in found else copy
    return found


@given(items("a"), st.integers(0, 3))
def test_acts_only_go_up(item: Item, place: int) -> None:
    """A claim or a try more is above what was: merging the older copy in changes nothing."""
    node = f"lan1/{place}"
    for grown in (tried(item, node), claimed(item, Claim(b"r9", "", NOW_MS, node, True))):
        assert merge(grown, item) == grown


@given(st.lists(items(), max_size=6), st.lists(items(), max_size=6), st.booleans(), st.booleans())
def test_a_comparison_makes_items_equal(ours: list[Item], theirs: list[Item], sessions: bool, other_key: bool) -> None:
    """Both ways, with and without sessions beside them, as a snapshot, by the trie, and under another secret."""
    opener, answerer = make_table(), make_table(b"x" * 32 if other_key else pairs.KEY)
    for table, copies in ((opener, ours), (answerer, theirs)):
        if sessions:
            table.merge(pairs.logins(Origin("p1", 1), range(20)), pairs.NOW_MS)
        moved = tuple(shifted(copy, pairs.NOW_MS - NOW_MS) for copy in copies)
        table.merge(Changes(items=moved), pairs.NOW_MS)
    pairs.Pair(opener, answerer).compare(secret_ids=(b"abcd", b"efgh" if other_key else b"abcd"))

    assert {item.name: item for item in opener.items} == {item.name: item for item in answerer.items}
    assert len(opener.items) == len(_joined([*ours, *theirs]))
