"""Connections on which squid or its helpers send lines: taken in, bounded, and none of them a danger to the others.

Rules of this file: what goes wrong on a connection costs that connection. Nobody waits for a line to end: helpers are
silent for hours.
"""

import socket
from collections.abc import Awaitable, Callable
from typing import TypeAlias

import trio

from protocol.io.log import Log
from proxyagent.errors import Error
from proxyagent.integrations.squid.questions import Lines

CONNECTIONS_MAX = 64
"""Squid starts a few helpers for each worker process, and one log connection."""

READ_BYTES = 64 * 1024
SEND_TIMEOUT_S = 5.0
"""For answers to be taken; a helper gives up much earlier."""

PAUSE_S = 0.5
"""After the system has refused another connection."""

Converse: TypeAlias = Callable[["Incoming"], Awaitable[None]]


class Incoming:
    """One connection: lines in, bytes out. It costs one turn of the loop for all that has come: every request asks."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._lines = Lines()
        self._sending = trio.Lock()

    @property
    def peer(self) -> str:
        """The address of the other end; empty on a Unix socket."""
        name = self._connection.getpeername()
        return str(name[0]) if isinstance(name, tuple) else ""

    async def receive(self) -> list[bytes] | None:
        """The lines that came, maybe none; None at the end, however it came."""
        if self._connection.fileno() < 0:
            return None
        try:
            await trio.lowlevel.wait_readable(self._connection)
            data = self._connection.recv(READ_BYTES)
        except BlockingIOError:
            return []
        except (OSError, trio.ClosedResourceError):
            return None
        return self._lines.feed(data) if data else None

    async def send(self, data: bytes) -> None:
        """Send it all, in one piece; who does not take it loses the connection. Raises nothing: `receive` tells."""
        try:
            if not self._sending.locked():
                data = data[self._sent(data) :]
            if data:
                async with self._sending:
                    await self._send_slowly(data)
        except (OSError, trio.ClosedResourceError):
            pass  # they left
        except trio.TooSlowError:
            self.close()

    def close(self) -> None:
        """End the connection, whoever waits for it."""
        if self._connection.fileno() >= 0:
            trio.lowlevel.notify_closing(self._connection)
            self._connection.close()

    def _sent(self, data: bytes) -> int:
        try:
            return self._connection.send(data) if data else 0
        except BlockingIOError:
            return 0

    async def _send_slowly(self, data: bytes) -> None:
        with trio.fail_after(SEND_TIMEOUT_S):
            while data:
                await trio.lowlevel.wait_writable(self._connection)
                data = data[self._sent(data) :]


async def accept(listener: socket.socket, converse: Converse, log: Log) -> None:
    """Take connections in until cancelled; each is served by `converse` and closed then. `listener` does not block."""
    await _Door(converse, log).accept(listener)


class _Door:
    def __init__(self, converse: Converse, log: Log) -> None:
        self._converse = converse
        self._log = log
        self._open = 0

    async def accept(self, listener: socket.socket) -> None:
        async with trio.open_nursery() as nursery:
            while True:
                await trio.lowlevel.wait_readable(listener)
                try:
                    connection, _ = listener.accept()
                except BlockingIOError:
                    continue  # they left before they were let in
                except OSError:  # too many open files
                    await trio.sleep(PAUSE_S)
                    continue
                if self._open >= CONNECTIONS_MAX:
                    connection.close()
                    continue
                connection.setblocking(False)
                self._open += 1
                nursery.start_soon(self._serve, Incoming(connection))

    async def _serve(self, incoming: Incoming) -> None:
        """One connection to its end; raises nothing."""
        try:
            await self._converse(incoming)
        except (OSError, Error):
            pass  # they left before anything was said, or the agent is being left
        except Exception as error:  # noqa: BLE001 - the other connections are served on
            self._log.alarm("squid.connection_failed", error=repr(error))
        finally:
            self._open -= 1
            incoming.close()
