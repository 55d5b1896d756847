"""One connection of a front: bytes in, bytes out. Pure, but for whoever answers.

Rules of this file:

- h11 decides what is a request, except where that is plain to see (plain.py). Whatever is none, or beyond a bound, gets
  one refusal, and the connection is over.
- A body is read and dropped, so that the connection can be kept; nobody here wants one.
- Lines are counted before they are parsed: a flood of tiny headers must not keep the process busy. As requests that
  come together share the count, it bounds these, too.
- Without an answer to a mistake of ours nobody is let in: the exception is the caller's, who closes.

Theory. h11 only listens: each request that is not plain has an h11.Connection of its own, and answers are bytes made
before. To have it write them too, and go on to a next cycle, would cost half as much again.
"""

from collections.abc import Callable

import h11

from proxyagent.integrations.forward_auth import plain
from proxyagent.integrations.forward_auth.answer import CLOSE, answer
from proxyagent.integrations.forward_auth.plain import HEADER_LINES_MAX, Request

HEADER_BYTES_MAX = 64 * 1024
"""The head of a request: Envoy passes on 60 KiB, nginx 32 KiB."""

BODY_BYTES_MAX = 64 * 1024
"""Fronts are told to send none; one that is not will do for small ones."""


class Conversation:
    """One connection. After `over` there is nothing more to say; `waiting` is whether a request has only begun."""

    def __init__(self, reply: Callable[[Request], bytes]) -> None:
        self.over = False
        self.waiting = False
        self._reply = reply
        self._connection = _connection()
        self._request: h11.Request | None = None
        self._lines = 0
        self._body_bytes = 0

    def receive(self, data: bytes) -> bytes:
        """What to send after these bytes have come; none have come for the last time when the front has closed."""
        if not self.waiting and not self.over:
            request = plain.read(data)
            if request is not None:
                return self._reply(request)
        sent = b""
        try:
            if self._request is None:
                self._count_lines(data)
            self._connection.receive_data(data)
            self.waiting = True
            while self.waiting and not self.over:
                event = self._connection.next_event()
                if event is h11.NEED_DATA:
                    break
                sent += self._take(event)
        except h11.RemoteProtocolError as error:
            sent += self._refuse(error.error_status_hint)
        return sent

    def time_out(self) -> bytes:
        """What to send where a request takes too long."""
        return self._refuse(408)

    def _take(self, event: object) -> bytes:
        """What to send after an event. Raises h11.RemoteProtocolError."""
        if isinstance(event, h11.Request):
            self._begin(event)
        elif isinstance(event, h11.EndOfMessage):
            return self._end()
        elif isinstance(event, h11.Data):
            self._body_bytes += len(event.data)
            if self._body_bytes > BODY_BYTES_MAX:
                raise h11.RemoteProtocolError("too long a body", error_status_hint=413)
        else:
            assert isinstance(event, h11.ConnectionClosed), event
            self.over = True
        return b""

    def _begin(self, request: h11.Request) -> None:
        if request.http_version not in (b"1.0", b"1.1"):
            raise h11.RemoteProtocolError("another version", error_status_hint=505)
        if request.method == b"CONNECT":
            raise h11.RemoteProtocolError("a tunnel", error_status_hint=405)
        if self._connection.they_are_waiting_for_100_continue:
            raise h11.RemoteProtocolError("a body that waits for its turn", error_status_hint=417)
        self._request, self._body_bytes = request, 0

    def _end(self) -> bytes:
        """Answer a request that is complete; another one may have come with it."""
        assert self._request is not None
        asked = self._request
        sent = self._reply(Request(asked.method, asked.target, list(asked.headers)))
        before, self._connection = self._connection, _connection()
        self._request, self._lines = None, 0
        self.over = before.their_state is h11.MUST_CLOSE
        more, closed = before.trailing_data
        self.waiting = more != b"" or closed
        if more:
            self._connection.receive_data(more)
        if closed:
            self._connection.receive_data(b"")
        return sent

    def _count_lines(self, data: bytes) -> None:
        self._lines += data.count(b"\n")
        if self._lines > HEADER_LINES_MAX:
            raise h11.RemoteProtocolError("too many lines", error_status_hint=431)

    def _refuse(self, status: int) -> bytes:
        self.over = True
        return answer(status, [CLOSE])


def _connection() -> h11.Connection:
    return h11.Connection(h11.SERVER, max_incomplete_event_size=HEADER_BYTES_MAX)
