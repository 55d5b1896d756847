"""Plain bytes over a transport, with and without TLS."""

import errno
import ssl
from pathlib import Path

import pytest
import trio
import trio.testing

from protocol import limits
from protocol.io import tls
from protocol.io.opening import start_tls
from protocol.io.tls import Tls
from protocol.io.wire import Wire
from tests.shell.memory import pipe


@pytest.fixture
def made(tmp_path: Path) -> Tls:
    return tls.self_made(tmp_path, "agent/lan1/1")


async def wires(made: Tls | None, room: int = 64 * 1024) -> tuple[Wire, Wire]:
    """Both ends of a pipe, TLS up where there is a Tls."""
    near, far = pipe(room)
    if made is None:
        return Wire(near), Wire(far)
    listening = made.listening
    assert listening is not None
    ciphers = {}

    async def listen() -> None:
        ciphers["far"] = await start_tls(far, listening, server=True)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(listen)
        ciphers["near"] = await start_tls(near, made.dialling, server=False)
    return Wire(near, ciphers["near"]), Wire(far, ciphers["far"])


@pytest.mark.parametrize("with_tls", [False, True])
async def test_a_read_tells_bytes_from_nothing_and_from_the_end(with_tls: bool, made: Tls) -> None:
    """None for nothing yet, bytes, and at the end what TLS makes of it."""
    near, far = await wires(made if with_tls else None)
    assert far.read() is None
    await near.send_all(near.wrapped(b"abc"))
    data = far.read()
    assert data is not None and bytes(data) == b"abc"
    near.transport.finish()
    if with_tls:
        with pytest.raises(ssl.SSLEOFError):
            far.read()
    else:
        end = far.read()
        assert end is not None and len(end) == 0


async def test_a_stranger_fills_a_small_buffer_only() -> None:
    """16 KiB at a time before the proof, 256 KiB after."""
    near, far = await wires(None, room=600_000)
    near.transport.send(bytes(600_000))
    assert len(far.read() or b"") == 16 * 1024
    far.trusted = True
    assert len(far.read() or b"") == 256 * 1024


async def test_what_came_with_the_handshake_is_read(made: Tls) -> None:
    """Bytes that were sent together with the last of TLS are not left behind."""
    near, far = pipe()
    listening = made.listening
    assert listening is not None
    async with trio.open_nursery() as nursery:

        async def dial() -> None:
            cipher = await start_tls(near, made.dialling, server=False)
            near.send(cipher.encrypt(b"at once"))

        nursery.start_soon(dial)
        await trio.testing.wait_all_tasks_blocked()
        wire = Wire(far, await start_tls(far, listening, server=True))
        with trio.fail_after(3):
            while (data := wire.read()) is None:
                await far.wait_readable()
        assert bytes(data) == b"at once"


async def test_send_all_waits_for_room(autojump_clock: trio.testing.MockClock) -> None:
    """In order and complete, through a pipe of 100 bytes."""
    near, far = await wires(None, room=100)
    received = b""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(near.send_all, bytes(range(250)) * 2)
        while len(received) < 500:
            await far.transport.wait_readable()
            received += bytes(far.read() or b"")
    assert received == bytes(range(250)) * 2


async def test_the_end_waits_for_the_peer_but_not_for_long(autojump_clock: trio.testing.MockClock) -> None:
    """A peer that goes on talking is cut off after FAREWELL_TIMEOUT_S."""
    near, far = await wires(None)
    far.transport.send(b"unread")
    started = trio.current_time()
    await near.end()
    assert trio.current_time() - started == pytest.approx(limits.FAREWELL_TIMEOUT_S)
    with pytest.raises(BrokenPipeError):
        far.transport.send(b"x")


async def test_the_end_is_at_once_when_the_peer_ends_too(autojump_clock: trio.testing.MockClock) -> None:
    """Or when it has gone already."""
    for gone in (False, True):
        near, far = pipe()
        far.finish()
        if gone:
            near.break_with(ConnectionResetError(errno.ECONNRESET, "reset"))
        started = trio.current_time()
        await Wire(near).end()
        assert trio.current_time() == started and near.closed


async def test_all_wires_of_a_run_share_their_buffers() -> None:
    """A thousand links hold two buffers."""
    near, far = await wires(None)
    assert near._received is far._received
