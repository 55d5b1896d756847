"""The network of the virtual histories: latency, silence, reset and death."""

import random

import pytest
import trio
import trio.testing

from protocol.io.link import LinkFailed
from protocol.io.transport import Transport
from tests.virtual.network import Network

LATENCY_S = 0.01
BUFFER = memoryview(bytearray(1_000))


@pytest.fixture
async def network(nursery: trio.Nursery) -> Network:
    """One that runs."""
    made = Network(random.Random(1), LATENCY_S)
    await nursery.start(made.serve)
    return made


async def pair(network: Network) -> tuple[Transport, Transport]:
    """A stream from `a` to `b`: both ends."""
    (door,) = await network.listen("b", "127.0.0.1", 9023)
    near = await network.connect("a", "127.0.0.1", 9023)
    return near, await door.accept()


async def read(stream: Transport) -> bytes:
    """What comes next."""
    await stream.wait_readable()
    count = stream.receive_into(BUFFER)
    return bytes(BUFFER[:count])


async def test_bytes_take_the_latency(network: Network, autojump_clock: trio.testing.MockClock) -> None:
    """And arrive in order, with the end after them."""
    near, far = await pair(network)
    began_s = trio.current_time()
    near.send(b"one ")
    near.send(b"two")
    assert await read(far) + await read(far) == b"one two"
    assert trio.current_time() - began_s == pytest.approx(LATENCY_S)
    near.finish()
    assert await read(far) == b""


async def test_a_silence_holds_what_is_sent_one_way(network: Network, autojump_clock: trio.testing.MockClock) -> None:
    """It arrives when the silence ends; the other way is open meanwhile."""
    near, far = await pair(network)
    network.silence("a", "b")
    near.send(b"later")
    far.send(b"now")
    assert await read(near) == b"now"
    with trio.move_on_after(5.0) as waited:
        await read(far)
    assert waited.cancelled_caught
    network.heal("a", "b")
    assert await read(far) == b"later"


async def test_a_dead_node_resets_its_peers_and_says_nothing_more(
    network: Network, autojump_clock: trio.testing.MockClock
) -> None:
    """What it sent last is lost, nobody listens there, and its own tasks notice nothing."""
    near, far = await pair(network)
    far.send(b"lost")
    network.die("b")
    assert far.send(b"lost too") == 8
    with pytest.raises(ConnectionResetError):
        await read(near)
    with pytest.raises(LinkFailed, match="refused"):
        await network.connect("a", "127.0.0.1", 9023)
