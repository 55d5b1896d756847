"""The listening side of a control socket, over real sockets: answers, streams, bounds, hostile input."""

import json
import os
import socket
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

from protocol.io import control
from protocol.io.control import Answer, Request, serve_control
from protocol.io.control_client import REQUEST_BYTES_MAX, ControlError, ExitCode
from protocol.io.log import Log, Severity

AS_ROOT = os.geteuid() == 0
TIMEOUT_S = 5.0


class Program:
    """A program behind a control socket, with a verb for every way of answering."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.streams = 0
        self.events: list[str] = []
        self.log = Log(self._line, level=2, monotonic_s=lambda: 0.0)
        self.path = ""

    def _line(self, severity: Severity, event: str, values: Mapping[str, object]) -> None:
        self.events.append(event)

    async def handle(self, request: Request) -> Answer:
        self.requests.append(request)
        match request.verb:
            case "echo":
                return dict(request.arguments)
            case "count":
                return self._count(int(request.arguments["to"]))
            case "watch":
                return self._watch()
            case "flood":
                return self._flood()
            case "half":
                return self._half()
            case "logout":
                request.require_administrator()
                return {"done": True}
            case "sleep":
                await trio.sleep_forever()
            case "bug":
                raise KeyError("secret detail")
        raise ControlError(f"unknown verb {request.verb}", ExitCode.USAGE)

    async def _count(self, to: int) -> AsyncGenerator[Mapping[str, Any], None]:
        for number in range(to):
            yield {"number": number}

    async def _watch(self) -> AsyncGenerator[Mapping[str, Any], None]:
        self.streams += 1
        try:
            yield {"event": "first"}
            await trio.sleep_forever()
        finally:
            self.streams -= 1

    async def _flood(self) -> AsyncGenerator[Mapping[str, Any], None]:
        self.streams += 1
        try:
            while True:
                yield {"text": "x" * 10_000}
        finally:
            self.streams -= 1

    async def _half(self) -> AsyncGenerator[Mapping[str, Any], None]:
        yield {"number": 1}
        raise ControlError("the other half is missing", ExitCode.UNFINISHED)


@asynccontextmanager
async def serving(folder: Path, mode: int = 0o600) -> AsyncIterator[Program]:
    """A program that serves in `folder`, and must still serve in the end."""
    program = Program()
    program.path = str(folder / "a.sock")
    async with trio.open_nursery() as nursery:

        async def serve(task_status: trio.TaskStatus[None]) -> None:
            await serve_control(
                program.path,
                program.handle,
                mode=mode,
                group="",
                owner_uid=os.geteuid(),
                log=program.log,
                task_status=task_status,
            )

        await nursery.start(serve)
        yield program
        async with client(program) as after:
            assert await ask(after, {"verb": "echo", "still": "here"}) == [{"still": "here", "ok": True}]
        nursery.cancel_scope.cancel()


class Client:
    """One connection and its lines."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream = stream
        self._buffer = b""

    async def line(self) -> dict[str, Any] | None:
        """The next line; None at the end."""
        with trio.fail_after(TIMEOUT_S):
            while b"\n" not in self._buffer:
                data = await self.stream.receive_some()
                if not data:
                    assert not self._buffer
                    return None
                self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\n")
        answer = json.loads(line)
        assert isinstance(answer, dict)
        return answer


@asynccontextmanager
async def client(program: Program) -> AsyncIterator[Client]:
    async with trio.SocketStream(trio.socket.socket(socket.AF_UNIX)) as stream:
        await stream.socket.connect(program.path)
        yield Client(stream)


async def ask(asker: Client, request: Mapping[str, Any]) -> list[dict[str, Any]]:
    """All lines of the answer to one request."""
    await asker.stream.send_all(json.dumps(request).encode() + b"\n")
    answers = []
    while (answer := await asker.line()) is not None:
        answers.append(answer)
        if not answer.get("more"):
            break
    return answers


# -- answers ------------------------------------------------------------------------------------------------------


async def test_one_connection_carries_one_request_after_another(tmp_path: Path) -> None:
    """Answers come in order on one connection, also to requests that were sent together."""
    async with serving(tmp_path) as program, client(program) as asker:
        for number in range(3):
            assert await ask(asker, {"verb": "echo", "n": number}) == [{"n": number, "ok": True}]
        await asker.stream.send_all(b'{"verb":"echo","n":8}\n{"verb":"echo","n":9}\n')
        assert [await asker.line(), await asker.line()] == [{"n": 8, "ok": True}, {"n": 9, "ok": True}]


