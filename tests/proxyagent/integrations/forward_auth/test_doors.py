"""The sockets of the endpoint: many at once, slow ones, deaf ones, strangers, and more than there is room for."""

import contextlib
import socket
from collections.abc import AsyncIterator
from typing import Any

import attrs
import pytest
import trio
from trio.testing import MockClock

from protocol.io.log import Log
from proxyagent.integrations.forward_auth import doors
from proxyagent.integrations.forward_auth.answer import answer
from proxyagent.integrations.forward_auth.conversation import HEADER_LINES_MAX, Conversation
from proxyagent.integrations.forward_auth.doors import Doors
from proxyagent.integrations.forward_auth.plain import Request
from tests.proxyagent.integrations.forward_auth.asked import read, written

WITHIN_S = 20
OK = answer(200)


@attrs.define
class Endpoint:
    """One that runs, and what it has logged."""

    where: Any
    events: list[str] = attrs.field(factory=list)
    opened: list[trio.SocketStream] = attrs.field(factory=list)

    async def open(self) -> trio.SocketStream:
        """A connection of a front, closed at the end."""
        self.opened.append(await trio.open_tcp_stream(*self.where[:2]))
        return self.opened[-1]


@contextlib.asynccontextmanager
async def endpoint(reply: Any = lambda request: OK, trusted: bool = True) -> AsyncIterator[Endpoint]:
    """It runs for the body, at a port of its own."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        found = Endpoint(listener.getsockname())
        log = Log(lambda severity, event, values: found.events.append(event), level=1, monotonic_s=trio.current_time)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(Doors(listener, lambda peer: trusted, lambda peer: Conversation(reply), log).serve)
            try:
                with trio.fail_after(WITHIN_S):
                    yield found
            finally:
                for stream in found.opened:
                    stream.socket.close()
                nursery.cancel_scope.cancel()


async def answered(stream: trio.SocketStream) -> list[int]:
    """The answers until the endpoint closes."""
    data = b""
    with contextlib.suppress(trio.BrokenResourceError):  # a reset after the answer
        while piece := await stream.receive_some():
            data += piece
    return [status for status, _ in read(data)]


async def ask(stream: trio.SocketStream) -> bytes:
    """One request, and its answer."""
    await stream.send_all(written())
    return bytes(await stream.receive_some())


async def test_many_connections_are_served_side_by_side() -> None:
    """Each its own, one request after another, while others only stand there."""
    async with endpoint() as found:
        streams = [await found.open() for _ in range(40)]

        async def talk(stream: trio.SocketStream) -> None:
            for _ in range(20):
                assert await ask(stream) == OK

        async with trio.open_nursery() as nursery:
            for stream in streams[::2]:
                nursery.start_soon(talk, stream)
        assert await ask(streams[1]) == OK


async def test_a_slow_request_is_ended_while_others_are_served(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes that drip in gain no time; an idle connection is left in peace."""
    monkeypatch.setattr(doors, "REQUEST_TIMEOUT_S", 0.3)
    monkeypatch.setattr(doors, "SWEEP_S", 0.05)
    async with endpoint() as found:
        slow, idle = await found.open(), await found.open()
        assert await ask(idle) == OK

        async def drip() -> None:
            with contextlib.suppress(trio.BrokenResourceError):
                for byte in written() * 100:
                    await slow.send_all(bytes([byte]) if byte != 10 else b"x")
                    await trio.sleep(0.02)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(drip)
            assert await answered(slow) == [408]
            nursery.cancel_scope.cancel()
        assert await ask(idle) == OK


async def test_a_request_has_its_time_from_its_own_first_byte(mock_clock: MockClock) -> None:
    """A front that always has one and a half under way is in time with each, until it stops."""
    data = written()
    async with endpoint() as found:
        stream = await found.open()
        await stream.send_all(data[:10])
        for _ in range(4):
            await stream.send_all(data[10:] + data[:10])
            assert bytes(await stream.receive_some()) == OK
            mock_clock.jump(0.6 * doors.REQUEST_TIMEOUT_S)
            await trio.testing.wait_all_tasks_blocked()
        mock_clock.jump(0.6 * doors.REQUEST_TIMEOUT_S)
        assert await answered(stream) == [408]


async def test_the_one_that_was_idle_longest_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """A new front always gets in, unless all places are taken by requests that have begun."""
    monkeypatch.setattr(doors, "CONNECTIONS_MAX", 3)
    async with endpoint() as found:
        busy, first, second = [await found.open() for _ in range(3)]
        assert await ask(first) == await ask(second) == OK
        await busy.send_all(written()[:-2])
        assert await ask(first) == OK  # so the second is idle for longer; and `busy` has been read by now
        third = await found.open()
        assert await ask(third) == OK
        assert await answered(second) == []
        assert await ask(first) == OK
        await first.send_all(written()[:-2])
        await third.send_all(written() + written()[:-2])
        assert bytes(await third.receive_some()) == OK  # thus `first`, which was written to before, is busy too
        assert await answered(await found.open()) == []
        await busy.send_all(b"\r\n")
        assert bytes(await busy.receive_some()) == OK


async def test_strangers_are_refused_unheard() -> None:
    """They are told why, once for each; the log too."""
    async with endpoint(trusted=False) as found:
        for _ in range(3):
            stream = await found.open()
            assert b"trusted_proxies" in bytes(await stream.receive_some())
        assert found.events == ["forward_auth.untrusted"]


async def test_a_mistake_of_ours_costs_its_connection_and_lets_nobody_in() -> None:
    """Nothing is sent, it is logged, and the others are served."""

    def fail(request: Request) -> bytes:
        if request.target == b"/bad":
            raise ZeroDivisionError
        return OK

    async with endpoint(fail) as found:
        stream, other = await found.open(), await found.open()
        await stream.send_all(written("/bad"))
        assert await answered(stream) == []
        assert await ask(other) == OK
        assert found.events == ["forward_auth.answer_failed"]


async def test_who_does_not_read_is_left() -> None:
    """What does not fit the buffers of the system is not kept here."""
    large = answer(200, [("Large", "x" * 60_000)])
    async with endpoint(lambda request: large) as found:
        stream = await found.open()

        async def ask_on() -> None:
            while True:
                await stream.send_all(written() * (HEADER_LINES_MAX // 4))

        with pytest.raises(trio.BrokenResourceError):
            await ask_on()


async def test_hostile_bytes_cost_their_connection() -> None:
    """A flood of headers gets its refusal, rubbish its own, and the next one is served."""
    async with endpoint() as found:
        for data, status in ((written(more=b"a:b\r\n" * 10_000), 431), (b"\x00" * 100_000 + b"\r\n\r\n", 400)):
            stream = await found.open()
            with contextlib.suppress(trio.BrokenResourceError):
                await stream.send_all(data)
            assert await answered(stream) in ([status], []), "the refusal may be lost with what was not read"
        assert await ask(await found.open()) == OK
