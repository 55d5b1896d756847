"""A stream of bytes as a link needs it, and its ordinary kind: a TCP socket.

Rules of this file:

- Waiting and doing are apart: `wait_...` blocks and does nothing else, everything else never blocks. So a link reads
  and writes from whatever task has something to read or write, and no task is woken only to hand bytes on.
- Closing wakes whoever waits, with trio.ClosedResourceError.
- One reader and one writer at a time; the link sees to it.

Theory. trio's own SocketStream costs a checkpoint at each send and an allocation at each receive. A wake-up and
`recv_into` a kept buffer take two thirds of the time (docs/explain, the hot path).
"""

import ipaddress
import socket
from typing import Protocol

import trio


class Transport(Protocol):
    """What carries a link. Errors of the network are OSError."""

    @property
    def host(self) -> str:
        """The address at the other end, canonical and without the port."""

    @property
    def address(self) -> str:
        """The same with its port, for people to read."""

    async def wait_readable(self) -> None:
        """Blocks until receive_into has something to say. A checkpoint."""

    async def wait_writable(self) -> None:
        """Blocks until send has room. A checkpoint."""

    def receive_into(self, buffer: memoryview) -> int | None:
        """How many bytes came; 0 is the end of the stream, None means nothing yet."""

    def send(self, data: bytes | memoryview) -> int:
        """How many bytes were taken; 0 for no room."""

    def finish(self) -> None:
        """Nothing more will be sent; the other end reads what was sent, and then the end."""

    def wake(self) -> None:
        """Whoever waits gets trio.ClosedResourceError; the transport stays as it is."""

    def set_patience(self, seconds: float) -> None:
        """Give up when what was sent is not acknowledged for so long."""

    def close(self) -> None:
        """Ends both directions and wakes whoever waits. Harmless when repeated."""


class SocketTransport:
    """A connected TCP socket, which it owns from now on."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._closed = False
        sock.setblocking(False)
        if sock.family in (socket.AF_INET, socket.AF_INET6):
            _tune(sock)
        self.host, self.address = _names_of(sock)

    async def wait_readable(self) -> None:
        await trio.lowlevel.wait_readable(self._socket)

    async def wait_writable(self) -> None:
        await trio.lowlevel.wait_writable(self._socket)

    def receive_into(self, buffer: memoryview) -> int | None:
        try:
            return self._socket.recv_into(buffer)
        except (BlockingIOError, InterruptedError):
            return None

    def send(self, data: bytes | memoryview) -> int:
        try:
            return self._socket.send(data)
        except (BlockingIOError, InterruptedError):
            return 0

    def finish(self) -> None:
        try:
            self._socket.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # the other end has gone already

    def wake(self) -> None:
        trio.lowlevel.notify_closing(self._socket)

    def set_patience(self, seconds: float) -> None:
        if hasattr(socket, "TCP_USER_TIMEOUT") and self._socket.family in (socket.AF_INET, socket.AF_INET6):
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, round(seconds * 1000))

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            trio.lowlevel.notify_closing(self._socket)
            self._socket.close()


_KEEPALIVE = {"TCP_KEEPIDLE": 1, "TCP_KEEPINTVL": 1, "TCP_KEEPCNT": 3}
"""A silent link is asked after a second, each second, three times. Heartbeats see it sooner; this is for handshakes."""

_UNSENT_BYTES = 256 * 1024
"""What may wait in the kernel before send says "no room": more would put bulk ahead of live updates."""


def _tune(sock: socket.socket) -> None:
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (*_KEEPALIVE.items(), ("TCP_NOTSENT_LOWAT", _UNSENT_BYTES)):
        if hasattr(socket, name):
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def _names_of(sock: socket.socket) -> tuple[str, str]:
    """The other end's address without and with its port."""
    try:
        name = sock.getpeername()
    except OSError:
        return "", "an address that has gone"
    if sock.family not in (socket.AF_INET, socket.AF_INET6):
        return "", "a local socket"
    host = ipaddress.ip_address(name[0].partition("%")[0])
    mapped = getattr(host, "ipv4_mapped", None)
    text = str(mapped or host)
    return text, f"[{text}]:{name[1]}" if ":" in text else f"{text}:{name[1]}"


def take_socket(taken: socket.socket | trio.socket.SocketType | trio.SocketStream) -> SocketTransport:
    """A transport over what a listener or a dialler of trio gives, which must not be used any more."""
    if isinstance(taken, trio.SocketStream):
        taken = taken.socket
    if isinstance(taken, trio.socket.SocketType):
        taken = socket.socket(fileno=taken.detach())
    return SocketTransport(taken)