async def test_a_stream_marks_all_lines_but_the_last(tmp_path: Path) -> None:
    """Each line of a stream says that more follows, the last that none does; then the connection goes on."""
    async with serving(tmp_path) as program, client(program) as asker:
        answers = await ask(asker, {"verb": "count", "to": 3})
        assert [answer.get("number") for answer in answers] == [0, 1, 2, None]
        assert [answer.get("more", False) for answer in answers] == [True, True, True, False]
        assert (await ask(asker, {"verb": "echo"})) == [{"ok": True}]


async def test_a_stream_may_end_in_an_error(tmp_path: Path) -> None:
    """What goes wrong in the middle is the last line."""
    async with serving(tmp_path) as program, client(program) as asker:
        assert (await ask(asker, {"verb": "half"}))[-1] == {
            "ok": False,
            "error": "the other half is missing",
            "code": 4,
        }


async def test_an_error_costs_nothing_but_its_answer(tmp_path: Path) -> None:
    """An error of the handler's is one line with the exit code; the connection goes on."""
    async with serving(tmp_path) as program, client(program) as asker:
        assert await ask(asker, {"verb": "dance"}) == [{"ok": False, "error": "unknown verb dance", "code": 2}]
        assert await ask(asker, {"verb": "echo"}) == [{"ok": True}]


async def test_a_mistake_of_ours_is_alarmed_and_its_text_kept_in(tmp_path: Path) -> None:
    """An unexpected exception in a verb becomes exit code 70 and an alarm; the server goes on."""
    async with serving(tmp_path) as program, client(program) as asker:
        (answer,) = await ask(asker, {"verb": "bug"})
        assert answer["code"] == 70 and "KeyError" in answer["error"] and "secret" not in answer["error"]
        assert program.events == ["control.handler_failed"]


async def test_an_answer_has_a_deadline(tmp_path: Path) -> None:
    """A verb that does not end in the time that was asked for gets exit code 4."""
    async with serving(tmp_path) as program, client(program) as asker:
        (answer,) = await ask(asker, {"verb": "sleep", "deadline_s": 0.05})
        assert answer == {"ok": False, "error": "sleep did not finish within 0.05 s", "code": 4}
        assert "deadline_s" not in program.requests[0].arguments


async def test_a_request_may_be_the_last_word(tmp_path: Path) -> None:
    """A client that closes its sending half behind its request (nc -N) still gets its answer, streams included."""
    async with serving(tmp_path) as program, client(program) as asker:
        await asker.stream.send_all(b'{"verb":"watch"}\n')
        await asker.stream.send_eof()
        assert await asker.line() == {"event": "first", "ok": True, "more": True}
        await trio.sleep(control._HANGUP_CHECK_S * 1.2)
        assert program.streams == 1


async def test_a_watcher_that_leaves_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stream to which nothing happens ends when its client is gone."""
    monkeypatch.setattr(control, "_HANGUP_CHECK_S", 0.01)
    async with serving(tmp_path) as program:
        async with client(program) as asker:
            await asker.stream.send_all(b'{"verb":"watch"}\n')
            await asker.line()
            assert program.streams == 1
        await _until(lambda: program.streams == 0)


async def test_a_watcher_that_does_not_read_is_let_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that takes no lines loses its connection, and the stream ends."""
    monkeypatch.setattr(control, "WRITE_TIMEOUT_S", 0.05)
    async with serving(tmp_path) as program, client(program) as asker:
        await asker.stream.send_all(b'{"verb":"flood"}\n')
        await _until(lambda: program.streams == 1)
        await _until(lambda: program.streams == 0)


# -- who may what -------------------------------------------------------------------------------------------------


async def test_the_owner_may_administer(tmp_path: Path) -> None:
    """The user of the program itself may change things, and the handler learns who it was."""
    async with serving(tmp_path) as program, client(program) as asker:
        assert await ask(asker, {"verb": "logout"}) == [{"done": True, "ok": True}]
        assert program.requests[0].may_administer and program.requests[0].uid == os.geteuid()


