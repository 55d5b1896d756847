"""One column at a time."""

from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import columns, limits
from protocol.errors import LocalProtocolError, RemoteProtocolError
from protocol.session import Attributes

HIGH = limits.TIME_MS_MAX

texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=20)
attributes = st.dictionaries(
    texts,
    texts | st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=5), max_size=3).map(tuple),
    max_size=4,
).map(lambda pairs: tuple(sorted(pairs.items())))


@given(st.lists(st.integers(0, HIGH) | st.integers(5, 9), min_size=1, max_size=50))
def test_integers_come_back(values: list[int]) -> None:
    """Equal ones, near ones and far ones."""
    column = columns.pack_integers(values, 0, HIGH, "x")
    assert columns.unpack_integers(column, len(values), 0, HIGH, "x") == values


@pytest.mark.parametrize(("values", "width"), [([0, 255], 1), ([7, 7 + 256], 2), ([0, 1 << 16], 4), ([0, 1 << 32], 8)])
def test_integers_take_as_little_as_they_can(values: list[int], width: int) -> None:
    """The offsets are as wide as the widest needs."""
    packed = columns.pack_integers(values, 0, HIGH, "x")
    assert isinstance(packed, tuple) and len(packed[1]) == 2 * width


def test_offsets_are_little_endian() -> None:
    """The bytes mean the same on every machine."""
    assert columns.pack_integers([1000, 1001, 1258], 0, HIGH, "x") == (1000, b"\x00\x00\x01\x00\x02\x01")


@pytest.mark.parametrize(
    "column",
    [
        *(-1, HIGH + 1, True, None, "5", (), (0,), (0, b"\0"), (0, b""), (0, bytes(6)), (0, "ab"), (None, b"\0\0")),
        *((-1, b"\0\0"), (HIGH, b"\0\1"), (1 << 63, b"\xff" * 16), (0, b"\xff" * 16), (0, b"\0\0", 0), [0, b"\0\0"]),
    ],
)
def test_wrong_integers_are_breaches(column: Any) -> None:
    """Values out of bounds, and forms that are none, for a column of two."""
    with pytest.raises(RemoteProtocolError):
        columns.unpack_integers(column, 2, 0, HIGH, "x")


@given(st.lists(texts, min_size=1, max_size=20), st.booleans())
def test_strings_come_back(values: list[str], may_be_equal: bool) -> None:
    """Whatever letters they have, one or many, equal or not."""
    for given_values in (values, values[:1] * 3):
        column = columns.pack_strings(given_values, 256, "x", may_be_equal=may_be_equal)
        assert columns.unpack_strings(column, len(given_values), 256, "x") == given_values


@pytest.mark.parametrize(
    "column",
    [
        *("a", "a\0b\0c", "a\0", "\0a", "a" * 257 + "\0b", "é" * 129 + "\0b"),
        *(("a", "b"), ("",), ("a\0b",), (b"a",), b"a\0b", None, ()),
    ],
)
def test_wrong_strings_are_breaches(column: Any) -> None:
    """Too few, too many, empty, too long in bytes, NUL where none may be, other types, for a column of two."""
    with pytest.raises(RemoteProtocolError):
        columns.unpack_strings(column, 2, 256, "x")


@pytest.mark.parametrize(
    "values", [["a\0b", "c"], ["", "c"], ["a", ""], ["x" * 257, "c"], ["é" * 129, "c"], ["a\0a", "a\0a"]]
)
def test_wrong_strings_of_our_own_do_not_leave(values: list[str]) -> None:
    """The same bounds on the way out, whether or not all are equal."""
    with pytest.raises(LocalProtocolError):
        columns.pack_strings(values, 256, "x", may_be_equal=True)


