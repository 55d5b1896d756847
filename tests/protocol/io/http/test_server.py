"""The server on real sockets: what callers do to it costs them their connection, and nobody else anything."""

import pytest
import trio
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from protocol.io.http import server as servers
from tests.protocol.io.http.asking import TIMEOUT_S, exchange, get, serving, status_of, to_the_end


async def hello(request: Request) -> Response:
    return PlainTextResponse("hello")


async def endless(request: Request) -> Response:
    return PlainTextResponse("x" * 64 * 1024 * 1024)


HELLO, ENDLESS = Route("/", hello), Route("/endless", endless)


async def test_it_answers() -> None:
    """A request gets its answer, without a word about which server this is."""
    async with serving(HELLO) as served:
        answer = await exchange(served.port, get("/"))
    assert status_of(answer) == 200 and answer.endswith(b"hello")
    assert b"\r\nserver:" not in answer.lower()
    assert served.server.guard.requests_total == 1


async def test_long_headers_are_refused() -> None:
    """Headers over 16 KiB get 431, and the next caller an answer."""
    async with serving(HELLO) as served:
        answer = await exchange(served.port, get("/", f"X: {'x' * 2 * servers.HEADER_BYTES_MAX}"))
        assert status_of(answer) == 431
        assert status_of(await exchange(served.port, get("/"))) == 200


@pytest.mark.parametrize("sent", [b"\x16\x03\x01\x02", b"\r\n" * 1_000, b"GET / FTP/1.1\r\n\r\n", b"GET " + b"\xff"])
async def test_what_is_no_request_costs_its_connection(sent: bytes) -> None:
    """Bytes that are no HTTP are answered with 400 or a closed door, and the next caller is served."""
    async with serving(HELLO) as served:
        assert status_of(await exchange(served.port, sent + b"\r\n\r\n")) in (0, 400)
        assert status_of(await exchange(served.port, get("/"))) == 200


async def test_dripping_headers_gain_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A request must be there in total within its time: a byte now and then does not lengthen it."""
    monkeypatch.setattr(servers, "IDLE_TIMEOUT_S", 0.3)
    async with serving(HELLO) as served:
        with trio.fail_after(TIMEOUT_S):
            stream = await trio.open_tcp_stream("127.0.0.1", served.port)
            async with trio.open_nursery() as nursery:

                async def drip() -> None:
                    try:
                        await stream.send_all(b"GET / HTTP/1.1\r\n")
                        while True:
                            await stream.send_all(b"X: y\r\n")
                            await trio.sleep(0.01)
                    except (trio.BrokenResourceError, trio.ClosedResourceError):
                        pass

                nursery.start_soon(drip)
                await to_the_end(stream)
                await stream.aclose()


async def test_who_does_not_read_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """A caller that takes nothing of its answer loses its connection after its time."""
    monkeypatch.setattr(servers, "SEND_TIMEOUT_S", 0.2)
    async with serving(ENDLESS) as served:
        stream = await trio.open_tcp_stream("127.0.0.1", served.port)
        async with stream:
            await stream.send_all(get("/endless"))
            with trio.fail_after(TIMEOUT_S):
                while not served.server.guard.requests_total or served.server.connections:
                    await trio.sleep(0.01)


async def test_beyond_the_bound_callers_are_turned_away() -> None:
    """Connections have a bound; whoever comes later is closed unheard, and let in once there is room."""
    async with serving(HELLO, connections_max=2) as served:
        held = [await trio.open_tcp_stream("127.0.0.1", served.port) for _ in range(2)]
        with trio.fail_after(TIMEOUT_S):
            while served.server.connections < 2:
                await trio.sleep(0.01)
            assert await exchange(served.port, get("/")) == b""
            assert served.server.turned_away_total == 1
            for stream in held:
                await stream.aclose()
            while status_of(await exchange(served.port, get("/"))) != 200:
                await trio.sleep(0.01)


async def test_it_ends_at_once_whoever_does_not_read() -> None:
    """Cancelled, the server ends while a caller holds up an answer: a program must end within 2 s."""
    with trio.fail_after(TIMEOUT_S):
        async with serving(ENDLESS) as served:
            stream = await trio.open_tcp_stream("127.0.0.1", served.port)
            await stream.send_all(get("/endless"))
            while not served.server.guard.requests_total:
                await trio.sleep(0.01)
            began_s = trio.current_time()
        assert trio.current_time() - began_s < servers.SEND_TIMEOUT_S - 1
        await stream.aclose()


@pytest.mark.parametrize("said", [b"", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"GET / HT"])
async def test_who_has_left_holds_no_place(said: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection that its caller has closed is over at once, however long it could have been idle."""
    monkeypatch.setattr(servers, "IDLE_TIMEOUT_S", 1_000.0)
    async with serving(HELLO) as served:
        stream = await trio.open_tcp_stream("127.0.0.1", served.port)
        with trio.fail_after(TIMEOUT_S):
            await stream.send_all(said)
            while not served.server.connections or served.server.guard.requests_total < said.endswith(b"\r\n\r\n"):
                await trio.sleep(0.01)
            await stream.aclose()
            while served.server.connections:
                await trio.sleep(0.01)
