"""TCP sockets as links use them."""

import socket
from collections.abc import AsyncIterator

import pytest
import trio
import trio.testing

from protocol.io.transport import SocketTransport, take_socket

TIMEOUT_S = 3.0


@pytest.fixture
async def ends() -> AsyncIterator[tuple[SocketTransport, SocketTransport]]:
    """Two ends of one TCP connection on loopback."""
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    near = await trio.open_tcp_stream("127.0.0.1", listener.socket.getsockname()[1])
    far = await listener.accept()
    pair = take_socket(near), take_socket(far.socket)
    yield pair
    for end in pair:
        end.close()
    await listener.aclose()


async def test_bytes_pass_without_waiting(ends: tuple[SocketTransport, SocketTransport]) -> None:
    """Nothing there is None, something is its size, the end is 0."""
    near, far = ends
    buffer = memoryview(bytearray(10))
    assert far.receive_into(buffer) is None
    assert near.send(b"abc") == 3
    with trio.fail_after(TIMEOUT_S):
        await far.wait_readable()
        assert (far.receive_into(buffer), bytes(buffer[:3])) == (3, b"abc")
        near.finish()
        await far.wait_readable()
    assert far.receive_into(buffer) == 0


async def test_a_full_socket_takes_nothing(ends: tuple[SocketTransport, SocketTransport]) -> None:
    """Until the other end has read."""
    near, far = ends
    while near.send(bytes(100_000)):
        pass
    buffer = memoryview(bytearray(1_000_000))
    with trio.fail_after(TIMEOUT_S):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(near.wait_writable)
            await trio.testing.wait_all_tasks_blocked()
            while nursery.child_tasks:
                far.receive_into(buffer)
                await trio.sleep(0.001)
    assert near.send(b"x") == 1


async def test_waking_leaves_the_transport_as_it_is(ends: tuple[SocketTransport, SocketTransport]) -> None:
    """Whoever waits is told; then both may go on."""
    near, far = ends
    async with trio.open_nursery() as nursery:

        async def wait() -> None:
            with pytest.raises(trio.ClosedResourceError):
                await far.wait_readable()

        nursery.start_soon(wait)
        await trio.testing.wait_all_tasks_blocked()
        far.wake()
    near.send(b"abc")
    with trio.fail_after(TIMEOUT_S):
        await far.wait_readable()
    assert far.receive_into(memoryview(bytearray(10))) == 3


async def test_closing_wakes_and_may_be_repeated(ends: tuple[SocketTransport, SocketTransport]) -> None:
    """Also after the other end has gone."""
    near, far = ends
    async with trio.open_nursery() as nursery:

        async def wait() -> None:
            with pytest.raises(trio.ClosedResourceError):
                await far.wait_readable()

        nursery.start_soon(wait)
        await trio.testing.wait_all_tasks_blocked()
        far.close()
    far.close()
    near.send(b"x")
    near.finish()
    near.finish()


async def test_the_socket_is_tuned(ends: tuple[SocketTransport, SocketTransport]) -> None:
    """No delay, keepalive, little unsent in the kernel, and patience as asked for."""
    near, _ = ends
    near.set_patience(3.0)
    sock = near._socket
    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 3_000
    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT) == 256 * 1024


async def test_addresses_are_for_people(ends: tuple[SocketTransport, SocketTransport]) -> None:
    """The host alone, and with its port."""
    near, _ = ends
    assert near.host == "127.0.0.1"
    assert near.address == f"127.0.0.1:{near._socket.getpeername()[1]}"


async def test_mapped_addresses_are_canonical() -> None:
    """An IPv4 caller of an IPv6 listener is listed under its IPv4 address; IPv6 has brackets before the port."""
    with socket.socket(socket.AF_INET6) as listener:
        listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        listener.bind(("::", 0))
        listener.listen()
        port = listener.getsockname()[1]
        for host, name in (("127.0.0.1", "127.0.0.1"), ("::1", "::1")):
            with socket.create_connection((host, port)) as caller:
                accepted, _ = listener.accept()
                transport = SocketTransport(accepted)
                assert transport.host == name
                bracketed = f"[{name}]" if ":" in name else name
                assert transport.address == f"{bracketed}:{caller.getsockname()[1]}"
                transport.close()


async def test_other_sockets_carry_links_too() -> None:
    """A socket pair has no address, and needs no tuning."""
    near, far = socket.socketpair()
    transport = SocketTransport(near)
    transport.set_patience(3.0)
    assert (transport.host, transport.address) == ("", "a local socket")
    assert transport.send(b"x") == 1 and far.recv(1) == b"x"
    transport.close()
    far.close()


async def test_a_caller_that_has_gone_has_no_address() -> None:
    """Reset between accept and here: the handshake will find out."""
    with socket.socket() as never_connected:
        transport = SocketTransport(socket.socket(fileno=never_connected.detach()))
        assert (transport.host, transport.address) == ("", "an address that has gone")
        transport.close()
