"""Activity of users who only pass HAProxy: its log, one datagram a request, is what keeps them from becoming idle.

Rules of this file:

- A datagram that holds the word `session=KEY` is activity under that key; every other is passed over. The key is the
  one that HAProxy looked up in the map: `log-format "session=%ci"`, or with a variable that holds it.
- A Unix socket belongs to whoever may open it; over UDP only [client] trusted_proxies are heard. Neither can log
  anybody in: what is heard is that a user who is logged in already is there.
- What comes faster than it can be read is lost, as UDP is; the next request says the same.

Source: HAProxy's configuration manual, `log`.
"""

import contextlib
import os
import re
import socket

import attrs
import trio

from protocol import addresses
from protocol.io.log import Log
from proxyagent.agent import ProxyAgent
from proxyagent.config import ProxySetup
from proxyagent.integrations.adapter import AdapterUnusable
from proxyagent.integrations.client_key import ClientKeys

DATAGRAM_BYTES_MAX = 8 * 1024
"""What HAProxy sends at most by default is 1 KiB (`log ... len`)."""

BUFFER_BYTES = 1024 * 1024
"""Of the system, for what comes while the loop is at something else: some thousand requests."""

GATHER_S = 0.01
"""Datagrams are read in batches: waking up for each would cost more than all the rest."""

BATCH = 1_000
"""Datagrams that are read before other tasks have their turn: a millisecond or two."""

SOCKET_MODE = 0o666
"""HAProxy runs as a user of its own, and opens the socket after it gave up being root."""

_WORD = re.compile(rb"\bsession=([!-~]{1,512})")


def make(setup: ProxySetup) -> "Activity | None":
    """An adapter where [haproxy] activity names a place."""
    listen = setup.configuration.haproxy.activity
    if not listen:
        return None
    return Activity(setup.file(listen) if "/" in listen else listen, ClientKeys(setup.configuration.client))


@attrs.frozen
class Activity:
    """Listens at `listen`: the path of a Unix socket, or HOST:PORT."""

    listen: str
    keys: ClientKeys

    async def serve(self, agent: ProxyAgent, log: Log) -> None:
        """Touch until cancelled. Raises AdapterUnusable where `listen` cannot be had."""
        try:
            receiver = _bound(self.listen)
        except OSError as error:
            text = f"[haproxy] activity: cannot listen at {self.listen}: {error.strerror or error}"
            raise AdapterUnusable(text) from None
        log.note("haproxy.activity_listening", at=self.listen)
        with receiver:
            try:
                while True:
                    await trio.lowlevel.wait_readable(receiver)
                    self._read(receiver, agent)
                    await trio.sleep(GATHER_S)
            finally:
                if "/" in self.listen:
                    with contextlib.suppress(OSError):
                        os.unlink(self.listen)

    def _read(self, receiver: socket.socket, agent: ProxyAgent) -> None:
        """Touch whoever the datagrams that are there name."""
        for _ in range(BATCH):
            try:
                datagram, sender = receiver.recvfrom(DATAGRAM_BYTES_MAX)
            except BlockingIOError:
                return
            found = _WORD.search(datagram)
            if found and self.keys.trusts(sender[0] if isinstance(sender, tuple) else ""):
                agent.touch(found[1].decode())


def _bound(listen: str) -> socket.socket:
    """A datagram socket that does not block. Raises OSError."""
    if "/" in listen:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(listen)  # what a process that was killed has left
        family, place = socket.AF_UNIX, listen
    else:
        host, port = addresses.split(listen)
        family, _, _, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]  # type: ignore[assignment]
    receiver = socket.socket(family, socket.SOCK_DGRAM)
    try:
        receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
        receiver.bind(place)
        receiver.setblocking(False)
        if family == socket.AF_UNIX:
            os.chmod(listen, SOCKET_MODE)
    except OSError:
        receiver.close()
        raise
    return receiver