@given(st.lists(st.integers(0, limits.SEQUENCE_MAX), min_size=1, max_size=20))
def test_sequences_come_back(values: list[int]) -> None:
    """In any order; consecutive ones as a range."""
    spent: list[int] = []
    assert list(columns.unpack_sequences(columns.pack_sequences(values), spent.append)) == values
    assert spent == [len(values)]
    row = range(values[0] // 2, values[0] // 2 + len(values))
    assert columns.unpack_sequences(columns.pack_sequences(list(row)), spent.append) == row
    assert columns.unpack_sequences((row[0], len(row), bytes(range(len(row)))), spent.append) == row, "in the long form"


@pytest.mark.parametrize(
    "column",
    [
        *((), (1,), (1, 0), (1, -1), (-1, 2), (limits.SEQUENCE_MAX, 2), (1, True)),
        *((1, 2, b"\0"), (1, 2, 3), 7, (1, 2, b"\0\0", 1)),
    ],
)
def test_wrong_sequences_are_breaches(column: Any) -> None:
    """None at all, beyond the bound, and forms that are none."""
    with pytest.raises(RemoteProtocolError):
        columns.unpack_sequences(column, lambda count: None)


def test_a_claim_is_told_before_anything_is_made() -> None:
    """The budget hears of 2^60 sequences, and nothing of that length exists."""

    def refuse(count: int) -> None:
        raise RemoteProtocolError(str(count))

    with pytest.raises(RemoteProtocolError, match=str(1 << 60)):
        columns.unpack_sequences((0, 1 << 60), refuse)


@given(st.lists(attributes, min_size=1, max_size=20))
def test_attributes_come_back(column: list[Attributes]) -> None:
    """And equal ones as one object, however many there are."""
    packed = columns.pack_maps(column)
    assert packed is not None
    back = columns.unpack_maps(packed, len(column))
    assert back == column
    assert len(set(map(id, back))) == len(set(back))


@pytest.mark.parametrize(
    "flat",
    [
        *(
            ["b", "1", "a", "1"],
            ["a", "1", "a", "2"],
            ["a"],
            ["", "1"],
            ["a", 1],
            ["a", [1]],
            [1, "a"],
            "a",
            {"a": "b"},
            [],
        ),
        [part for number in range(33) for part in (f"{number:02}", "x")],
        ["a", "x" * 4096],
        ["a", b"x"],
        ["a", [["b"]]],
    ],
)
def test_wrong_attributes_are_breaches(flat: Any) -> None:
    """Not sorted, twice, odd, nameless, of other types, too many, too long."""
    with pytest.raises(RemoteProtocolError):
        columns.unpack_maps(((msgpack.packb(flat),), b""), 1)


@pytest.mark.parametrize(
    "column",
    [
        *(None, (), ((), b""), ((b"",),), ((b"", b""), b""), ((b"",), b"\1\0"), ((b"",), b"\0")),
        *(((b"",) * 256, b"\0\0"), (("",), b"")),
    ],
)
def test_wrong_columns_of_attributes_are_breaches(column: Any) -> None:
    """No maps, too many, indices that are missing, too few or point nowhere, for a column of two."""
    with pytest.raises(RemoteProtocolError):
        columns.unpack_maps(column, 2)


@pytest.mark.parametrize(
    "attributes", [(("b", "1"), ("a", "1")), (("a", "1"), ("a", "2")), (("a", "x" * 4096),), (("a", ["b"]),)]
)
def test_wrong_attributes_of_our_own_do_not_leave(attributes: Any) -> None:
    """What we send is sorted, unique and within bounds."""
    with pytest.raises((LocalProtocolError, TypeError)):
        columns.pack_maps([attributes])


def test_more_maps_than_a_byte_counts_are_no_column() -> None:
    """255 different maps are one column, 256 are none."""
    column: list[Attributes] = [(("n", str(number)),) for number in range(256)]
    assert columns.pack_maps(column) is None
    packed = columns.pack_maps(column[:255] * 2)
    assert packed is not None and columns.unpack_maps(packed, 510) == column[:255] * 2


@pytest.mark.parametrize(("states", "column"), [(b"\2\2\2", 2), (b"\2\3\2", b"\2\3\2")])
def test_states_come_back(states: bytes, column: int | bytes) -> None:
    """As one number where all are equal."""
    assert columns.pack_states(states, columns.END_STATES) == column
    assert columns.unpack_states(column, 3, columns.END_STATES) == states


@pytest.mark.parametrize("column", [0, 1, 6, 256, -1, b"\2\2", b"\2\1\2", b"\2\2\2\2", None, "\2\2\2", True])
def test_wrong_states_are_breaches(column: Any) -> None:
    """States that no end can have, and columns of another length, for a column of three."""
    with pytest.raises(RemoteProtocolError):
        columns.unpack_states(column, 3, columns.END_STATES)
