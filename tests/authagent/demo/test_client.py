"""The users of the demo."""

import base64
import functools

import trio

from authagent.demo import page
from authagent.demo.client import Answer, Restless, User

ALICE = User("alice", "127.0.1.1", "open sesame")


async def serve(nursery: trio.Nursery, answers: list[bytes], heard: list[bytes]) -> int:
    """A proxy that gives these answers one after the other, the last one for ever; returns its port."""

    async def handler(stream: trio.SocketStream) -> None:
        data = b""
        while b"\r\n\r\n" not in data:
            data += await stream.receive_some()
        heard.append(stream.socket.getpeername()[0].encode() + b" " + data)
        await stream.send_all(answers.pop(0) if len(answers) > 1 else answers[0])
        await stream.aclose()

    listeners = await nursery.start(functools.partial(trio.serve_tcp, handler, 0, host="127.0.0.1"))
    port: int = listeners[0].socket.getsockname()[1]
    return port


ASKED = b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n"
PAGE = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(page.TEXT), page.TEXT)


async def test_a_user_asks_from_an_own_address_and_shows_the_password_when_told() -> None:
    """The proxy sees the user's address, the whole URL, and the password only where it was wanted."""
    heard: list[bytes] = []
    async with trio.open_nursery() as nursery:
        port = await serve(nursery, [ASKED, PAGE], heard)
        first = await ALICE.ask(port, "http://example.internal/x")
        second = await ALICE.ask(port, "http://example.internal/x", password=True)
        nursery.cancel_scope.cancel()
    assert first.asked
    assert second.let_through
    assert heard[0].startswith(b"127.0.1.1 GET http://example.internal/x HTTP/1.1\r\n")
    assert b"Proxy-Authorization" not in heard[0]
    assert base64.b64encode(b"alice:open sesame") in heard[1]


async def test_a_broken_connection_is_an_answer_too() -> None:
    """Status 0 with the reason, instead of an error."""
    async with trio.open_nursery() as nursery:
        port = await serve(nursery, [b""], [])
        answer = await ALICE.ask(port, "http://example.internal/")
        nursery.cancel_scope.cancel()
    assert answer.status == 0
    assert answer.text
    assert not answer.let_through
    assert not answer.asked


async def test_the_restless_client_counts_what_becomes_of_its_requests() -> None:
    """Pages, broken connections and being asked again are told apart."""
    restless = Restless(ALICE)
    async with trio.open_nursery() as nursery:
        port = await serve(nursery, [PAGE, b"", PAGE, ASKED], [])
        nursery.start_soon(restless.ask_for_ever, port, "http://example.internal/", 0.0)
        with trio.fail_after(5.0):
            while restless.requests < 5:
                await trio.sleep(0.001)
        nursery.cancel_scope.cancel()
    assert (restless.answered, restless.broken) == (2, 1)
    assert restless.asked_again == restless.requests - 3


def test_a_page_that_is_not_the_page_is_not_let_through() -> None:
    """A 200 of the proxy itself is no proof that the user was let through."""
    assert not Answer(200, "nobody\n", 0.0).let_through


def test_a_user_does_not_show_the_password() -> None:
    """The password is not in the repr."""
    assert ALICE.password not in repr(ALICE)
