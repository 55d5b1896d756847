"""Rows of the store: what is whole comes back, what is not is noticed."""

import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authagent.store_rows import pack, unpack

PAYLOADS = st.lists(st.binary(min_size=1, max_size=40), max_size=8)


@given(PAYLOADS)
def test_what_is_packed_comes_back(payloads: list[bytes]) -> None:
    """Unpacking a row gives the payloads that were packed, in order, and calls it intact."""
    assert unpack(pack(payloads)) == (payloads, True)


@given(PAYLOADS.filter(bool), st.data())
def test_a_flipped_bit_is_noticed(payloads: list[bytes], data: st.DataObject) -> None:
    """After any single flipped bit the row is not intact, and whatever is given was among what was packed."""
    row = bytearray(pack(payloads))
    bit = data.draw(st.integers(0, len(row) * 8 - 1))
    row[bit // 8] ^= 1 << bit % 8
    found, intact = unpack(bytes(row))
    assert not intact
    assert set(found) <= set(payloads)


@given(PAYLOADS.filter(bool), st.data())
def test_a_row_that_was_cut_is_noticed(payloads: list[bytes], data: st.DataObject) -> None:
    """A row cut anywhere gives the payloads before the cut; only a cut between two looks intact."""
    row = pack(payloads)
    found, intact = unpack(row[: data.draw(st.integers(0, len(row) - 1))])
    assert found == payloads[: len(found)]
    assert len(found) < len(payloads)
    assert not intact or pack(found) == row[: len(pack(found))]


def test_a_damaged_payload_costs_only_itself() -> None:
    """The payloads before and behind one with a wrong sum are still given."""
    row = bytearray(pack([b"one", b"two", b"three"]))
    row[row.index(b"two")] ^= 1
    assert unpack(bytes(row)) == ([b"one", b"three"], False)


def test_zeros_are_no_payloads() -> None:
    """A page of zeros, which a sum over the payload alone would accept, is damage."""
    assert unpack(bytes(4096)) == ([], False)


def test_an_empty_payload_is_a_mistake_of_ours() -> None:
    """Packing an empty payload is refused before it can be written."""
    with pytest.raises(AssertionError, match="0 bytes"):
        pack([b""])


def test_a_row_that_was_cut_off_is_not_intact() -> None:
    """Within the length and sum of a payload, and within the payload itself."""
    row = pack([b"one", b"two"])
    for end in range(len(pack([b"one"])) + 1, len(row)):
        assert unpack(row[:end]) == ([b"one"], False)


def test_an_empty_payload_is_damage_even_with_a_right_sum() -> None:
    """Nobody writes one; what stands behind it cannot be trusted."""
    empty = struct.pack(">II", 0, zlib.crc32(b"", zlib.crc32(struct.pack(">I", 0))))
    assert unpack(pack([b"one"]) + empty + pack([b"two"])) == ([b"one"], False)
