"""What claims to be large costs little memory: a length, an array or a run is believed only as far as it has come.

That nothing but documented errors comes out, whatever goes in, is the business of tests/fuzz.
"""

import contextlib
import struct
import tracemalloc

import msgpack
import pytest

from protocol import limits
from protocol.codec import decode, decode_changes
from protocol.errors import RemoteProtocolError
from protocol.framing import frame
from tests.wire import samples
from tests.wire.pair import NOW, Pair, opened


def bomb(depth: int, elements: int) -> bytes:
    """Nested arrays that each claim many elements and hold one."""
    return (b"\xdd" + struct.pack(">I", elements)) * depth


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
