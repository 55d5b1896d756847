"""The sockets of the endpoint: many connections of few fronts, each with one short question at a time.

Rules of this file:

- Nothing that comes in stops it: what goes wrong on a connection costs that connection.
- Everything has a bound: connections, the time for a request in total, and what a front leaves unread, which is
  nothing: an answer that does not fit its socket's buffer ends the connection.
- An idle connection is kept until its place is needed: the front may use it at any moment, and a request on a
  connection that is just being closed would be refused. The one that was idle longest makes room.
- Whoever [client] does not trust gets a refusal and is closed unheard, since all that such a peer says may be forged.

Theory. All connections are read in one task, from an epoll of their own: when eight have something to ask, that is one
wake-up of trio's and not eight, which would cost more than parsing and answering. Between two batches the others of
the process have their turn.
"""

import select
import socket
from collections.abc import Callable

import attrs
import trio

from protocol.io.log import Log
from proxyagent.errors import Closed
from proxyagent.integrations.forward_auth.answer import STRANGER
from proxyagent.integrations.forward_auth.conversation import Conversation

CONNECTIONS_MAX = 512
"""nginx keeps some for each worker, Traefik up to 200, Envoy as many as it has requests."""

REQUEST_TIMEOUT_S = 5.0
"""From the first byte of a request to its last. A front has it whole before it asks."""

READ_BYTES_MAX = 16 * 1024
BATCH_MAX = 64
"""Connections read before others of the process have their turn: some milliseconds."""

SWEEP_S = 1.0
TOLD_MAX = 64
"""Peers that are told of in the log, each once."""


@attrs.define(eq=False)
class _Connection:
    """One front's. `begun_s` is when a request began that is not complete, None where there is none."""

    socket: socket.socket
    conversation: Conversation
    begun_s: float | None = None


class Doors:
    """Serves listening sockets, nonblocking, which remain the caller's. `converse` begins a talk with a peer."""

    def __init__(
        self, listener: socket.socket, trusts: Callable[[str], bool], converse: Callable[[str], Conversation], log: Log
    ) -> None:
        self._listener = listener
        self._trusts = trusts
        self._converse = converse
        self._log = log
        self._poll = select.epoll()
        self._open: dict[int, _Connection] = {}  # by descriptor, the one that was idle longest first
        self._told: set[str] = set()

    async def serve(self) -> None:
        """Serve until cancelled."""
        self._poll.register(self._listener, select.EPOLLIN)
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._sweep)
                while True:
                    await trio.lowlevel.wait_readable(self._poll.fileno())
                    for number, _ in self._poll.poll(0, BATCH_MAX):
                        self._turn(number)
        finally:
            for connection in list(self._open.values()):
                self._close(connection)
            self._poll.close()

    def _turn(self, number: int) -> None:
        if number == self._listener.fileno():
            self._accept()
        elif number in self._open:  # else it was closed since, to make room
            self._read(self._open[number])

    def _accept(self) -> None:
        try:
            accepted, where = self._listener.accept()
        except BlockingIOError:
            return
        except OSError as error:  # too many open files, or a caller that left
            self._log.warning("forward_auth.accept_failed", error=error.strerror)
            self._poll.unregister(self._listener)  # until the next sweep
            return
        accepted.setblocking(False)
        peer = "" if accepted.family == socket.AF_UNIX else str(where[0])
        if not self._trusts(peer):
            self._turn_away(accepted, peer)
        elif len(self._open) < CONNECTIONS_MAX or self._make_room():
            self._open[accepted.fileno()] = _Connection(accepted, self._converse(peer))
            self._poll.register(accepted, select.EPOLLIN)
        else:
            accepted.close()

    def _turn_away(self, accepted: socket.socket, peer: str) -> None:
        if peer not in self._told and len(self._told) < TOLD_MAX:
            self._told.add(peer)
            self._log.warning("forward_auth.untrusted", peer=peer, reason="not in [client] trusted_proxies")
        with accepted:
            _send(accepted, STRANGER)

    def _make_room(self) -> bool:
        idle = next((each for each in self._open.values() if each.begun_s is None), None)
        if idle is not None:
            self._close(idle)
        return idle is not None

    def _read(self, connection: _Connection) -> None:
        number = connection.socket.fileno()
        self._open[number] = self._open.pop(number)
        conversation = connection.conversation
        try:
            sent = conversation.receive(connection.socket.recv(READ_BYTES_MAX))
        except BlockingIOError:
            return
        except (OSError, Closed):  # it has left; or this process is leaving
            self._close(connection)
            return
        except Exception as error:  # noqa: BLE001 - a mistake of ours lets nobody in, and costs one connection
            self._log.alarm("forward_auth.answer_failed", error=repr(error))
            self._close(connection)
            return
        if (sent and not _send(connection.socket, sent)) or conversation.over:
            self._close(connection)
        elif not conversation.waiting:
            connection.begun_s = None
        elif sent or connection.begun_s is None:
            connection.begun_s = trio.current_time()

    def _close(self, connection: _Connection) -> None:
        del self._open[connection.socket.fileno()]
        connection.socket.close()  # which takes it out of the epoll too

    async def _sweep(self) -> None:
        """End requests that take too long, and listen again where the system had refused another connection."""
        while True:
            await trio.sleep(SWEEP_S)
            late_s = trio.current_time() - REQUEST_TIMEOUT_S
            for connection in list(self._open.values()):
                if connection.begun_s is not None and connection.begun_s < late_s:
                    _send(connection.socket, connection.conversation.time_out())
                    self._close(connection)
            try:
                self._poll.register(self._listener, select.EPOLLIN)
            except FileExistsError:
                pass  # it was never taken out


def _send(to: socket.socket, data: bytes) -> bool:
    """Whether all of it has left at once."""
    try:
        return to.send(data) == len(data)
    except OSError:
        return False
