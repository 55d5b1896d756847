"""The web page that everybody in the demo fetches: one small answer, over and over."""

import trio

TEXT = b"the page behind the proxies\n"

_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\nContent-Length: "
_HEAD_BYTES_MAX = 16 * 1024
_TIMEOUT_S = 5.0


async def serve_page(stream: trio.SocketStream) -> None:
    """A handler for trio.serve_tcp: answers any request with TEXT and closes. Never raises for the client's sake."""
    with trio.move_on_after(_TIMEOUT_S):
        try:
            data = b""
            while b"\r\n\r\n" not in data:
                more = await stream.receive_some(_HEAD_BYTES_MAX)
                data += more
                if not more or len(data) > _HEAD_BYTES_MAX:
                    return
            await stream.send_all(_HEAD + str(len(TEXT)).encode() + b"\r\n\r\n" + TEXT)
        except trio.BrokenResourceError:
            pass  # proxies are killed in this play
