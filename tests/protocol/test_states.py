"""Tests of protocol.states: State bytes survive the wire in few bytes, and masks name exactly what is lacking."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from protocol.errors import RemoteProtocolError
from protocol.session import State
from protocol.states import NOTHING, PACKED_BYTES_MAX, full_mask, lacking, pack, unpack

STATE_BYTES = st.sampled_from(bytes(State))
RUNS = st.lists(st.tuples(st.integers(1, 256), STATE_BYTES), max_size=60)
PAGES = st.one_of(
    st.lists(STATE_BYTES, min_size=256, max_size=256).map(bytes),
    RUNS.map(lambda runs: b"".join(bytes([state]) * count for count, state in runs)[:256].ljust(256, b"\0")),
)


def places(mask: bytes) -> set[int]:
    return {place for place in range(256) if full_mask(mask)[place // 8] >> place % 8 & 1}


@given(PAGES)
@example(NOTHING)
@example(bytes([State.CONFLICT]) * 256)
@example(bytes([State.ALIVE, State.SUPERSEDED]) * 128)
def test_states_survive_the_wire(states: bytes) -> None:
    """What is packed comes out again, in at most 96 bytes."""
    packed = pack(states)
    assert len(packed) <= PACKED_BYTES_MAX
    assert unpack(packed) == states


def test_ordinary_pages_take_a_few_bytes() -> None:
    """A page all alive, one half filled and one with a stretch of logouts cost 2 bytes for each stretch."""
    assert len(pack(NOTHING)) == 0
    assert len(pack(bytes([1]) * 256)) == 2
    assert len(pack(bytes([1]) * 100 + bytes(156))) == 2
    assert len(pack(bytes([1]) * 100 + bytes([3]) * 10 + bytes([1]) * 146)) == 6


@pytest.mark.parametrize(
    "packed",
    [
        b"\x01",  # half a run
        b"\xff\x01\x00\x01",  # 257 places
        b"\x00\x06",  # a state that is none
        b"\x00\xff",
        b"\xff" * 96,  # the digit 7
        b"\x01" * 97,
        b"\x00\x01" * 60,  # longer than what is ever sent
    ],
)
def test_impossible_states_are_refused(packed: bytes) -> None:
    """Lengths that are never sent, too many places and unknown states cost the peer its link."""
    with pytest.raises(RemoteProtocolError):
        unpack(packed)


@given(st.binary(max_size=100))
def test_any_bytes_are_a_page_or_refused(packed: bytes) -> None:
    """No bytes make `unpack` do anything but give 256 known states or refuse."""
    try:
        states = unpack(packed)
    except RemoteProtocolError:
        return
    assert len(states) == 256
    assert set(states) <= set(State)


@given(PAGES, PAGES)
def test_masks_name_what_is_lacking(low: bytes, high: bytes) -> None:
    """Whole records where there is none or a conflict, ends where the login is there, and nothing that is not above."""
    mask, end_mask = lacking(low, high)
    pairs = list(enumerate(zip(low, high, strict=True)))
    assert places(mask) == {place for place, (a, b) in pairs if b > a and (a == 0 or b == State.CONFLICT)}
    assert places(end_mask) == {place for place, (a, b) in pairs if b > a > 0 and b < State.CONFLICT}


def test_masks_travel_without_their_tail() -> None:
    """A difference in the first places costs one byte, none costs nothing."""
    assert lacking(NOTHING, bytes([1, 3]) + bytes(254)) == (b"\x03", b"")
    assert lacking(bytes([1]) * 256, bytes([3]) + bytes([1]) * 255) == (b"", b"\x01")
    assert lacking(NOTHING, NOTHING) == (b"", b"")
    assert full_mask(b"\x03") == b"\x03" + bytes(31)
