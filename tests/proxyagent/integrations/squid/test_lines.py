"""Connections of squid's: bounded, and none of them a danger to the others."""

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio

from protocol.io.log import quiet_log
from proxyagent.integrations.squid import lines
from proxyagent.integrations.squid.lines import Converse, Incoming, accept


@asynccontextmanager
async def serving(converse: Converse) -> AsyncIterator[int]:
    """Connections to this port are served."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(accept, listener, converse, quiet_log())
            yield listener.getsockname()[1]
            nursery.cancel_scope.cancel()


async def echo(incoming: Incoming) -> None:
    """Sends each line back; falls over one that says so."""
    assert incoming.peer == "127.0.0.1"
    while (came := await incoming.receive()) is not None:
        assert b"fall" not in came
        await incoming.send(b"".join(line + b"\n" for line in came))


async def test_one_that_falls_does_not_take_others_along() -> None:
    """Each connection is served on its own; a mistake in one ends that one."""
    with trio.fail_after(10):
        async with serving(echo) as port:
            good, bad = [await trio.open_tcp_stream("127.0.0.1", port) for _ in range(2)]
            await bad.send_all(b"fall\n")
            assert await bad.receive_some() == b""
            await good.send_all(b"a\nb")
            assert await good.receive_some() == b"a\n"
            for stream in (good, bad):
                await stream.aclose()


async def test_beyond_the_bound_nobody_is_let_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """One connection too many is closed at once; when another one ends there is room again."""
    monkeypatch.setattr(lines, "CONNECTIONS_MAX", 1)
    with trio.fail_after(10):
        async with serving(echo) as port:
            first = await trio.open_tcp_stream("127.0.0.1", port)
            await first.send_all(b"a\n")
            assert await first.receive_some() == b"a\n"
            second = await trio.open_tcp_stream("127.0.0.1", port)
            assert await second.receive_some() == b""
            await first.aclose()
            answer = b""
            while not answer:
                third = await trio.open_tcp_stream("127.0.0.1", port)
                try:
                    await third.send_all(b"c\n")
                    answer = bytes(await third.receive_some())
                except trio.BrokenResourceError:
                    pass  # the first one has not been seen to leave yet
                await third.aclose()
            assert answer == b"c\n"
            await second.aclose()


async def test_who_does_not_read_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """Answers that nobody takes cost the connection, not the memory."""
    monkeypatch.setattr(lines, "SEND_TIMEOUT_S", 0.05)
    ended = trio.Event()

    async def flood(incoming: Incoming) -> None:
        while await incoming.receive() is not None:
            await incoming.send(b"x" * 50_000_000)
        ended.set()

    with trio.fail_after(10):
        async with serving(flood) as port:
            stream = await trio.open_tcp_stream("127.0.0.1", port)
            await stream.send_all(b"go\n")
            await ended.wait()
            await stream.aclose()
