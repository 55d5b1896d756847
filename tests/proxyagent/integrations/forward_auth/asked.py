"""Requests as a front writes them, and what it reads of an answer."""

import h11

from proxyagent.integrations.forward_auth.plain import Request

COOKIE = "Zm9yIHRlc3RzIG9ubHksIG5vdGhpbmcgdG8ga2VlcCE"


def written(target: str = "/auth", method: str = "GET", more: bytes = b"", **headers: str | bytes) -> bytes:
    """A request; `x_forwarded_for="..."` is the header X-Forwarded-For, `more` are lines as they are."""
    lines = [b"%b %b HTTP/1.1\r\nHost: endpoint\r\n" % (method.encode(), target.encode())]
    for name, value in headers.items():
        text = value if isinstance(value, bytes) else value.encode()
        lines.append(b"%b: %b\r\n" % (name.replace("_", "-").encode(), text))
    return b"".join([*lines, more, b"\r\n"])


def request(target: str = "/auth", method: str = "GET", more: bytes = b"", **headers: str | bytes) -> Request:
    """The same as h11 reads it."""
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(written(target, method, more, **headers))
    event = connection.next_event()
    assert isinstance(event, h11.Request)
    return Request(event.method, event.target, list(event.headers))


def read(data: bytes) -> list[tuple[int, dict[str, str]]]:
    """Status and headers, names in lower case, of the answers that these bytes are, as h11 reads them."""
    found = []
    while data:
        connection = h11.Connection(h11.CLIENT)
        connection.send(h11.Request(method="GET", target="/", headers=[("Host", "endpoint")]))
        connection.send(h11.EndOfMessage())
        connection.receive_data(data)
        answer = connection.next_event()
        assert isinstance(answer, h11.Response)
        assert isinstance(connection.next_event(), h11.EndOfMessage), "no answer has a body"
        found.append((answer.status_code, {name.decode(): value.decode() for name, value in answer.headers}))
        data = connection.trailing_data[0]
    return found


def one(data: bytes) -> tuple[int, dict[str, str]]:
    """The only answer."""
    (answer,) = read(data)
    return answer
