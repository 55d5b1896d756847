"""Whatever comes, it is a message or a RemoteProtocolError, and little memory.

The invariant of every test here: nothing else is raised, ever.
"""

import contextlib
import struct
import tracemalloc
from typing import Any

import msgpack
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from protocol import limits
from protocol.codec import decode, decode_changes, encode, encode_changes
from protocol.errors import RemoteProtocolError
from protocol.framing import frame
from protocol.messages import ALL, Message
from tests.wire import samples
from tests.wire.pair import NOW, Pair, opened

PLAIN: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(1 << 63), (1 << 64) - 1)
    | st.floats()
    | st.text(max_size=12)
    | st.binary(max_size=24),
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=20,
)
BODIES = [encode(sample) for sample in samples.MESSAGES]
PAYLOAD = encode_changes(samples.CHANGES)


def bomb(depth: int, elements: int) -> bytes:
    """Nested arrays that each claim many elements and hold one."""
    return (b"\xdd" + struct.pack(">I", elements)) * depth


@given(st.binary(max_size=200))
@example(b"\xc1")
@example(b"\xd4\xff\x00")
@example(b"\xd6\xff\x00\x00\x00\x00")
@example(b"\xc7\x00\xff")
@example(b"\x81\x90\x90")
@example(b"\x90" * 200)
@example(b"\x91" * 5_000)
@example(bomb(3_000, 4_096))
def test_any_bytes_decode_to_a_message_or_a_breach(body: bytes) -> None:
    """Random bytes and the known nasties of msgpack: extensions, timestamps, odd keys, depth."""
    with contextlib.suppress(RemoteProtocolError):
        assert isinstance(decode(body), Message)
    with contextlib.suppress(RemoteProtocolError):
        decode_changes(body)


@given(st.sampled_from([kind.number for kind in ALL]), st.lists(PLAIN, max_size=18))
def test_any_values_decode_to_a_message_or_a_breach(number: int, fields: list[Any]) -> None:
    """Well-formed frames with fields of any type; what is let in can be sent on."""
    with contextlib.suppress(RemoteProtocolError):
        message = decode(msgpack.packb([number, *fields]))
        assert decode(encode(message)) == message


@given(st.sampled_from(samples.MESSAGES), st.data())
def test_one_wrong_field_is_a_breach_or_still_a_message(sample: Message, data: st.DataObject) -> None:
    """Right messages with one field replaced."""
    fields = list(msgpack.unpackb(encode(sample)))
    place = data.draw(st.integers(0, len(fields) - 1))
    fields[place] = data.draw(PLAIN)
    with contextlib.suppress(RemoteProtocolError):
        assert isinstance(decode(msgpack.packb(fields)), Message)


@given(st.data())
def test_one_wrong_column_is_a_breach_or_still_changes(data: st.DataObject) -> None:
    """A right payload with any one value, at any depth, replaced; what is let in can be sent on."""
    payload = msgpack.unpackb(PAYLOAD)
    inner = payload
    while True:
        place = data.draw(st.integers(0, len(inner) - 1))
        if not isinstance(inner[place], list) or not inner[place] or data.draw(st.booleans()):
            break
        inner = inner[place]
    inner[place] = data.draw(PLAIN)
    with contextlib.suppress(RemoteProtocolError):
        changes = decode_changes(msgpack.packb(payload))
        assert decode_changes(encode_changes(changes)) == changes


@given(st.sampled_from([*BODIES, PAYLOAD]), st.data())
def test_flipped_and_cut_bytes_are_a_breach_or_a_message(body: bytes, data: st.DataObject) -> None:
    """Right bytes with some changed, cut off or repeated."""
    spoiled = bytearray(body)
    for _ in range(data.draw(st.integers(1, 4))):
        spoiled[data.draw(st.integers(0, len(spoiled) - 1))] = data.draw(st.integers(0, 255))
    spoiled = spoiled[: data.draw(st.integers(1, len(spoiled)))]
    with contextlib.suppress(RemoteProtocolError):
        decode(bytes(spoiled))
    with contextlib.suppress(RemoteProtocolError):
        decode_changes(bytes(spoiled))


@given(st.lists(st.binary(max_size=60), max_size=12), st.booleans())
def test_any_stream_is_messages_or_a_breach(pieces: list[bytes], proven: bool) -> None:
    """Both ends, before and after the proof, take any bytes; after a breach they stay closed."""
    pair = opened() if proven else Pair()
    if not proven:
        pair.dialler.start(NOW)
    for connection in (pair.listener, pair.dialler):
        for piece in pieces:
            try:
                connection.receive_data(piece, NOW)
            except RemoteProtocolError:
                assert connection.failure is not None
        assert (connection.failure is None) or connection.phase.value == "CLOSED"


@given(st.lists(st.sampled_from([frame(body) for body in BODIES]), max_size=8), st.booleans())
def test_any_order_of_messages_is_taken_or_a_breach(frames: list[bytes], proven: bool) -> None:
    """Right messages in the wrong order, the handshake's among them."""
    pair = opened() if proven else Pair()
    if not proven:
        pair.dialler.start(NOW)
    for connection in (pair.listener, pair.dialler):
        for piece in frames:
            with contextlib.suppress(RemoteProtocolError):
                connection.receive_data(piece, NOW)
                connection.replies()


@pytest.mark.parametrize(
    ("data", "proven", "bytes_max"),
    [
        (b"\xff\xff\xff\xff" + bytes(100_000), False, 300_000),
        (b"\x00\x00\x10\x00" + bytes(4_095), False, 100_000),
        (frame(bomb(800, 4_096)), False, 500_000),
        (b"\x00\x10\x00\x00" + bytes(200_000), True, 1_000_000),
    ],
    ids=["4 GiB length", "4 KiB kept", "array bomb of a stranger", "1 MiB announced"],
)
def test_memory_is_bounded_by_what_came(data: bytes, proven: bool, bytes_max: int) -> None:
    """No claim of length makes us hold memory in advance."""
    connection = (opened() if proven else Pair()).listener
    tracemalloc.start()
    try:
        with contextlib.suppress(RemoteProtocolError):
            connection.receive_data(data, NOW)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < bytes_max


def test_an_array_bomb_of_a_proven_peer_costs_little() -> None:
    """The most that nested claims can take, with msgpack's own bound on depth, is 32 MiB for a moment."""
    tracemalloc.start()
    try:
        with pytest.raises(RemoteProtocolError):
            decode(bomb(20_000, limits.FRAME_CHANGES_MAX))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 40 * 1024 * 1024


def test_a_few_bytes_cannot_claim_many_changes() -> None:
    """A run that claims more than a frame may hold is refused before any of it is made."""
    run = ["squid-1", 1, [0, limits.FRAME_CHANGES_MAX], samples.NOW_MS]
    assert len(decode_changes(msgpack.packb([[], [], [run]]))) == limits.FRAME_CHANGES_MAX
    for runs in ([run, ["squid-1", 1, [0, 1], 5]], [["squid-1", 1, [0, 1 << 39], 5]]):
        with pytest.raises(RemoteProtocolError, match="more than 4096 changes"):
            decode_changes(msgpack.packb([[], [], runs]))
