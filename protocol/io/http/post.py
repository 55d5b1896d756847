"""One POST to somebody else's server: h11 over trio, a connection of its own, nothing followed and nothing kept.

Rules of this file:

- The answer is its status; what follows its headers is not read.
- A redirect is an answer like any other: following it would send what is signed for one place to another.
- The caller sets the deadline. Cancelled, the connection is gone at once.
"""

import ssl
from collections.abc import Sequence
from urllib.parse import urlsplit

import attrs
import h11
import trio

from protocol.io.tls import reason

HEADER_BYTES_MAX = 16 * 1024

PORTS = {"http": 80, "https": 443}


class PostFailed(Exception):
    """There was no answer; one line, without what stands in the address."""


@attrs.frozen
class Target:
    """Where to: an address that protocol.settings.web_address has let through, and who may vouch for its host."""

    url: str = attrs.field(repr=False)
    tls: ssl.SSLContext | None = attrs.field(default=None, repr=False)


async def post(target: Target, headers: Sequence[tuple[str, str]], body: bytes) -> int:
    """Send `body` and return the status of the answer. Raises PostFailed."""
    where = urlsplit(target.url)
    host, port = where.hostname or "", where.port or PORTS[where.scheme]
    own = [("host", where.netloc), ("connection", "close"), ("content-length", str(len(body)))]
    request = h11.Request(
        method="POST",
        target=(where.path or "/") + (f"?{where.query}" if where.query else ""),
        headers=[*own, *headers],
    )
    try:
        stream = await _connect(host, port, target.tls if where.scheme == "https" else None)
        try:
            return await _exchange(stream, request, body)
        finally:
            await trio.aclose_forcefully(stream)
    except (OSError, trio.BrokenResourceError) as error:
        raise PostFailed(reason(error)) from None
    except h11.RemoteProtocolError as error:
        raise PostFailed(f"that is no HTTP: {error}") from None


async def _connect(host: str, port: int, tls: ssl.SSLContext | None) -> trio.abc.Stream:
    if tls is None:
        return await trio.open_tcp_stream(host, port)
    return await trio.open_ssl_over_tcp_stream(host, port, ssl_context=tls, https_compatible=True)


async def _exchange(stream: trio.abc.Stream, request: h11.Request, body: bytes) -> int:
    connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=HEADER_BYTES_MAX)
    pieces = [connection.send(request), connection.send(h11.Data(body)), connection.send(h11.EndOfMessage())]
    await stream.send_all(b"".join(piece for piece in pieces if piece))
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            connection.receive_data(bytes(await stream.receive_some(HEADER_BYTES_MAX)))
        elif isinstance(event, h11.Response):
            return event.status_code
        elif not isinstance(event, h11.InformationalResponse):
            raise h11.RemoteProtocolError("the connection ended before an answer")
