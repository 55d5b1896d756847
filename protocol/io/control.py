"""The listening side of a control socket: who may ask what, for how long, and at what length.

Rules of this file:

- The language is in control_client.py. One connection may carry one request after another.
- Owner and root may administer; others whom the file's mode lets in may ask and report. The handler decides by
  `Request.may_administer`; connections for administrators are kept free.
- Nothing that comes in stops the server: garbage gets a line that says so and loses its connection, a handler's
  mistake gets "internal error" and an alarm.
- Everything has a bound: connections, the length of a request, the time to send it, to answer it, and to take the
  answer. Only what is watched has no end, and it ends when the watcher is gone.
"""

import json
import select
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from typing import Any, TypeAlias

import attrs
import trio

from protocol.io.control_client import REQUEST_BYTES_MAX, ControlError, ExitCode
from protocol.io.control_socket import listening, peer_uid
from protocol.io.log import Log

CONNECTIONS_MAX = 64
"""At one time: a few dozen helpers of a proxy and some watchers."""

CONNECTIONS_RESERVED = 16
"""Of these, kept for owner and root, so that nobody else can lock the operator out."""

REQUEST_TIMEOUT_S = 5.0
"""From the first byte of a request to its end."""

IDLE_TIMEOUT_S = 600.0
"""Between two requests on one connection; a helper that asks less often connects again."""

ANSWER_TIMEOUT_S = 60.0
"""For an answer to a request without `deadline_s`."""

DEADLINE_S_MAX = 3600.0
"""The most a request may ask for."""

WRITE_TIMEOUT_S = 5.0
"""For one line of an answer to be taken."""

_HANGUP_CHECK_S = 1.0
_ACCEPT_PAUSE_S = 0.5  # after the system refused another connection


@attrs.frozen
class Request:
    """One request. `arguments` is what stood beside the verb, unchecked."""

    verb: str
    arguments: Mapping[str, Any]
    may_administer: bool
    uid: int

    def require_administrator(self) -> None:
        """Raise ControlError (exit code 3) unless the asker may administer."""
        if not self.may_administer:
            text = f"{self.verb} is for the owner of the control socket and root; user id {self.uid} may only ask"
            raise ControlError(text, ExitCode.UNREACHABLE)


Answer: TypeAlias = Mapping[str, Any] | AsyncGenerator[Mapping[str, Any], None]
Handler: TypeAlias = Callable[[Request], Awaitable[Answer]]
"""Answers with one mapping, or with many as they come. Raises ControlError for what the asker should read."""


