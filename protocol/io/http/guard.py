"""What every request must keep to, whatever answers it: bytes, time, and no mistake that goes further than its request.

Rules of this file:

- A request has its deadline until its answer begins. An answer may go on (server-sent events); each piece of it must
  be taken in time, which protocol.io.http.server sees to.
- A mistake of ours in an answer costs that request, and is one alarm in the log.
- Only HTTP/1 is spoken: WebSockets and HTTP/2 are refused, the latter before its flow control can hold up anything.
- A piece of an answer leaves uninterrupted: a streaming answer of Starlette's is cancelled by its own last piece, and
  hypercorn would leave that connection open for ever.
- Nobody is sent to the same address with or without a slash, as Starlette would: to whatever host the request names.
- The path of a request is its sender's; queries may hold what nobody should read, so only the path is logged.
"""

from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any, TypeAlias

import attrs
import trio
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse
from starlette.routing import BaseRoute

from protocol.io.log import Log

BODY_BYTES_MAX = 64 * 1024
"""A form with a user, a key and a password needs a tenth of it."""

REQUEST_TIMEOUT_S = 10.0
"""From the first line of a request to that of its answer: a log-out waits 5 s at most."""

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
App: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]


def application(routes: Sequence[BaseRoute]) -> App:
    """What answers at these routes and nowhere else: without a life of its own (no lifespan)."""
    made = Starlette(routes=list(routes))
    made.router.redirect_slashes = False
    return made


@attrs.define
class Guard:
    """An ASGI application around another; counts what it let through."""

    app: App
    log: Log
    requests_total: int = 0
    refused_total: int = 0
    failed_total: int = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; raises nothing of its own."""
        if scope["type"] != "http" or scope["http_version"] not in ("1.0", "1.1"):
            self.refused_total += 1
            await _refuse(scope["type"], receive, send)
            return
        self.requests_total += 1
        answer = _Answer(send)
        try:
            refusal = await self._within_bounds(scope, receive, answer)
        except Exception as error:  # noqa: BLE001 - a mistake in one answer must not stop the others
            self.failed_total += 1
            self.log.alarm("http.request_failed", path=scope["path"], error=repr(error))
            refusal = PlainTextResponse("internal error; the log says more\n", 500)
        if refusal is not None and not answer.begun:
            refusal.headers["connection"] = "close"
            await refusal(scope, receive, send)

    async def _within_bounds(self, scope: Scope, receive: Receive, answer: "_Answer") -> PlainTextResponse | None:
        """Have it answered; what to say instead when it is too large or too slow."""
        if _announced_bytes(scope) > BODY_BYTES_MAX:
            self.refused_total += 1
            return PlainTextResponse(_TOO_LARGE, 413)
        with trio.move_on_after(REQUEST_TIMEOUT_S) as deadline:
            answer.deadline = deadline
            await self.app(scope, _bounded(receive), answer)
        if not deadline.cancelled_caught:
            return None
        self.refused_total += 1
        return PlainTextResponse(f"not finished within {REQUEST_TIMEOUT_S:g} s\n", 408)


_TOO_LARGE = f"a request may have {BODY_BYTES_MAX:,} bytes\n"


@attrs.define
class _Answer:
    """Passes an answer on; once it has begun there is no deadline for the rest."""

    send: Send
    begun: bool = False
    deadline: trio.CancelScope = attrs.field(factory=trio.CancelScope)

    async def __call__(self, message: Message) -> None:
        self.begun = True
        self.deadline.deadline = float("inf")
        with trio.CancelScope(shield=True):
            await self.send(message)


async def _refuse(kind: str, receive: Receive, send: Send) -> None:
    if kind == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": 1008})
    else:
        await send({"type": "http.response.start", "status": 505, "headers": []})
        await send({"type": "http.response.body"})


def _announced_bytes(scope: Scope) -> int:
    lengths = [value for name, value in scope["headers"] if name.lower() == b"content-length"]
    return max((int(value) for value in lengths if value.isdigit()), default=0)


def _bounded(receive: Receive) -> Receive:
    """Chunked bodies announce no length, so what arrives is counted too."""
    received_bytes = 0

    async def bounded() -> Message:
        nonlocal received_bytes
        message = await receive()
        received_bytes += len(message.get("body", b""))
        if received_bytes > BODY_BYTES_MAX:
            raise HTTPException(413, _TOO_LARGE)
        return message

    return bounded
