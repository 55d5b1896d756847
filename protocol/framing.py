"""Frames: an unsigned length of four bytes, big-endian, then that many bytes of body.

Rules of this file:

- The length is judged before anything of the body is kept, so a length of 4 GiB costs four bytes.
- A frame is handed out whole or not at all. An empty frame is against the rules: no message is empty.
- What stays behind is at most one unfinished frame, so memory is bounded by the bound on frames.
- Nothing here knows what a body means.

Source: DESIGN section 5 (decode one frame at a time).
"""

import struct

from protocol.errors import RemoteProtocolError

HEADER_BYTES = 4

_header = struct.Struct(">I")

_TLS_HANDSHAKE = b"\x16\x03"
_TLS_ALERT = b"\x15\x03"


def frame(body: bytes) -> bytes:
    """The body with its length before it."""
    return _header.pack(len(body)) + body


class FrameReader:
    """Cuts a stream of bytes into frames.

    `bytes_max` may be raised at any time, as it is once the peer is proven; it holds for frames not yet handed out.
    """

    def __init__(self, bytes_max: int) -> None:
        self.bytes_max = bytes_max
        self.failure: RemoteProtocolError | None = None
        self._rest = bytearray()

    @property
    def waiting_bytes(self) -> int:
        """What has come of frames that are not handed out yet."""
        return len(self._rest)

    def feed(self, data: bytes | bytearray | memoryview, frames_max: int | None = None) -> list[bytes]:
        """Every frame that is complete now, without its length; at most `frames_max`, the others wait.

        The caller may reuse the memory behind `data` at once. A length out of bounds ends the stream for good: the
        frames before it are handed out, `failure` tells why, and every later call raises it.
        """
        if self.failure is not None:
            raise self.failure
        if not self._rest:
            frames, used = self._cut(memoryview(data), frames_max)
            self._rest += data[used:]
            return frames
        self._rest += data
        with memoryview(self._rest) as view:
            frames, used = self._cut(view, frames_max)
        del self._rest[:used]
        return frames

    def _cut(self, view: memoryview, frames_max: int | None) -> tuple[list[bytes], int]:
        """The frames at the head of the view, and how many bytes they take with their lengths.

        Behind a length out of bounds nothing means anything: then all is used up.
        """
        frames: list[bytes] = []
        start, end = 0, len(view)
        while end - start >= HEADER_BYTES and len(frames) != frames_max:
            (length,) = _header.unpack_from(view, start)
            if not 0 < length <= self.bytes_max:
                header = bytes(view[start : start + HEADER_BYTES])
                self.failure = RemoteProtocolError(self._complaint(header, length))
                if not frames:
                    raise self.failure
                return frames, end
            stop = start + HEADER_BYTES + length
            if stop > end:
                break
            frames.append(bytes(view[start + HEADER_BYTES : stop]))
            start = stop
        return frames, start

    def _complaint(self, header: bytes, length: int) -> str:
        """What is wrong with a length, with the likely cause where the bytes show it."""
        if header.startswith((_TLS_HANDSHAKE, _TLS_ALERT)):
            return "the peer speaks TLS and this side does not; set the same [tls] mode on both"
        return f"a frame of {length} bytes; allowed are 1 to {self.bytes_max}"