async def serve_control(
    path: str,
    handler: Handler,
    *,
    mode: int,
    group: str,
    owner_uid: int,
    log: Log,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve until cancelled; started once the socket listens. Raises ControlPathError (exit code 2) before that.

    `owner_uid` is the user of this process.
    """
    with listening(path, mode=mode, group=group) as listener:
        server = _Server(handler, owner_uid, log)
        async with trio.open_nursery() as nursery:
            task_status.started()
            await server.accept(trio.socket.from_stdlib_socket(listener), nursery)


class _Server:
    def __init__(self, handler: Handler, owner_uid: int, log: Log) -> None:
        self._handler = handler
        self._owner_uid = owner_uid
        self._log = log
        self._connections = 0

    async def accept(self, listener: trio.socket.SocketType, nursery: trio.Nursery) -> None:
        refused = False
        while True:
            try:
                connection, _ = await listener.accept()
            except OSError as error:  # too many open files, or a caller that left
                if not refused:
                    self._log.warning("control.accept_failed", error=error.strerror)
                refused = True
                await trio.sleep(_ACCEPT_PAUSE_S)
                continue
            refused = False
            nursery.start_soon(self._serve, trio.SocketStream(connection))

    async def _serve(self, stream: trio.SocketStream) -> None:
        """One connection, from its first request to its end; raises nothing."""
        self._connections += 1
        try:
            async with stream:
                await self._converse(stream)
        except (trio.BrokenResourceError, trio.ClosedResourceError, OSError):
            pass  # they left; nobody is there to be told
        finally:
            self._connections -= 1

    async def _converse(self, stream: trio.SocketStream) -> None:
        lines = _Lines(stream)
        try:
            uid = peer_uid(stream.socket)
            administrator = uid in (0, self._owner_uid)
            if self._connections > CONNECTIONS_MAX - (0 if administrator else CONNECTIONS_RESERVED):
                raise ControlError("too many control connections; try again", ExitCode.UNREACHABLE)
            while (line := await lines.next()) is not None:
                verb, arguments, deadline_s = _parse(line)
                await self._answer(stream, Request(verb, arguments, administrator, uid), deadline_s)
        except ControlError as error:  # what was sent was no request: what follows it cannot be trusted to be one
            await _send(stream, _error(error))

    async def _answer(self, stream: trio.SocketStream, request: Request, deadline_s: float) -> None:
        """Answer one request, or say why not; the connection goes on."""
        try:
            with trio.move_on_after(deadline_s) as scope:
                answer = await self._handler(request)
            if scope.cancelled_caught:
                text = f"{request.verb} did not finish within {deadline_s:g} s"
                raise ControlError(text, ExitCode.UNFINISHED)
            if isinstance(answer, Mapping):
                await _send(stream, {**answer, "ok": True})
            else:
                await _stream(stream, answer)
        except ControlError as error:
            await _send(stream, _error(error))
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            raise
        except Exception as error:  # noqa: BLE001 - one verb's mistake must not stop the program
            self._log.alarm("control.handler_failed", verb=request.verb, error=repr(error))
            text = f"internal error in {request.verb} ({type(error).__name__}); the log says more"
            await _send(stream, _error(ControlError(text, ExitCode.INTERNAL)))


# -- lines in -----------------------------------------------------------------------------------------------------


class _Lines:
    """Splits what arrives into lines, each within its bounds."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream
        self._buffer = bytearray()
        self._idle_timeout_s = REQUEST_TIMEOUT_S  # whoever connects has something to ask at once

    async def next(self) -> bytes | None:
        """The next line without its end; None when the asker left or stays silent between requests."""
        if not self._buffer:
            with trio.move_on_after(self._idle_timeout_s):
                if not await self._more():
                    return None
        self._idle_timeout_s = IDLE_TIMEOUT_S
        if not self._buffer:
            return None
        with trio.move_on_after(REQUEST_TIMEOUT_S):
            searched = 0
            while (end := self._buffer.find(b"\n", searched)) < 0:
                searched = len(self._buffer)
                if searched > REQUEST_BYTES_MAX:
                    raise ControlError(f"a request is at most {REQUEST_BYTES_MAX} bytes long", ExitCode.USAGE)
                if not await self._more():
                    raise ControlError("the request has no end (a line feed)", ExitCode.USAGE)
            line = bytes(self._buffer[:end])
            del self._buffer[: end + 1]
            return line
        raise ControlError(f"the request did not end within {REQUEST_TIMEOUT_S:g} s", ExitCode.USAGE)

    async def _more(self) -> bool:
        data = await self._stream.receive_some(REQUEST_BYTES_MAX)
        self._buffer += data
        return bool(data)


def _parse(line: bytes) -> tuple[str, dict[str, Any], float]:
    """The verb, its arguments and the deadline of one request. Raises ControlError."""
    try:
        request = json.loads(line.decode(), parse_constant=_refuse_constant)
        json.dumps(request, ensure_ascii=False).encode()  # half a surrogate pair is no text
    except (ValueError, RecursionError):
        raise ControlError("a request is one line of JSON", ExitCode.USAGE) from None
    if not isinstance(request, dict) or not isinstance(request.get("verb"), str):
        raise ControlError('a request is a JSON object with a "verb"', ExitCode.USAGE)
    deadline_s = request.pop("deadline_s", ANSWER_TIMEOUT_S)
    if isinstance(deadline_s, bool) or not isinstance(deadline_s, int | float) or not 0 < deadline_s <= DEADLINE_S_MAX:
        raise ControlError(f'"deadline_s" is a number of seconds up to {DEADLINE_S_MAX:g}', ExitCode.USAGE)
    return request.pop("verb"), request, float(deadline_s)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


# -- lines out ----------------------------------------------------------------------------------------------------


async def _send(stream: trio.SocketStream, answer: Mapping[str, Any]) -> None:
    """One line. Raises BrokenResourceError when it is not taken in time."""
    line = json.dumps(answer, separators=(",", ":"), allow_nan=False).encode() + b"\n"
    with trio.move_on_after(WRITE_TIMEOUT_S) as scope:
        await stream.send_all(line)
    if scope.cancelled_caught:
        raise trio.BrokenResourceError("the asker does not read")


def _error(error: ControlError) -> dict[str, Any]:
    return {"ok": False, "error": str(error), "code": int(error.code)}


async def _stream(stream: trio.SocketStream, answers: AsyncGenerator[Mapping[str, Any], None]) -> None:
    """Pass on what comes until it ends or the asker is gone."""
    failure: Exception | None = None
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_cancel_at_hangup, stream.socket, nursery.cancel_scope)
        try:
            async with aclosing(answers):
                async for answer in answers:
                    await _send(stream, {**answer, "ok": True, "more": True})
        except Exception as error:  # noqa: BLE001 - raised below: leaving the nursery it would be wrapped
            failure = error
        nursery.cancel_scope.cancel()
    if failure is not None:
        raise failure
    await _send(stream, {"ok": True})


async def _cancel_at_hangup(connection: trio.socket.SocketType, scope: trio.CancelScope) -> None:
    """Cancel `scope` when the other side is gone for good.

    A watcher to whom nothing happens would never be noticed leaving. Having sent its last byte is not leaving
    (`nc -N` closes its half at once), so reading would not tell; the poll asks for nothing and hears of hang-up only.
    """
    poll = select.poll()
    poll.register(connection.fileno(), 0)
    while not poll.poll(0):  # noqa: ASYNC110 - the kernel sets no Event
        await trio.sleep(_HANGUP_CHECK_S)
    scope.cancel()
