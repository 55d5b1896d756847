"""Who is active inside a CONNECT tunnel: squid asks once, when it opens; its manager tells how many bytes went through.

Rules of this file:

- A request whose bytes have grown since the last look is activity of its client. The first look counts for nothing:
  the request itself was asked about.
- Only addresses are told there: for keys with a cookie there is nothing to be learnt.
- A squid that is not there twice, or lets us not ask, is told once, and asked again at the next turn: squid starts
  after us.
"""

import re
from collections.abc import Iterator

import trio

from protocol import addresses
from protocol.io.log import Log
from proxyagent.agent import ProxyAgent
from proxyagent.integrations.client_key import ClientKeys

INTERVAL_S = 3.0
"""Between two looks: many within the shortest idle time, a minute."""

TIMEOUT_S = 4.0
PAGE_BYTES_MAX = 32 * 1024 * 1024
"""Half a KiB for each open request."""

_REQUEST = re.compile(
    rb"^Connection: (\S{1,64})\n"
    rb"[ \t]+FD \d+, read (\d{1,20}), wrote (\d{1,20})\n"
    rb"(?:[ \t].*\n)*?"
    rb"[ \t]+remote: (\S{1,64}):(\d{1,5})\n",
    re.MULTILINE,
)
"""Each line can be read in one way only, so that no page takes longer than its length."""


class Growth:
    """Which clients were active between two pages of `active_requests`. Pure."""

    def __init__(self) -> None:
        self._bytes: dict[tuple[bytes, bytes], int] = {}

    def clients(self, page: bytes) -> set[str]:
        """The addresses of clients whose requests went on since the last page."""
        before, self._bytes = self._bytes, {}
        active = set()
        for connection, read, wrote, address, port in _REQUEST.findall(page):
            request, count = (connection, address + b" " + port), int(read) + int(wrote)
            self._bytes[request] = count
            if count > before.get(request, count):
                active.add(address.decode("ascii", "replace").strip("[]"))
        return active


async def watch(place: str, agent: ProxyAgent, keys: ClientKeys, log: Log) -> None:
    """Look every INTERVAL_S seconds at the squid that answers at `place` (HOST:PORT), until cancelled."""
    growth, failures = Growth(), 0
    while True:
        try:
            page = await fetch(place)
        except (OSError, trio.BrokenResourceError, ValueError) as error:
            failures += 1
            if failures == 2:
                log.warning("squid.manager_failed", at=place, error=str(error))
        else:
            failures = 0
            for key in _keys(growth.clients(page), keys):
                agent.touch(key)
        await trio.sleep(INTERVAL_S)


def _keys(clients: set[str], keys: ClientKeys) -> Iterator[str]:
    for address in clients:
        key = keys.key(address, None)
        if key is not None:
            yield key


async def fetch(place: str) -> bytes:
    """The page `active_requests`. Raises OSError, BrokenResourceError or ValueError, each with a line that says why."""
    host, port = addresses.split(place)
    page = bytearray()
    with trio.move_on_after(TIMEOUT_S) as scope:
        async with await trio.open_tcp_stream(host, port) as stream:
            await stream.send_all(f"GET /squid-internal-mgr/active_requests HTTP/1.0\r\nHost: {place}\r\n\r\n".encode())
            async for data in stream:
                page += data
                if len(page) > PAGE_BYTES_MAX:
                    raise ValueError(f"the page active_requests is longer than {PAGE_BYTES_MAX} bytes")
    if scope.cancelled_caught:
        raise TimeoutError(f"no answer within {TIMEOUT_S:g} s")
    status = bytes(page[:64]).split(b"\r\n", 1)[0].split(b" ", 2)
    if len(status) < 2 or status[1] != b"200":
        told = status[1].decode("ascii", "replace") if len(status) > 1 else "no HTTP"
        raise ValueError(f"squid answers {told}: allow `manager` to this machine in squid.conf")
    return bytes(page)
