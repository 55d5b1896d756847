"""What every request must keep to: bytes and time, and mistakes that stay within it."""

import pytest
import trio
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from protocol.io.http import guard
from tests.protocol.io.http.asking import TIMEOUT_S, exchange, get, serving, status_of


async def echo(request: Request) -> Response:
    return PlainTextResponse(str(len(await request.body())))


async def stuck(request: Request) -> Response:
    await trio.sleep_forever()
    raise AssertionError("never comes here")


async def broken(request: Request) -> Response:
    raise RuntimeError("a mistake of ours")


async def slowly(request: Request) -> Response:
    async def pieces():  # type: ignore[no-untyped-def]
        yield b"one "
        await trio.sleep(0.3)
        yield b"two"

    return StreamingResponse(pieces())


ROUTES = [Route("/echo", echo, methods=["POST"]), Route("/stuck", stuck), Route("/broken", broken),
          Route("/slowly", slowly)]  # fmt: skip


def post(body: bytes, *headers: str) -> bytes:
    head = ["POST /echo HTTP/1.1", "Host: x", "Connection: close", *headers, "", ""]
    return "\r\n".join(head).encode() + body


async def test_a_body_within_the_bound_arrives() -> None:
    """Announced or in chunks."""
    async with serving(*ROUTES) as served:
        assert (await exchange(served.port, post(b"abc", "Content-Length: 3"))).endswith(b"3")
        chunked = post(b"3\r\nabc\r\n0\r\n\r\n", "Transfer-Encoding: chunked")
        assert (await exchange(served.port, chunked)).endswith(b"3")


async def test_a_large_body_is_refused() -> None:
    """Announced, it is not even read; in chunks it is cut off at the bound."""
    large = guard.BODY_BYTES_MAX + 1
    async with serving(*ROUTES) as served:
        assert status_of(await exchange(served.port, post(b"", f"Content-Length: {large}"))) == 413
        chunk = f"{large:x}\r\n".encode() + b"x" * large + b"\r\n0\r\n\r\n"
        assert status_of(await exchange(served.port, post(chunk, "Transfer-Encoding: chunked"))) == 413


async def test_a_slow_request_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A body that does not come, and an answer that does not begin, are 408."""
    monkeypatch.setattr(guard, "REQUEST_TIMEOUT_S", 0.1)
    async with serving(*ROUTES) as served:
        assert status_of(await exchange(served.port, post(b"a", "Content-Length: 3"))) == 408
        assert status_of(await exchange(served.port, get("/stuck"))) == 408
        assert served.server.guard.refused_total == 2


async def test_an_answer_may_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """The deadline is for the beginning of an answer: server-sent events go on for hours."""
    monkeypatch.setattr(guard, "REQUEST_TIMEOUT_S", 0.1)
    async with serving(*ROUTES) as served:
        answer = await exchange(served.port, get("/slowly"))
    assert b"one " in answer and b"two" in answer


async def test_a_mistake_of_ours_stays_within_its_request() -> None:
    """It is 500 to the caller, without its text, one alarm in the log, and nothing to the next caller."""
    async with serving(*ROUTES) as served:
        answer = await exchange(served.port, get("/broken?secret=1"))
        assert status_of(answer) == 500 and b"mistake of ours" not in answer
        assert status_of(await exchange(served.port, get("/slowly"))) == 200
        (line,) = served.logged("http.request_failed")
    assert line["path"] == "/broken" and "mistake of ours" in str(line["error"])


async def test_websockets_are_refused() -> None:
    """Nothing here speaks it."""
    upgrade = ["Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: YQ=="]
    request = "\r\n".join(["GET /echo HTTP/1.1", "Host: x", *upgrade, "", ""]).encode()
    async with serving(*ROUTES) as served:
        assert status_of(await exchange(served.port, request)) in (400, 403)
        assert status_of(await exchange(served.port, get("/slowly"))) == 200


async def test_http_2_is_refused() -> None:
    """Who insists on it is told 505: its flow control could hold up an answer for ever."""
    import h2.config
    import h2.connection
    import h2.events

    client = h2.connection.H2Connection(h2.config.H2Configuration())
    client.initiate_connection()
    client.send_headers(1, [(":method", "GET"), (":path", "/slowly"), (":scheme", "http"), (":authority", "x")], True)
    async with serving(*ROUTES) as served:
        stream = await trio.open_tcp_stream("127.0.0.1", served.port)
        await stream.send_all(client.data_to_send())
        status = b""
        with trio.fail_after(TIMEOUT_S):
            while not status:
                for event in client.receive_data(await stream.receive_some()):
                    if isinstance(event, h2.events.ResponseReceived):
                        status = dict(event.headers)[b":status"]
        await stream.aclose()
    assert status == b"505"


async def test_nobody_is_sent_to_the_host_that_a_request_names() -> None:
    """An address with a slash too many, or without its first one, is none; Starlette would lead to that host."""
    async with serving(*ROUTES) as served:
        served.server.guard.app = guard.application(ROUTES)
        for path in ("/slowly/", "?x"):
            answer = await exchange(served.port, get(path))
            assert status_of(answer) == 404 and b"location" not in answer.lower()
        assert status_of(await exchange(served.port, get("/slowly"))) == 200
