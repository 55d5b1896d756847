"""Whether, where and with which certificate a program serves HTTP; that none of it can stop the program.

Rules of this file:

- HTTP is beside the point: no extra, a port that is taken, an unreadable certificate are one alarm and one problem in
  `status`, and are tried again every few seconds; agents and proxies serve on.
- What needs the extra `http` is imported here, late, so that a bare install runs without it.
- On loopback it is plain HTTP, elsewhere TLS 1.3 always. Without a certificate of the operator's a self-made one does
  for Prometheus (`insecure_skip_verify`), and a browser will warn.
"""

import ssl
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import trio

from protocol import addresses
from protocol.io.log import Log
from protocol.io.loop_lag import LoopLag
from protocol.io.tls import Tls, TlsError, from_files, self_made

if TYPE_CHECKING:
    from protocol.io.http.server import HttpServer

RETRY_S = 5.0
"""After a failure: soon enough for a port that a stopping program still holds, seldom enough for the disk."""


class HttpUnusable(Exception):
    """Why HTTP cannot be served; one line."""


@attrs.frozen
class Place:
    """Where to serve, and whose certificate to show: file names, empty for a self-made one."""

    listen: str
    certificate: str = ""
    key: str = ""
    made: Tls | None = attrs.field(default=None, repr=False)
    """The self-made certificate that the program has already, if it has one."""
    section: str = "http"
    """The table of the file that says all this, for errors."""
    insecure_plain: bool = False
    """No TLS beyond loopback either: an operator's own wish."""

    @property
    def plain(self) -> bool:
        """Whether HTTP is spoken there without TLS."""
        return self.insecure_plain or addresses.is_loopback(addresses.split(self.listen)[0])


class HttpDoor:
    """Keeps one HTTP server open for as long as its program runs.

    `place` tells where to serve, as the configuration has it now; `application` makes what answers, and is where the
    extra is imported. While it is open, the loop's lag is measured.
    """

    def __init__(self, place: Callable[[], Place], application: Callable[[], Any], log: Log) -> None:
        self.error = ""
        self.server: HttpServer | None = None
        self.lag = LoopLag()
        self._place = place
        self._application = application
        self._log = log
        self._turn = trio.CancelScope()

    def reopen(self) -> None:
        """Close, and open as the configuration says now: after a reload, which may bring a new certificate."""
        self._turn.cancel()

    async def keep(self) -> None:
        """Serve until cancelled. Raises nothing: see `error`."""
        while True:
            self.server = None
            with trio.CancelScope() as self._turn:
                try:
                    await self._serve(self._place())
                except Exception as error:  # noqa: BLE001 - the program serves on without its page
                    self._failed(error)
                self.server = None
                await trio.sleep(RETRY_S)

    def _failed(self, error: Exception) -> None:
        text = str(error) if isinstance(error, HttpUnusable) else repr(error)
        if text != self.error:
            self._log.alarm("http.failed", error=text)
        self.error = text

    async def _serve(self, place: Place) -> None:
        if not place.listen:
            self.error = ""
            await trio.sleep_forever()
        server = self._made()
        listeners, tls = await open_place(place)
        self.server, self.error = server, ""
        self._log.note("http.listening", at=place.listen, tls=tls is not None)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.lag.measure)
            await server.serve(listeners, tls)

    def _made(self) -> "HttpServer":
        try:
            from protocol.io.http.server import HttpServer

            return HttpServer(self._application(), self._log)
        except ModuleNotFoundError as error:
            text = f'[http] needs {error.name}, which is not installed: pip install "one-login[http]"'
            raise HttpUnusable(text) from None


async def open_place(place: Place) -> tuple[list[trio.SocketListener], ssl.SSLContext | None]:
    """Listen there; TLS wherever others could listen in. Raises HttpUnusable. Reads files, in a thread."""
    tls = await trio.to_thread.run_sync(_context, place)
    host, port = addresses.split(place.listen)
    try:
        return await trio.open_tcp_listeners(port, host=host), tls
    except OSError as error:
        raise HttpUnusable(f"[{place.section}] cannot listen at {place.listen}: {error.strerror or error}") from None


def _context(place: Place) -> ssl.SSLContext | None:
    if place.plain:
        return None
    try:
        if place.certificate:
            tls = from_files(place.certificate, place.key)
        elif place.made is not None:
            tls = place.made
        else:
            with tempfile.TemporaryDirectory() as folder:
                tls = self_made(Path(folder), addresses.split(place.listen)[0])
    except (TlsError, OSError) as error:
        raise HttpUnusable(f"[{place.section}] certificate: {error}") from None
    return tls.listening
