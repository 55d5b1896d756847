"""Items as rows: what is written, and every bound."""

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import item_rows, limits
from protocol.errors import LocalProtocolError, RemoteProtocolError
from protocol.item import Item
from tests.wire import samples

PLAIN = ("image", "5f3a", "alice", "lan1", 1_000, 60_000, 1, b"blob", b"", 1)
CLAIM = (b"r", "phone", 1_000, "lan1/authagent-1", True)

WRONG: list[tuple[int, Any]] = [
    (0, ""), (0, "k" * 65), (0, "new\nline"), (1, ""), (1, "i" * 129), (2, ""), (2, "u" * 257), (2, 7), (3, ""),
    (4, -1), (4, limits.TIME_MS_MAX + 1), (4, True), (5, 0), (5, 1_000_000_001), (6, -1), (6, 256),
    (7, b"b" * 4_097), (7, "text"), (8, b"l" * 65), (9, 0), (9, 4), (9, 1.0),
    (10, "w"), (10, (("w",),)), (10, (("w", -1),)), (10, (("w", 1),) * 6), (10, ((7, 1),)),
    (11, (("node", 0),)), (11, (("node", 1), ("node", 2))), (11, tuple((f"n{n}", 1) for n in range(9))),
    (12, (CLAIM[:4],)), (12, ((*CLAIM[:4], 1),)), (12, ((b"", *CLAIM[1:]),)), (12, (CLAIM, CLAIM)),
    (12, ((b"r", "h" * 257, *CLAIM[2:]),)), (12, ((b"r", "phone", -1, *CLAIM[3:]),)),
]  # fmt: skip


@pytest.mark.parametrize("item", [samples.CODE, samples.CHALLENGE], ids=["code", "challenge"])
def test_a_row_says_all_of_an_item(item: Item) -> None:
    """Both ways, with and without what is empty at the end."""
    assert item_rows.unpack(item_rows.pack(item)) == item


def test_what_is_empty_at_the_end_is_left_out() -> None:
    """A challenge that nobody touched has ten fields."""
    assert item_rows.pack(samples.CHALLENGE)[9:] == (1,)


@pytest.mark.parametrize(("place", "value"), WRONG)
def test_every_bound_is_kept(place: int, value: Any) -> None:
    """One field at a time out of bounds, or of another type, costs the peer its link."""
    row = [*PLAIN, (), (), ()]
    assert item_rows.unpack(tuple(row)).user == "alice"
    row[place] = value

    with pytest.raises(RemoteProtocolError):
        item_rows.unpack(tuple(row))


@pytest.mark.parametrize("row", [None, 7, "text", (), PLAIN[:9], list(PLAIN)])
def test_what_is_no_row_is_refused(row: Any) -> None:
    """Anything but an array of enough fields."""
    with pytest.raises(RemoteProtocolError):
        item_rows.unpack(row)


def test_what_a_newer_version_adds_is_skipped() -> None:
    """Further fields of an item, a witness, a try and a claim."""
    longer = (*PLAIN, (("w", 1, "new"),), (("node", 1, "new"),), ((*CLAIM, "new"),), "new")
    plain = (*PLAIN, (("w", 1),), (("node", 1),), (CLAIM,))

    assert item_rows.unpack(longer) == item_rows.unpack(plain)


def test_our_own_mistakes_are_ours() -> None:
    """What breaks a bound here is not sent."""
    with pytest.raises(LocalProtocolError):
        item_rows.pack(Item("image", "id", "", "lan1", 0, 1))


_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 63), (1 << 64) - 1) | st.text(max_size=5) | st.binary(max_size=5),
    lambda inner: st.lists(inner, max_size=6).map(tuple),
    max_leaves=12,
)


@given(st.integers(0, 12), _values)
def test_any_value_in_any_place_is_an_item_or_a_breach(place: int, value: Any) -> None:
    """Nothing but RemoteProtocolError, whatever a peer writes; and what is taken can be written again."""
    row = [*PLAIN, (), (), ()]
    row[place] = value
    try:
        item = item_rows.unpack(tuple(row))
    except RemoteProtocolError:
        return
    assert item_rows.unpack(item_rows.pack(item)) == item


@given(_values)
def test_any_value_at_all_is_an_item_or_a_breach(value: Any) -> None:
    """The same for a whole row."""
    with contextlib.suppress(RemoteProtocolError):
        item_rows.unpack(value)
