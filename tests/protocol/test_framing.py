"""Frames out of a stream of bytes."""

import pytest

from protocol.errors import RemoteProtocolError
from protocol.framing import FrameReader, frame

BODIES = [b"a", b"bc" * 100, b"\0" * 1000]
STREAM = b"".join(map(frame, BODIES))


def test_a_frame_is_a_length_and_a_body() -> None:
    """Four bytes, big-endian, then the body."""
    assert frame(b"abc") == b"\x00\x00\x00\x03abc"


@pytest.mark.parametrize("size", [1, 2, 3, 5, 104, len(STREAM)])
def test_frames_come_out_whole_however_they_came_in(size: int) -> None:
    """Cut anywhere, each body comes once, in order, and nothing stays behind."""
    reader = FrameReader(1000)
    pieces = [STREAM[place : place + size] for place in range(0, len(STREAM), size)]
    assert [body for piece in pieces for body in reader.feed(piece)] == BODIES
    assert reader.waiting_bytes == 0


def test_the_memory_of_the_data_may_be_reused() -> None:
    """What was fed is copied: the caller's buffer takes the next bytes."""
    reader, buffer = FrameReader(10), bytearray(b"\x00\x00\x00\x02ab\x00")
    (body,) = reader.feed(memoryview(buffer))
    buffer[:] = bytes(len(buffer))
    assert body == b"ab"
    assert reader.feed(b"\x00\x00\x01c") == [b"c"]


def test_as_many_frames_as_asked_for() -> None:
    """The others wait, and the bound may change before they are read."""
    reader = FrameReader(2)
    assert reader.feed(STREAM, 1) == [b"a"]
    reader.bytes_max = 1000
    assert reader.feed(b"") == BODIES[1:]


@pytest.mark.parametrize("length", [b"\x00\x00\x00\x00", b"\x00\x00\x00\x0b", b"\xff\xff\xff\xff"])
def test_a_length_out_of_bounds_ends_the_stream(length: bytes) -> None:
    """It is an error at once, without the body, and again at every call; nothing is kept."""
    reader = FrameReader(10)
    with pytest.raises(RemoteProtocolError, match="allowed are 1 to 10"):
        reader.feed(length + bytes(100))
    assert reader.waiting_bytes == 0
    with pytest.raises(RemoteProtocolError):
        reader.feed(frame(b"a"))


def test_frames_before_a_bad_length_are_handed_out() -> None:
    """And then `failure` tells that there is no more."""
    reader = FrameReader(10)
    assert reader.feed(frame(b"a") + b"\xff\xff\xff\xff") == [b"a"]
    assert reader.failure is not None
    with pytest.raises(RemoteProtocolError):
        reader.feed(b"")


@pytest.mark.parametrize("first", [b"\x16\x03\x01\x02", b"\x15\x03\x03\x00"])
def test_tls_at_a_plain_end_is_recognised(first: bytes) -> None:
    """The error names the likely cause instead of a length of hundreds of megabytes."""
    with pytest.raises(RemoteProtocolError, match="the peer speaks TLS"):
        FrameReader(4096).feed(first)
