"""The wire that can be cut."""

import functools
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
import trio

from authagent.demo.relay import Caller, Relay
from protocol.codec import encode
from protocol.framing import frame
from protocol.messages import Hello


def hello(kind: str, name: str) -> bytes:
    """The first frame of a caller."""
    return frame(encode(Hello(1, 1, kind, "s", name, 0, "x", b"12345678", b"1234", 0, "SCRAM-SHA-256", b"")))


async def echo(stream: trio.SocketStream) -> None:
    """The far end: sends back what it gets."""
    async for data in stream:
        await stream.send_all(data)


async def serve(nursery: trio.Nursery, handler: Callable[[trio.SocketStream], Awaitable[None]]) -> int:
    """Serve on a free port; returns the port."""
    listeners = await nursery.start(functools.partial(trio.serve_tcp, handler, 0, host="127.0.0.1"))
    port: int = listeners[0].socket.getsockname()[1]
    return port


@asynccontextmanager
async def open_relay() -> AsyncIterator[tuple[Relay, int]]:
    """A relay in front of an echo."""
    async with trio.open_nursery() as nursery:
        relay = Relay(await serve(nursery, echo))
        yield relay, await serve(nursery, relay.serve)
        nursery.cancel_scope.cancel()


async def receive(stream: trio.SocketStream, count: int) -> bytes:
    """Exactly so many bytes."""
    data = b""
    while len(data) < count:
        more = await stream.receive_some(count - len(data))
        assert more
        data += more
    return data


async def test_bytes_pass_both_ways_and_are_counted_by_caller() -> None:
    """What a caller sends arrives, its answer comes back, and both are counted under the name in its Hello."""
    async with open_relay() as (relay, port), await trio.open_tcp_stream("127.0.0.1", port) as caller:
        first = hello("proxy", "proxy1")
        await caller.send_all(first)
        assert await receive(caller, len(first)) == first
        await caller.send_all(b"more")
        assert await receive(caller, 4) == b"more"
        assert relay.passed_bytes == {Caller("proxy", "proxy1"): 2 * (len(first) + 4)}


async def test_a_cut_is_silent_for_whom_it_names_and_heals() -> None:
    """A cut caller hears nothing and loses nothing; others pass; healing lets the bytes go on."""
    async with (
        open_relay() as (relay, port),
        await trio.open_tcp_stream("127.0.0.1", port) as agent,
        await trio.open_tcp_stream("127.0.0.1", port) as proxy,
    ):
        for stream, first in ((agent, hello("agent", "2")), (proxy, hello("proxy", "p"))):
            await stream.send_all(first)
            await receive(stream, len(first))
        relay.cut(lambda caller: caller.kind == "agent")
        await agent.send_all(b"held")
        await proxy.send_all(b"free")
        assert await receive(proxy, 4) == b"free"
        with pytest.raises(trio.TooSlowError), trio.fail_after(0.1):
            await receive(agent, 1)
        relay.heal()
        with trio.fail_after(2.0):
            assert await receive(agent, 4) == b"held"


async def test_a_new_caller_is_held_during_a_cut() -> None:
    """A connection made during a cut is accepted and hears nothing until it heals."""
    async with open_relay() as (relay, port):
        relay.cut(lambda caller: caller.id == "2")
        async with await trio.open_tcp_stream("127.0.0.1", port) as agent:
            first = hello("agent", "2")
            await agent.send_all(first)
            with pytest.raises(trio.TooSlowError), trio.fail_after(0.1):
                await receive(agent, 1)
            relay.heal()
            with trio.fail_after(2.0):
                assert await receive(agent, len(first)) == first


async def test_a_dead_far_end_resets_the_caller() -> None:
    """With nobody behind the relay a caller gets a reset, as from a machine whose process is gone."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        relay = Relay(unused.getsockname()[1])
        async with trio.open_nursery() as nursery:
            port = await serve(nursery, relay.serve)
            async with await trio.open_tcp_stream("127.0.0.1", port) as caller:
                await caller.send_all(hello("proxy", "p"))
                with pytest.raises(trio.BrokenResourceError), trio.fail_after(2.0):
                    await caller.receive_some()
            nursery.cancel_scope.cancel()


async def test_a_stranger_passes_unnamed() -> None:
    """Bytes that are no Hello pass too, under no name."""
    async with open_relay() as (relay, port), await trio.open_tcp_stream("127.0.0.1", port) as caller:
        await caller.send_all(b"\xff\xff\xff\xff garbage")
        assert await receive(caller, 12) == b"\xff\xff\xff\xff garbage"
        assert list(relay.passed_bytes) == [Caller("", "")]
