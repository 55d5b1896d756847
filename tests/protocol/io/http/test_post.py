"""One POST: what is sent, and what becomes of answers that are none."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import pytest
import trio

from protocol.io.http.post import HEADER_BYTES_MAX, PostFailed, Target, post
from tests.protocol.io.http.asking import TIMEOUT_S


@asynccontextmanager
async def answering(answer: bytes, heard: list[bytes]) -> AsyncIterator[str]:
    """A server that sends these bytes whatever it is asked, and closes; its address."""

    async def handle(stream: trio.SocketStream) -> None:
        async with stream:
            heard.append(await stream.receive_some(65536))
            try:
                await stream.send_all(answer)
            except trio.BrokenResourceError:
                pass  # the other end has heard enough

    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(partial(trio.serve_tcp, handle, 0, host="127.0.0.1"))
        yield f"http://localhost:{listeners[0].socket.getsockname()[1]}"
        nursery.cancel_scope.cancel()


async def test_the_request_is_what_it_should_be() -> None:
    """Method, path with query, host and length; the status comes back, informational answers are passed over."""
    heard: list[bytes] = []
    async with answering(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n", heard) as url:
        with trio.fail_after(TIMEOUT_S):
            assert await post(Target(f"{url}/a/b?c=d"), [("x-own", "1")], b"body") == 204
    head, _, body = heard[0].partition(b"\r\n\r\n")
    lines = head.decode().lower().split("\r\n")
    assert lines[0] == "post /a/b?c=d http/1.1" and body == b"body"
    assert {f"host: {url.removeprefix('http://')}", "content-length: 4", "connection: close", "x-own: 1"} <= set(lines)


@pytest.mark.parametrize(
    "answer", [b"", b"SSH-2.0-OpenSSH\r\n\r\n", b"HTTP/1.1 200 OK\r\nX: " + b"x" * 4 * HEADER_BYTES_MAX]
)
async def test_what_is_no_answer_is_said_in_one_line(answer: bytes) -> None:
    """Nothing at all, another protocol, headers without end."""
    async with answering(answer, []) as url:
        with trio.fail_after(TIMEOUT_S), pytest.raises(PostFailed) as failed:
            await post(Target(f"{url}/?private"), [], b"body")
    assert len(str(failed.value).splitlines()) == 1 and "private" not in str(failed.value)


async def test_the_address_is_in_no_repr() -> None:
    """It may hold a password."""
    assert "private" not in repr(Target("http://x.test/?private"))
