"""The example proxy as a process, with no agent in reach: what it does by itself."""

import re
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trio

from authagent.demo import page
from authagent.demo.cast import environment, proxy_program
from authagent.demo.client import User
from authagent.demo.page import serve_page
from tests.system.harness import open_site

pytestmark = [pytest.mark.system, pytest.mark.slow]

ALICE = User("alice", "127.0.1.1", "open:sesame")
EVE = User("alice", "127.0.1.2", "wrong")
CONTROL = "http://login.internal"


class Farm:
    """One proxy and one page."""

    def __init__(self, proxy_port: int, page_port: int, process: "subprocess.Popen[str]") -> None:
        self.proxy_port = proxy_port
        self.page_port = page_port
        self.url = f"http://127.0.0.1:{page_port}/some/where?a=b"
        self.process = process

    async def raw(self, data: bytes, *, address: str = "127.0.1.1") -> bytes:
        """Send bytes and read to the end."""
        async with await trio.open_tcp_stream("127.0.0.1", self.proxy_port, local_address=address) as stream:
            await stream.send_all(data)
            with trio.fail_after(5.0):
                return b"".join([part async for part in stream])


@pytest.fixture
async def farm(tmp_path: Path) -> AsyncIterator[Farm]:
    """A proxy that believes PROXY lines from 127.0.0.1."""
    (tmp_path / "users.txt").write_text("alice:open:sesame\nbob:x\n")
    async with open_site(tmp_path, proxies=1, relayed=True) as site, trio.open_nursery() as nursery:
        listeners = await nursery.start(trio.serve_tcp, serve_page, 0)
        command = [sys.executable, str(proxy_program()), "--id", "proxy1", "--config", str(site.config)]
        command += ["--users", str(tmp_path / "users.txt"), "--listen", "127.0.0.1:0", "--switch", "127.0.0.1"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment()) as process:
            assert process.stdout is not None
            try:
                line = await trio.to_thread.run_sync(process.stdout.readline)
                found = re.search(r":(\d+)$", line)
                assert found, line
                yield Farm(int(found[1]), listeners[0].socket.getsockname()[1], process)
            finally:
                process.kill()
        nursery.cancel_scope.cancel()


async def test_unknown_asked_known_let_through_and_out_again(farm: Farm) -> None:
    """407 without a password or with a wrong one, the page after the right one and from then on, 407 after logout."""
    assert (await ALICE.ask(farm.proxy_port, farm.url)).asked
    assert (await EVE.ask(farm.proxy_port, farm.url, password=True)).asked
    assert (await ALICE.ask(farm.proxy_port, farm.url, password=True)).let_through
    assert (await ALICE.ask(farm.proxy_port, farm.url)).let_through
    assert (await EVE.ask(farm.proxy_port, farm.url)).asked
    assert (await ALICE.ask(farm.proxy_port, f"{CONTROL}/")).text == "alice logged in at proxy1\n"
    assert (await ALICE.ask(farm.proxy_port, f"{CONTROL}/logout")).text == "logged out 1\n"
    assert (await ALICE.ask(farm.proxy_port, farm.url)).asked


async def test_a_tunnel_lasts_as_long_as_its_session(farm: Farm) -> None:
    """CONNECT passes bytes both ways, and a logout closes it at the next byte."""
    await ALICE.ask(farm.proxy_port, farm.url, password=True)
    connect = f"CONNECT 127.0.0.1:{farm.page_port} HTTP/1.1\r\n\r\n".encode()
    answer = await farm.raw(connect + b"GET / HTTP/1.1\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200 Connection established\r\n\r\nHTTP/1.1 200 OK")
    assert answer.endswith(page.TEXT)
    async with await trio.open_tcp_stream("127.0.0.1", farm.proxy_port, local_address="127.0.1.1") as tunnel:
        await tunnel.send_all(connect)
        assert b"established" in await tunnel.receive_some()
        await ALICE.ask(farm.proxy_port, f"{CONTROL}/logout")
        await tunnel.send_all(b"GET / HTTP/1.1\r\n\r\n")
        with trio.fail_after(5.0):
            assert b"".join([part async for part in tunnel]) == b""


async def test_behind_a_switch_the_proxy_line_tells_who_asks(farm: Farm) -> None:
    """A PROXY line is believed from the switch, and from nobody else."""
    request = f"GET {farm.url} HTTP/1.1\r\n\r\n".encode()
    line = b"PROXY TCP4 127.0.1.1 127.0.0.1 1 2\r\n"
    await ALICE.ask(farm.proxy_port, farm.url, password=True)
    assert (await farm.raw(line + request, address="127.0.0.1")).endswith(page.TEXT)
    assert (await farm.raw(request, address="127.0.0.1")).startswith(b"HTTP/1.1 407 ")
    assert (await farm.raw(line + request, address="127.0.1.5")).startswith(b"HTTP/1.1 400 ")


async def test_bad_requests_get_400_and_end_nothing_else(farm: Farm) -> None:
    """Broken heads and targets are refused one by one, and the proxy serves on."""
    await ALICE.ask(farm.proxy_port, farm.url, password=True)
    heads = (b"GET", b"GET / HTTP/1.1", b"GET http://[::1 HTTP/1.1", b"CONNECT x:999999 HTTP/1.1", b"A B C D", b"")
    for head in (*heads, b"GET ftp://x/ HTTP/1.1", b"GET http://x/ HTTP/1.1\r\nno colon", b"x" * 20_000):
        assert (await farm.raw(head + b"\r\n\r\n")).startswith(b"HTTP/1.1 400 "), head
    for head in (b"PROXY TCP4", b"PROXY TCP4 junk 1 2 3\r\nGET http://x/ HTTP/1.1"):
        assert (await farm.raw(head + b"\r\n\r\n", address="127.0.0.1")).startswith(b"HTTP/1.1 400 "), head
    assert (await farm.raw(b"GET http://127.0.0.1:1/ HTTP/1.1\r\n\r\n")).startswith(b"HTTP/1.1 502 ")
    assert (await ALICE.ask(farm.proxy_port, farm.url)).let_through


async def test_sigterm_ends_it_with_0(farm: Farm) -> None:
    """Asked to stop, it flushes for at most a second and ends in order."""
    farm.process.terminate()
    with trio.fail_after(5.0):
        assert await trio.to_thread.run_sync(farm.process.wait) == 0
