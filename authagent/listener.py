"""Listening: sockets in, proven links out, whoever knocks.

Rules of this file:

- Nothing that a stranger does stops the listener: every connection is handled on its own, and whatever goes wrong in
  a handshake, a mistake of ours included, costs that connection and one log line.
- Strangers are bounded in number, time (protocol.io.accept) and bytes. Beyond the bound they are closed unheard: were
  they left waiting, a thousand silent ones would keep a proxy out for half a minute; so it comes again and is let in.
- Refusals are told like everything that others can cause: a line each while they are few, then a count.
- Out of file descriptors the listener waits and tells once, not at every attempt.
"""

import errno
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from typing import Protocol, TypeAlias

import attrs
import trio

from protocol import limits
from protocol.handshake import Identity
from protocol.io.accept import Admit, accept
from protocol.io.clock import read_clock
from protocol.io.dial import Connect, connect_tcp
from protocol.io.link import Link, LinkFailed, LinkRefused
from protocol.io.log import Log
from protocol.io.log_limit import LineLimit
from protocol.io.tls import Tls
from protocol.io.transport import Transport
from protocol.stamp import Now

PAUSE_S = 0.1
"""After the system has refused another connection."""

REFUSALS_PER_SECOND_MAX = 20
"""Lines about those who were not let in: two or three a second are ordinary, more is a flood."""

CURES = {
    errno.EADDRINUSE: "another process listens there: is this agent running already?",
    errno.EADDRNOTAVAIL: "no address of this machine: correct host, or set listen",
    errno.EACCES: "not permitted; ports below 1024 are for root",
}


class ListenError(Exception):
    """An address cannot be listened at; one line (exit code 2)."""


class Door(Protocol):
    """What listens at one address; a socket of trio's is one. Errors of the system are OSError."""

    async def accept(self) -> trio.SocketStream | Transport:
        """The next stream that comes."""

    async def aclose(self) -> None:
        """Listen no more."""


Listen: TypeAlias = Callable[[str, int], Awaitable[Sequence[Door]]]
"""Opens the doors of a host and port. Raises ListenError."""


async def listen_tcp(host: str, port: int) -> Sequence[Door]:
    """The doors of every address that the host has."""
    where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    try:
        return await trio.open_tcp_listeners(port, host=host)
    except OSError as error:
        cure = CURES.get(error.errno or 0) or error.strerror or str(error)
        raise ListenError(f"cannot listen at {where}: {cure}") from None


@attrs.frozen
class Network:
    """How an agent reaches others and is reached: TCP, or what a test puts in its place."""

    connect: Connect = connect_tcp
    listen: Listen = listen_tcp


TCP = Network()


class Listener:
    """One agent's doors. `identity` and `tls` are asked for at each connection, so that a reload counts at once."""

    def __init__(
        self,
        identity: Callable[[], Identity],
        tls: Callable[[], Tls | None],
        admit: Admit,
        linked: Callable[[Link], Awaitable[None]],
        log: Log,
        clock: Callable[[], Now] = read_clock,
        listen: Listen = listen_tcp,
    ) -> None:
        self._identity = identity
        self._tls = tls
        self._admit = admit
        self._linked = linked
        self._log = log
        self._clock = clock
        self._listen = listen
        self.unproven = 0
        self.turned_away_total = 0
        self._limit = LineLimit(REFUSALS_PER_SECOND_MAX)

    async def serve(
        self, addresses: tuple[tuple[str, int], ...], task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Listen until cancelled. Raises ListenError before it has started."""
        async with AsyncExitStack() as stack:
            doors = []
            for host, port in addresses:
                for door in await self._listen(host, port):
                    stack.push_async_callback(door.aclose)
                    doors.append(door)
            async with trio.open_nursery() as nursery:
                for door in doors:
                    nursery.start_soon(self._accept, door, nursery)
                task_status.started()

    async def _accept(self, door: Door, nursery: trio.Nursery) -> None:
        refused = False
        while True:
            try:
                stream = await door.accept()
            except OSError as error:  # too many open files, or a caller that left
                if not refused:
                    cure = "raise LimitNOFILE" if error.errno in (errno.EMFILE, errno.ENFILE) else "see dmesg"
                    self._log.alarm("listener.exhausted", error=error.strerror, cure=cure)
                refused = True
                await trio.sleep(PAUSE_S)
                continue
            if refused:
                self._log.warning("listener.accepts_again")
            refused = False
            if self.unproven >= limits.UNPROVEN_CONNECTIONS_MAX:
                self.turned_away_total += 1
                (stream.socket if isinstance(stream, trio.SocketStream) else stream).close()
                continue
            self.unproven += 1
            nursery.start_soon(self._handle, stream)

    async def _handle(self, stream: trio.SocketStream | Transport) -> None:
        try:
            link = await accept(stream, self._identity(), self._tls(), self._admit, clock=self._clock)
        except (LinkFailed, LinkRefused) as error:
            if self._may_tell():
                self._log.warning("link.refused", reason=error.text)
            return
        except (OSError, trio.BrokenResourceError, trio.ClosedResourceError) as error:
            if self._may_tell():
                self._log.warning("link.failed", reason=str(error))
            return
        except Exception as error:  # noqa: BLE001 - whatever a stranger's bytes bring about, the others are served
            self._log.alarm("listener.handshake_failed", error=repr(error))
            return
        finally:
            self.unproven -= 1
        await self._linked(link)

    def _may_tell(self) -> bool:
        """Whether one more line may be written; strangers may knock too often for that."""
        now_s = trio.current_time()
        held_back = self._limit.settle(now_s)
        if held_back:
            self._log.warning("listener.suppressed", count=held_back)
        return self._limit.admit(now_s)
