"""Listening: sockets in, proven links out, whoever knocks.

Rules of this file:

- Nothing that a stranger does stops the listener: every connection is handled on its own, and whatever goes wrong in
  a handshake costs that connection and one log line.
- Strangers are bounded in number, time (protocol.io.accept) and bytes; beyond the bound they are closed unheard.
- Out of file descriptors the listener waits and tells once, not at every attempt.
"""

import errno
from collections.abc import Awaitable, Callable

import trio

from protocol import limits
from protocol.handshake import Identity
from protocol.io.accept import Admit, accept
from protocol.io.link import Link, LinkFailed, LinkRefused
from protocol.io.log import Log
from protocol.io.tls import Tls

EXHAUSTED = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
PAUSE_S = 0.1


class ListenError(Exception):
    """An address cannot be listened at; one line (exit code 2)."""


class Listener:
    """One agent's doors. `identity` and `tls` are asked for at each connection, so that a reload counts at once."""

    def __init__(
        self,
        identity: Callable[[], Identity],
        tls: Callable[[], Tls | None],
        admit: Admit,
        linked: Callable[[Link], Awaitable[None]],
        log: Log,
    ) -> None:
        self._identity = identity
        self._tls = tls
        self._admit = admit
        self._linked = linked
        self._log = log
        self.unproven = 0
        self.refused_total = 0

    async def serve(
        self, addresses: tuple[tuple[str, int], ...], task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Listen until cancelled. Raises ListenError before it has started."""
        listeners = [listener for host, port in addresses for listener in await _listen(host, port)]
        task_status.started()
        async with trio.open_nursery() as nursery:
            for listener in listeners:
                nursery.start_soon(self._accept, listener, nursery)

    async def _accept(self, listener: trio.SocketListener, nursery: trio.Nursery) -> None:
        exhausted = False
        while True:
            try:
                stream = await listener.accept()
            except OSError as error:
                if error.errno in EXHAUSTED:
                    if not exhausted:
                        self._log.alarm("listener.exhausted", error=error.strerror, cure="raise LimitNOFILE")
                    exhausted = True
                    await trio.sleep(PAUSE_S)
                continue
            exhausted = False
            if self.unproven >= limits.UNPROVEN_CONNECTIONS_MAX:
                self.refused_total += 1
                stream.socket.close()
                continue
            nursery.start_soon(self._handle, stream)

    async def _handle(self, stream: trio.SocketStream) -> None:
        self.unproven += 1
        try:
            link = await accept(stream, self._identity(), self._tls(), self._admit)
        except (LinkFailed, LinkRefused) as error:
            self.refused_total += 1
            self._log.warning("link.refused", reason=error.text)
            return
        except OSError as error:
            self._log.warning("link.failed", reason=error.strerror)
            return
        finally:
            self.unproven -= 1
        await self._linked(link)


async def _listen(host: str, port: int) -> list[trio.SocketListener]:
    where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    try:
        return await trio.open_tcp_listeners(port, host=host)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            cure = "another process listens there: is this agent running already?"
        elif error.errno == errno.EADDRNOTAVAIL:
            cure = "no address of this machine: correct host, or set listen"
        else:
            cure = error.strerror or str(error)
        raise ListenError(f"cannot listen at {where}: {cure}") from None
