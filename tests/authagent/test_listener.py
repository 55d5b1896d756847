"""The doors: whoever knocks, however, the others are served."""

import errno
import os
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import attrs
import pytest
import trio

from authagent import listener as listener_module
from authagent.listener import REFUSALS_PER_SECOND_MAX, Listener, ListenError
from protocol import limits
from protocol.errors import Code
from protocol.handshake import Identity
from protocol.io.dial import dial
from protocol.io.link import Link
from protocol.io.log import Log, Severity
from tests.authagent.running import until
from tests.ports import free_ports
from tests.wire.pair import AGENT, PROXY

HOST = "127.0.0.1"


@attrs.define
class Door:
    """A listener of the test, with what it said and whom it let in."""

    port: int
    listener: Listener
    lines: list[tuple[Severity, str, Mapping[str, object]]] = attrs.field(factory=list)
    links: list[Link] = attrs.field(factory=list)

    def logged(self, event: str) -> list[Mapping[str, object]]:
        return [values for _, name, values in self.lines if name == event]

    async def lets_in(self, identity: Identity = PROXY) -> None:
        """A proven proxy gets its link."""
        before = len(self.links)
        link = await dial(HOST, self.port, identity, None, 3.0)
        await until(lambda: len(self.links) > before)
        link.close(Code.STOPPING, "done")
        await link.wait_closed()


@asynccontextmanager
async def door() -> AsyncIterator[Door]:
    """Open on a free port of loopback."""
    (port,) = free_ports(1)

    async def linked(link: Link) -> None:
        opened.links.append(link)
        link.close(Code.STOPPING, "seen")

    log = Log(lambda *line: opened.lines.append(line), level=0, monotonic_s=lambda: 0.0)
    listener = Listener(lambda: AGENT, lambda: None, lambda hello, host: None, linked, log)
    opened = Door(port, listener)
    async with trio.open_nursery() as nursery:
        await nursery.start(listener.serve, ((HOST, port),))
        yield opened
        nursery.cancel_scope.cancel()


async def knock(opened: Door) -> None:
    """Say what is not the protocol, and wait until the door is shut."""
    with socket.create_connection((HOST, opened.port)) as stream:
        stream.sendall(b"GET / HTTP/1.1\r\n\r\n")
        await trio.to_thread.run_sync(stream.recv, 100)
    await until(lambda: not opened.listener.unproven)


async def test_a_handshake_that_breaks_us_costs_one_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever exception a stranger's bytes bring about, an alarm is logged and the next caller is let in."""
    real = listener_module.accept
    failures: list[BaseException] = [
        ValueError("a bug"), trio.BrokenResourceError(), OSError(errno.ECONNRESET, "reset"), KeyError("x"),
    ]  # fmt: skip

    async def breaking(*arguments: Any, **keywords: Any) -> Link:
        if failures:
            arguments[0].socket.close()
            raise failures.pop(0)
        return await real(*arguments, **keywords)

    monkeypatch.setattr(listener_module, "accept", breaking)
    async with door() as opened:
        for _ in range(4):
            with socket.create_connection((HOST, opened.port)) as stream:
                await trio.to_thread.run_sync(stream.recv, 1)
        await until(lambda: not failures and not opened.listener.unproven)
        await opened.lets_in()
        assert [values["error"] for values in opened.logged("listener.handshake_failed")] == [
            "ValueError('a bug')", "KeyError('x')",
        ]  # fmt: skip
        assert len(opened.logged("link.failed")) == 2


async def test_strangers_beyond_the_bound_are_closed_unheard() -> None:
    """Of many silent ones only so many are kept, and when they are gone the next is let in."""
    async with door() as opened:
        strangers = [socket.create_connection((HOST, opened.port)) for _ in range(limits.UNPROVEN_CONNECTIONS_MAX + 30)]
        await until(lambda: opened.listener.turned_away_total == 30)
        assert opened.listener.unproven == limits.UNPROVEN_CONNECTIONS_MAX
        for stranger in strangers:
            stranger.close()
        await until(lambda: not opened.listener.unproven)
        await opened.lets_in()


async def test_a_flood_of_garbage_is_few_lines_and_a_count() -> None:
    """So many lines a second, then their number."""
    async with door() as opened:
        for _ in range(REFUSALS_PER_SECOND_MAX + 30):
            await knock(opened)
        assert len(opened.logged("link.refused")) <= 2 * REFUSALS_PER_SECOND_MAX
        with trio.fail_after(5.0):
            while not opened.logged("listener.suppressed"):
                await knock(opened)
        assert opened.logged("listener.suppressed")[0]["count"] in range(1, 1_000)


async def test_a_system_that_refuses_connections_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Out of files: one alarm with the cure, however often; then a line that it goes on."""
    real = trio.SocketListener.accept
    failures = [OSError(errno.EMFILE, os.strerror(errno.EMFILE))] * 3

    async def exhausted(self: trio.SocketListener) -> trio.SocketStream:
        if failures:
            raise failures.pop()
        return await real(self)

    monkeypatch.setattr(trio.SocketListener, "accept", exhausted)
    async with door() as opened:
        await opened.lets_in()
        assert opened.logged("listener.exhausted") == [{"error": "Too many open files", "cure": "raise LimitNOFILE"}]
        assert len(opened.logged("listener.accepts_again")) == 1


@pytest.mark.parametrize(
    ("host", "words"),
    [("127.0.0.1", "another process listens there"), ("203.0.113.1", "no address of this machine")],
)
async def test_where_it_cannot_listen_is_told_with_the_cure(host: str, words: str) -> None:
    """A port in use, and a host of another machine: one line that names the place."""
    with socket.create_server((HOST, 0)) as taken:
        port = taken.getsockname()[1]
        listener = Listener(lambda: AGENT, lambda: None, lambda hello, address: None, None, None)  # type: ignore[arg-type]
        with pytest.raises(ListenError, match=f"cannot listen at {host}:{port}: {words}") as raised:
            await listener.serve(((host, port),))
    assert "\n" not in str(raised.value)
