"""Activity inside tunnels, as squid's manager tells it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import MockClock

from protocol.configuration import ClientSettings
from protocol.io.log import quiet_log
from proxyagent.integrations.client_key import ClientKeys
from proxyagent.integrations.squid import manager
from proxyagent.integrations.squid.manager import INTERVAL_S, Growth, fetch, watch
from proxyagent.testing import FakeProxyAgent

REQUEST = """\
Connection: {connection}
\tFD 16, read {read}, wrote {wrote}
\tFD desc: Reading next request
\tin: buf 0x556d62265e50, used 0, free 4011
\tremote: {remote}
\tlocal: 127.0.0.1:3128
\tnrequests: 1
uri example.org:443
logType TCP_TUNNEL
out.offset 0, out.size {wrote}
req_sz 45
entry (nil)/N/A
start 1795340787.506978 (1.000998 seconds ago)
username -
delay_pool 0

"""


def request(connection: str, remote: str, read: int = 0, wrote: int = 0) -> bytes:
    """One request, as the page of squid 5.7 has it."""
    return REQUEST.format(connection=connection, remote=remote, read=read, wrote=wrote).encode()


def test_bytes_that_grow_are_activity() -> None:
    """Up or down, of IPv4 or IPv6; not the first look, no silence, and no other request at the same place in memory."""
    growth = Growth()
    first = request("0x1", "10.0.0.1:5", 9, 100) + request("0x2", "[fe80::1]:6", 9, 100) + request("0x3", "10.0.0.3:7")
    assert growth.clients(b"HTTP/1.1 200 OK\r\n\r\n" + first) == set()
    assert growth.clients(first) == set()
    second = request("0x1", "10.0.0.1:5", 9, 101) + request("0x2", "[fe80::1]:6", 10, 100)
    assert growth.clients(second + request("0x3", "10.0.0.4:7", 50, 50)) == {"10.0.0.1", "fe80::1"}
    assert growth.clients(b"nonsense \xff") == set()


def test_no_page_takes_longer_than_its_length() -> None:
    """Blank lines without end, and numbers of thousands of digits, from whoever answers in squid's place."""
    growth, head = Growth(), b"Connection: 0x1\n\tFD 1, read 1, wrote 1\n"
    for rest in (b"\n" * 100_000, b"\t \n" * 50_000, b"\t" * 100_000, b"\n\t" * 50_000):
        assert growth.clients((head + rest) * 2) == set()
    long = request("0x1", "10.0.0.1:5", 9, 100).replace(b"read 9", b"read " + b"9" * 5_000)
    assert growth.clients(long) == growth.clients(long.replace(b"read 9", b"read 99")) == set()


@asynccontextmanager
async def squid(*answers: bytes) -> AsyncIterator[str]:
    """Something that answers like a squid, each connection with the next of these; yields HOST:PORT."""
    left = list(answers)

    async def answer(stream: trio.SocketStream) -> None:
        async with stream:
            assert b"GET /squid-internal-mgr/active_requests HTTP/1.0\r\n" in await stream.receive_some()
            await stream.send_all(left.pop(0))

    async with trio.open_nursery() as nursery:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, answer, [listener])
        yield f"127.0.0.1:{listener.socket.getsockname()[1]}"
        nursery.cancel_scope.cancel()


async def test_what_squid_refuses_is_said() -> None:
    """The page, or why there is none: not allowed, no HTTP, nobody there."""
    with trio.fail_after(10):
        async with squid(b"HTTP/1.0 200 OK\r\n\r\nx", b"HTTP/1.1 403 Forbidden\r\n\r\n", b"\xff") as place:
            assert await fetch(place) == b"HTTP/1.0 200 OK\r\n\r\nx"
            with pytest.raises(ValueError, match="403: allow `manager`"):
                await fetch(place)
            with pytest.raises(ValueError, match="no HTTP"):
                await fetch(place)
        with pytest.raises(OSError, match=r"127\.0\.0\.1"):
            await fetch(place)


async def test_a_page_without_end_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is no page of squid's costs bounded memory."""
    monkeypatch.setattr(manager, "PAGE_BYTES_MAX", 1_000)
    async with squid(b"HTTP/1.0 200 OK\r\n\r\n" + b"x" * 100_000) as place:
        with pytest.raises(ValueError, match="longer than 1000"):
            await fetch(place)


async def test_a_tunnel_in_use_keeps_its_user_from_being_idle(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    """Each look at a page that has grown is a touch; a look that fails is not the last one."""
    agent = FakeProxyAgent(idle_timeout_s=60)
    agent.login("10.0.0.1", "alice")
    pages = [request("0x1", "10.0.0.1:5", wrote=1), None, request("0x1", "10.0.0.1:5", wrote=2)]

    async def fetched(place: str) -> bytes:
        page = pages.pop(0) if pages else b""
        if page is None:
            raise OSError("nobody is there")
        return page

    monkeypatch.setattr(manager, "fetch", fetched)
    agent.advance(50)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch, "127.0.0.1:3128", agent, ClientKeys(ClientSettings()), quiet_log())
        await trio.sleep(2.5 * INTERVAL_S)
        nursery.cancel_scope.cancel()
    agent.advance(50)
    assert agent.lookup("10.0.0.1", touch=False) is not None
