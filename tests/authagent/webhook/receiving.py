"""A receiver of webhooks on loopback that does what the test wants, and a sender's process around it."""

import base64
import hashlib
import hmac
import json
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import attrs
import h11
import trio

from authagent.webhook.sender import Sources
from protocol.io.log import Log, Severity

TIMEOUT_S = 15.0
SECRET = "kQ3vX8pLr2Zt7Wm9Bn4Yc6HdVb5Nj1Rw"


@attrs.define
class Receiver:
    """Answers with `answers` in turn, the last again and again: a status, "hang", "close", or (status, location)."""

    answers: list[Any]
    scheme: str = "http"
    port: int = 0
    path: str = "/hook?token=private"
    bodies: list[dict[str, Any]] = attrs.field(factory=list)
    headers: list[dict[str, str]] = attrs.field(factory=list)
    requests: int = 0

    @property
    def url(self) -> str:
        return f"{self.scheme}://localhost:{self.port}{self.path}"

    @property
    def events(self) -> list[dict[str, Any]]:
        """Everything told in deliveries that were answered with 2xx, in order."""
        return [event for body in self.bodies for event in body["events"]]

    async def until(self, count: int) -> list[dict[str, Any]]:
        """Wait for so many events."""
        with trio.fail_after(TIMEOUT_S):
            while len(self.events) < count:
                await trio.sleep(0.01)
        return self.events

    async def serve(self, stream: trio.abc.Stream) -> None:
        """One connection."""
        connection = h11.Connection(h11.SERVER)
        body, request = b"", None
        async with stream:
            while True:
                event = connection.next_event()
                if event is h11.NEED_DATA:
                    connection.receive_data(bytes(await stream.receive_some(65536)))
                elif isinstance(event, h11.Request):
                    request = event
                elif isinstance(event, h11.Data):
                    body += event.data
                elif isinstance(event, h11.EndOfMessage):
                    break
                else:
                    return
            assert request is not None and request.target == self.path.encode()
            answer = self.answers[min(self.requests, len(self.answers) - 1)]
            self.requests += 1
            await self._answer(stream, connection, answer)
        if isinstance(answer, int) and 200 <= answer < 300:
            self.bodies.append(json.loads(body))
            self.headers.append({name.decode(): value.decode() for name, value in request.headers})
            self.check(body, self.headers[-1])

    async def _answer(self, stream: trio.abc.Stream, connection: h11.Connection, answer: Any) -> None:
        if answer == "hang":
            await trio.sleep_forever()
        if answer == "close":
            return
        status, location = answer if isinstance(answer, tuple) else (answer, None)
        headers = [("content-length", "0"), *([("location", location)] if location else [])]
        await stream.send_all(connection.send(h11.Response(status_code=status, headers=headers)) or b"")
        await stream.send_all(connection.send(h11.EndOfMessage()) or b"")

    @staticmethod
    def check(body: bytes, headers: Mapping[str, str], secret: str = SECRET) -> None:
        """As a receiver should: the signature is right, for this id and time."""
        signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
        wanted = base64.b64encode(hmac.digest(secret.encode(), signed, hashlib.sha256)).decode()
        assert f"v1,{wanted}" in headers["webhook-signature"].split()


@asynccontextmanager
async def receiving(*answers: Any, tls: ssl.SSLContext | None = None) -> AsyncIterator[Receiver]:
    """A receiver until the end of the body."""
    receiver = Receiver(list(answers), "http" if tls is None else "https")

    async def handle(stream: trio.SocketStream) -> None:
        spoken = stream if tls is None else trio.SSLStream(stream, tls, server_side=True, https_compatible=True)
        try:
            await receiver.serve(spoken)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass  # the sender has given up, or does not trust this receiver

    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(partial(trio.serve_tcp, handle, 0, host="127.0.0.1"))
        receiver.port = listeners[0].socket.getsockname()[1]
        yield receiver
        nursery.cancel_scope.cancel()


@attrs.define
class Lines:
    """What was logged."""

    said: list[tuple[Severity, str, Mapping[str, object]]] = attrs.field(factory=list)

    def of(self, event: str) -> list[Mapping[str, object]]:
        return [values for _, name, values in self.said if name == event]


def sources(lines: Lines) -> Sources:
    """Of a process whose clock stands still and whose dice always fall alike."""
    numbers = iter(range(1_000_000))
    return Sources(
        wall_ms=lambda: 1_769_860_800_000,
        token=lambda: f"delivery-{next(numbers)}",
        jitter=lambda: 0.5,
        log=Log(lambda *line: lines.said.append(line), level=1, monotonic_s=trio.current_time),
        site="lan1",
        id="1",
    )
