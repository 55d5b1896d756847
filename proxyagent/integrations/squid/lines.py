"""Connections on which squid or its helpers send lines: taken in, bounded, and none of them a danger to the others.

Rules of this file: what goes wrong on a connection costs that connection. Nobody waits for a line to end: helpers are
silent for hours.
"""

import socket
from collections.abc import Awaitable, Callable
from typing import TypeAlias

import trio

from protocol.io.log import Log
from proxyagent.integrations.squid.questions import Lines

CONNECTIONS_MAX = 64
"""Squid starts a few helpers for each worker process, and one log connection."""

READ_BYTES = 256 * 1024
SEND_TIMEOUT_S = 5.0
"""For answers to be taken; a helper gives up much earlier."""

PAUSE_S = 0.5
"""After the system has refused another connection."""

Converse: TypeAlias = Callable[["Incoming"], Awaitable[None]]


class Incoming:
    """One connection: lines in, bytes out."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream
        self._lines = Lines()
        self._sending = trio.Lock()

    @property
    def peer(self) -> str:
        """The address of the other end; empty on a Unix socket."""
        name = self._stream.socket.getpeername()
        return str(name[0]) if isinstance(name, tuple) else ""

    async def receive(self) -> list[bytes] | None:
        """The lines that came, maybe none; None at the end, however it came."""
        try:
            data = await self._stream.receive_some(READ_BYTES)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return None
        return self._lines.feed(bytes(data)) if data else None

    async def send(self, data: bytes) -> None:
        """Send it all, in one piece; who does not take it loses the connection. Raises nothing: `receive` tells."""
        if not data:
            return
        async with self._sending:
            try:
                with trio.fail_after(SEND_TIMEOUT_S):
                    await self._stream.send_all(data)
            except (trio.BrokenResourceError, trio.ClosedResourceError, trio.TooSlowError):
                await trio.aclose_forcefully(self._stream)


async def accept(listener: socket.socket, converse: Converse, log: Log) -> None:
    """Take connections in until cancelled; each is served by `converse` and closed then."""
    await _Door(converse, log).accept(trio.socket.from_stdlib_socket(listener))


class _Door:
    def __init__(self, converse: Converse, log: Log) -> None:
        self._converse = converse
        self._log = log
        self._open = 0

    async def accept(self, listener: trio.socket.SocketType) -> None:
        async with trio.open_nursery() as nursery:
            while True:
                try:
                    connection, _ = await listener.accept()
                except OSError:  # too many open files, or a caller that left
                    await trio.sleep(PAUSE_S)
                    continue
                if self._open >= CONNECTIONS_MAX:
                    connection.close()
                    continue
                self._open += 1
                nursery.start_soon(self._serve, trio.SocketStream(connection))

    async def _serve(self, stream: trio.SocketStream) -> None:
        """One connection to its end; raises nothing."""
        try:
            async with stream:
                await self._converse(Incoming(stream))
        except OSError:
            pass  # they left before anything was said
        except Exception as error:  # noqa: BLE001 - the other connections are served on
            self._log.alarm("squid.connection_failed", error=repr(error))
        finally:
            self._open -= 1
