"""The page that everybody fetches."""

import trio
from trio.testing import memory_stream_pair

from authagent.demo import page
from authagent.demo.page import serve_page


async def test_any_request_gets_the_page() -> None:
    """A request that comes in pieces is answered with the text, its length, and the end of the connection."""
    client, server = memory_stream_pair()
    async with trio.open_nursery() as nursery:

        async def serve() -> None:
            async with server:
                await serve_page(server)  # type: ignore[arg-type]

        nursery.start_soon(serve)
        await client.send_all(b"GET / HTTP/1.1\r\n")
        await client.send_all(b"Host: x\r\n\r\n")
        answer = b"".join([data async for data in client])
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 ")
    assert f"Content-Length: {len(body)}".encode() in head
    assert body == page.TEXT


async def test_a_client_that_leaves_or_sends_too_much_gets_nothing() -> None:
    """No answer, and no error either."""
    for data in (b"GET", b"x" * 20_000):
        client, server = memory_stream_pair()
        await client.send_all(data)
        await client.send_eof()
        async with server:
            await serve_page(server)  # type: ignore[arg-type]
        assert await client.receive_some() == b""
