"""A server of the test's own on a free port of loopback, and the plainest client that there is."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import attrs
import trio
from starlette.applications import Starlette
from starlette.routing import BaseRoute

from protocol.io.http.server import CONNECTIONS_MAX, HttpServer
from protocol.io.log import Log, Severity

TIMEOUT_S = 15.0


@attrs.define
class Served:
    """A server that runs, and what it logged."""

    server: HttpServer
    port: int
    lines: list[tuple[Severity, str, Mapping[str, object]]]

    def logged(self, event: str) -> list[Mapping[str, object]]:
        """The values of every line of this event."""
        return [values for _, name, values in self.lines if name == event]


@asynccontextmanager
async def serving(*routes: BaseRoute, connections_max: int = CONNECTIONS_MAX) -> AsyncIterator[Served]:
    """A server with these routes until the end of the body."""
    lines: list[tuple[Severity, str, Mapping[str, object]]] = []
    log = Log(lambda *line: lines.append(line), level=2, monotonic_s=trio.current_time)
    server = HttpServer(Starlette(routes=list(routes)), log, connections_max)
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with trio.open_nursery() as nursery:
        await nursery.start(server.serve, listeners, None)
        yield Served(server, listeners[0].socket.getsockname()[1], lines)
        nursery.cancel_scope.cancel()


async def exchange(port: int, request: bytes) -> bytes:
    """Send bytes, and read until the server closes."""
    with trio.fail_after(TIMEOUT_S):
        stream = await trio.open_tcp_stream("127.0.0.1", port)
        async with stream:
            try:
                await stream.send_all(request)
            except trio.BrokenResourceError:
                pass  # it has said what it had to say, and closed
            return await to_the_end(stream)


async def to_the_end(stream: trio.abc.ReceiveStream) -> bytes:
    """Everything until the server closes; a reset is an end too."""
    answer = b""
    try:
        async for chunk in stream:
            answer += chunk
    except trio.BrokenResourceError:
        pass
    return answer


def get(path: str, *headers: str) -> bytes:
    """A request after whose answer the connection ends."""
    return "\r\n".join([f"GET {path} HTTP/1.1", "Host: x", "Connection: close", *headers, "", ""]).encode()


def status_of(answer: bytes) -> int:
    """The number in the first line; 0 when there was no answer."""
    return int(answer.split(b" ", 2)[1]) if answer else 0
