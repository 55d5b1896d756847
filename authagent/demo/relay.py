"""A wire that can be cut: a TCP relay in front of one agent that tells its callers apart.

The configuration names the relay's port, and the agent listens elsewhere (`--listen`), so that everybody who dials the
agent passes here, unprivileged, on any system. A caller is named by its first frame: the Hello of DESIGN section 5,
which is readable on loopback, where the links of the demo are plain. Rules of this file:

- A cut is silent, like a pulled cable: bytes wait, new connections are accepted and hear nothing. Healing lets
  the bytes go on.
- What the far end does reaches the near end: a dead agent resets its callers, whether they were connected or not.
"""

import socket
import struct
from collections import Counter
from collections.abc import Callable

import attrs
import trio

from protocol import framing, limits
from protocol.codec import decode
from protocol.errors import RemoteProtocolError
from protocol.messages import Hello

_RESET = struct.pack("ii", 1, 0)
"""SO_LINGER with zero seconds: closing sends RST, as a dead process's kernel would."""


@attrs.frozen
class Caller:
    """Who dials: what its Hello says, or empty strings when it sent something else."""

    kind: str
    id: str
    site: str = attrs.field(default="", eq=False)  # of use where several sites play


class Relay:
    """Passes connections from its own port to `port` on loopback, except from callers that are cut off.

    `passed_bytes` counts what passed for each caller, both ways together.
    """

    def __init__(self, port: int) -> None:
        self.passed_bytes: Counter[Caller] = Counter()
        self._target = port
        self._cut: Callable[[Caller], bool] = _nobody
        self._changed = trio.Event()

    def cut(self, severed: Callable[[Caller], bool]) -> None:
        """From now on nothing passes, either way, for callers of whom `severed` is true."""
        self._cut = severed
        self._turn()

    def heal(self) -> None:
        """Let everything pass again."""
        self.cut(_nobody)

    async def serve(self, near: trio.SocketStream) -> None:
        """A handler for trio.serve_tcp: one caller. Never raises for the network's sake."""
        async with near:
            try:
                first = await _first_bytes(near)
                caller = _caller(first)
                await self._passable(caller)
                far = await trio.open_tcp_stream("127.0.0.1", self._target)
            except OSError:
                near.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                return
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                return
            async with far:
                await self._both_ways(near, far, caller, first)

    async def _both_ways(self, near: trio.SocketStream, far: trio.SocketStream, caller: Caller, first: bytes) -> None:
        try:
            self.passed_bytes[caller] += len(first)
            await far.send_all(first)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._pass, near, far, caller)
                await self._pass(far, near, caller)
                nursery.cancel_scope.cancel()
        except* (trio.BrokenResourceError, trio.ClosedResourceError):
            near.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)

    async def _pass(self, source: trio.SocketStream, sink: trio.SocketStream, caller: Caller) -> None:
        while True:
            data = await source.receive_some(64 * 1024)
            await self._passable(caller)
            if not data:
                return await sink.send_eof()
            self.passed_bytes[caller] += len(data)
            await sink.send_all(data)

    async def _passable(self, caller: Caller) -> None:
        while self._cut(caller):
            await self._changed.wait()

    def _turn(self) -> None:
        self._changed.set()
        self._changed = trio.Event()


def _nobody(_caller: Caller) -> bool:
    return False


async def _first_bytes(stream: trio.SocketStream) -> bytes:
    """The caller's first frame, or what it sent instead before it stopped."""
    data = b""
    while len(data) < 4 or len(data) < 4 + int.from_bytes(data[:4], "big") <= limits.HANDSHAKE_FRAME_BYTES_MAX:
        more = await stream.receive_some(limits.HANDSHAKE_FRAME_BYTES_MAX)
        if not more:
            break
        data += more
    return data


def _caller(first: bytes) -> Caller:
    try:
        frames = framing.FrameReader(limits.HANDSHAKE_FRAME_BYTES_MAX).feed(first)
        hello = decode(frames[0]) if frames else None
    except RemoteProtocolError:
        hello = None
    return Caller(hello.kind, hello.id, hello.site) if isinstance(hello, Hello) else Caller("", "")
