"""An HTTP server inside a program that has better things to do: hypercorn on trio, behind doors of our own.

Rules of this file:

- Nothing that a caller does stops the server, and the server stops nothing else: each connection is handled on its
  own, and what goes wrong in it costs that connection.
- Connections are bounded in number, headers in bytes, the wait for a request in total and not per byte, and each
  piece of an answer in time: whoever does not read is left.
- Cancelled, it ends at once: every socket is closed, so that no shielded send of hypercorn's can wait for its peer.
- HTTP/1.1 is offered. Beyond this machine itself it is spoken over TLS only (protocol.io.http_door).

Theory. hypercorn.trio.serve has no bound for connections, hands its sockets to trio.serve_listeners (one exception in
a handler would end it), and shields its sends from cancellation, so that a peer that does not read could keep a
program from ending. So the doors are ours, and hypercorn's TCPServer speaks on each stream that comes in.
"""

import ssl
import sys
from typing import Any, cast

import trio
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ASGIFramework, ConnectionState

from protocol.io.http.guard import App, Guard
from protocol.io.log import Log

CONNECTIONS_MAX = 64
"""Browsers with the status page open hold one each; a flood of strangers must not take the program's descriptors."""

HEADER_BYTES_MAX = 16 * 1024
"""A request line and its headers; browsers send a tenth of it."""

READ_BYTES_MAX = 4 * 1024
"""For each read, so that headers end close to their bound."""

IDLE_TIMEOUT_S = 5.0
"""For TLS, and for the first line of a request to its last header, also the next one of a connection."""

SEND_TIMEOUT_S = 5.0
"""For each piece of an answer to leave; who takes longer is not reading."""

STREAMS_MAX = 8
"""Requests at a time on one connection, should somebody insist on HTTP/2."""

PAUSE_S = 0.1
"""After the system has refused another connection."""


class HttpServer:
    """Serves one application, on so many connections at a time.

    `guard` counts its requests, `turned_away_total` the connections beyond the bound.
    """

    def __init__(self, app: App, log: Log, connections_max: int = CONNECTIONS_MAX) -> None:
        self.guard = Guard(app, log)
        self.connections_max = connections_max
        self.turned_away_total = 0
        self._log = log
        self._config = _configuration(log)
        self._open: set[_Stream] = set()

    @property
    def connections(self) -> int:
        """Connections that are open now."""
        return len(self._open)

    @property
    def refused_total(self) -> int:
        """Requests and connections beyond a bound."""
        return self.guard.refused_total + self.turned_away_total

    async def serve(
        self,
        listeners: list[trio.SocketListener],
        tls: ssl.SSLContext | None,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Serve until cancelled; closes the listeners. Over TLS where `tls` is given."""
        async with trio.open_nursery() as nursery:
            for listener in listeners:
                nursery.start_soon(self._accept, listener, tls, nursery)
            task_status.started()
            try:
                await trio.sleep_forever()
            finally:
                for stream in self._open:
                    stream.socket.close()
                for listener in listeners:
                    listener.socket.close()

    async def _accept(
        self, listener: trio.SocketListener, tls: ssl.SSLContext | None, nursery: trio.Nursery
    ) -> None:
        while True:
            try:
                stream = await listener.accept()
            except OSError:  # too many open files, or a caller that left
                await trio.sleep(PAUSE_S)
                continue
            if self.connections >= self.connections_max:
                self.turned_away_total += 1
                stream.socket.close()
                continue
            bounded = _Stream(stream, WorkerContext(None))
            self._open.add(bounded)
            nursery.start_soon(self._converse, bounded, tls)

    async def _converse(self, stream: "_Stream", tls: ssl.SSLContext | None) -> None:
        """One connection to its end; raises nothing."""
        spoken: Any = stream
        if tls is not None:  # hypercorn knows no other; a browser is told nothing by an alert that is lost
            spoken = trio.SSLStream(stream, tls, server_side=True, https_compatible=True)  # noqa: TID251
        app = ASGIWrapper(cast(ASGIFramework, self.guard))
        try:
            await TCPServer(app, self._config, stream.context, ConnectionState({}), spoken)
        except Exception as error:  # noqa: BLE001 - whatever a caller's bytes bring about, the others are served
            self._log.note("http.connection_failed", error=repr(error))
        finally:
            self._open.discard(stream)
            stream.socket.close()


def _configuration(log: Log) -> Config:
    made = Config()
    made.h11_max_incomplete_size = HEADER_BYTES_MAX
    made.h2_max_concurrent_streams = STREAMS_MAX
    made.h2_max_header_list_size = HEADER_BYTES_MAX
    made.keep_alive_timeout = IDLE_TIMEOUT_S
    made.ssl_handshake_timeout = IDLE_TIMEOUT_S
    made.include_server_header = False
    made._log = cast(Any, _Told(log))
    return made


class _Stream(trio.abc.HalfCloseableStream):
    """A socket whose reader may not take for ever, and which tells hypercorn that its other end has left.

    Without that hypercorn would wait out the idle time of a connection that is gone.
    """

    def __init__(self, stream: trio.SocketStream, context: WorkerContext) -> None:
        self.socket = stream.socket
        self.context = context
        self._stream = stream

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        with trio.move_on_after(SEND_TIMEOUT_S) as scope:
            await self._stream.send_all(data)
        if scope.cancelled_caught:
            raise trio.BrokenResourceError("the caller does not read")

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        data: bytes | bytearray = b""
        try:
            data = await self._stream.receive_some(READ_BYTES_MAX)  # h11 looks at its bound after each read only
        finally:
            if not data:
                await self.context.terminated.set()
        return data

    async def send_eof(self) -> None:
        await self._stream.send_eof()

    async def aclose(self) -> None:
        await self._stream.aclose()


class _Told:
    """What hypercorn takes for its log. Requests are not logged; mistakes are told in ours."""

    def __init__(self, log: Log) -> None:
        self._log = log

    async def access(self, *arguments: object) -> None:
        pass  # who looks at the page is nobody's news, and Prometheus comes four times a minute

    async def exception(self, message: str, *arguments: object, **more: object) -> None:
        self._log.alarm("http.broken", reason=message, error=repr(sys.exc_info()[1]))

    async def warning(self, message: str, *arguments: object, **more: object) -> None:
        self._log.note("http.warned", reason=message)

    critical = error = info = debug = log = warning