@pytest.mark.skipif(not AS_ROOT, reason="becoming another user takes root")
async def test_others_may_ask_and_report_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another user is kept out by the mode; let in by it, may ask but not administer, and cannot lock out the owner."""
    monkeypatch.setattr(control, "CONNECTIONS_MAX", 6)
    monkeypatch.setattr(control, "CONNECTIONS_RESERVED", 2)
    folder = Path(f"/tmp/control-test-{os.getpid()}")
    folder.mkdir()
    try:
        async with serving(folder) as program:
            with pytest.raises(PermissionError):
                _connect_as(65534, program.path)
        async with serving(folder, mode=0o666) as program:
            held = [trio.SocketStream(_connect_as(65534, program.path)) for _ in range(6)]
            first = Client(held[0])
            assert await ask(first, {"verb": "echo"}) == [{"ok": True}]
            (answer,) = await ask(first, {"verb": "logout", "may_administer": True, "uid": 0})
            assert answer["code"] == 3 and "user id 65534 may only ask" in answer["error"]
            assert not program.requests[-1].may_administer
            refused = [await Client(stream).line() for stream in held[4:]]
            assert [line and line["code"] for line in refused] == [3, 3]
            async with client(program) as owner:
                assert await ask(owner, {"verb": "logout"}) == [{"done": True, "ok": True}]
            for stream in held:
                await stream.aclose()
    finally:
        for left in folder.iterdir():
            left.unlink()
        folder.rmdir()


def _connect_as(uid: int, path: str) -> trio.socket.SocketType:
    """Connect with the user id of somebody else: the kernel notes whose it was when it connected."""
    connection = socket.socket(socket.AF_UNIX)
    os.seteuid(uid)
    try:
        connection.connect(path)
    except OSError:
        connection.close()
        raise
    finally:
        os.seteuid(0)
    return trio.socket.from_stdlib_socket(connection)


# -- hostile input ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sent", "says"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", "one line of JSON"),
        (b"\n", "one line of JSON"),
        (b"\x00\xff\xfe\n", "one line of JSON"),
        (b"[" * 60_000 + b"\n", "one line of JSON"),
        (b'{"verb":' * 5_000 + b"\n", "one line of JSON"),
        (b'{"verb":"echo","n":' + b"9" * 5_000 + b"}\n", "one line of JSON"),
        (b'{"verb":"echo","n":NaN}\n', "one line of JSON"),
        (b'{"verb":"echo","key":"\\ud800"}\n', "one line of JSON"),
        (b"[1, 2]\n", 'a JSON object with a "verb"'),
        (b'{"verb":7}\n', 'a JSON object with a "verb"'),
        (b"{}\n", 'a JSON object with a "verb"'),
        (b'{"verb":"echo","deadline_s":-1}\n', '"deadline_s" is a number'),
        (b'{"verb":"echo","deadline_s":1e9}\n', '"deadline_s" is a number'),
        (b'{"verb":"echo","deadline_s":true}\n', '"deadline_s" is a number'),
        (b"x" * (REQUEST_BYTES_MAX + 1), "at most 65536 bytes"),
    ],
)
async def test_garbage_gets_a_line_and_loses_its_connection(tmp_path: Path, sent: bytes, says: str) -> None:
    """Whatever is no request is answered with one line of error, exit code 2, and the end of the connection."""
    async with serving(tmp_path) as program, client(program) as asker:
        await asker.stream.send_all(sent)
        answer = await asker.line()
        assert answer is not None and answer["code"] == 2 and says in answer["error"]
        assert await asker.line() is None
        assert program.requests == []


async def test_a_request_that_never_ends_is_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a request and then silence gets a line; a connection that says nothing at all is closed."""
    monkeypatch.setattr(control, "REQUEST_TIMEOUT_S", 0.05)
    async with serving(tmp_path) as program:
        async with client(program) as asker:
            await asker.stream.send_all(b'{"verb"')
            answer = await asker.line()
            assert answer is not None and "did not end within" in answer["error"]
        async with client(program) as silent:
            assert await silent.line() is None


async def test_a_thousand_connections_at_once_are_survived(tmp_path: Path) -> None:
    """Beyond the bound each connection gets a line that says so; when they are gone, there is room again."""
    async with serving(tmp_path) as program:
        streams: list[trio.SocketStream] = []
        refused = 0
        for _ in range(1_000 // 50):
            for _ in range(50):
                stream = trio.SocketStream(trio.socket.socket(socket.AF_UNIX))
                await stream.socket.connect(program.path)
                streams.append(stream)
            await trio.testing.wait_all_tasks_blocked(0.01)
        for stream in streams[control.CONNECTIONS_MAX :]:
            line = await Client(stream).line()
            refused += line is not None and "too many control connections" in line["error"]
        assert refused == 1_000 - control.CONNECTIONS_MAX
        for stream in streams:
            await stream.aclose()


async def test_a_client_that_vanishes_in_the_middle_disturbs_nobody(tmp_path: Path) -> None:
    """Connections that close at once, in the middle of a request, or before reading, leave the server as it was."""
    async with serving(tmp_path) as program:
        for sent in (b"", b'{"verb":', b'{"verb":"count","to":100000}\n', b'{"verb":"echo"}\n'):
            async with client(program) as asker:
                await asker.stream.send_all(sent)
        assert "control.handler_failed" not in program.events


async def _until(condition: Any) -> None:
    with trio.fail_after(TIMEOUT_S):
        while not condition():
            await trio.sleep(0.002)
