"""Asking a control socket: light to import, one line for everything that can go wrong."""

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from protocol.io.control_client import PATH_BYTES_MAX, ControlError, ExitCode, ask, ask_for_many, understood
from protocol.mistakes import Mistake, MistakesFound


@contextmanager
def answering(folder: Path, *lines: bytes, hold: bool = False) -> Iterator[tuple[str, list[bytes]]]:
    """A server that reads one request and says `lines`; its path and what it was asked."""
    path = str(folder / "a.sock")
    asked: list[bytes] = []
    done = threading.Event()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                asked.append(connection.makefile("rb").readline())
                connection.sendall(b"".join(lines))
                if hold:
                    done.wait(10)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield path, asked
        finally:
            done.set()
            thread.join(10)


def failure(question: Callable[[], object]) -> ControlError:
    with pytest.raises(ControlError) as caught:
        question()
    assert "\n" not in str(caught.value)
    return caught.value


def test_a_question_is_one_line(tmp_path: Path) -> None:
    """Verb and arguments go out as one line of JSON, the answer comes back without the words of the language."""
    with answering(tmp_path, b'{"ok":true,"role":"master"}\n') as (path, asked):
        assert ask(path, "status", key="10.0.0.1\n") == {"role": "master"}
    assert json.loads(asked[0]) == {"verb": "status", "key": "10.0.0.1\n"}


def test_many_lines_come_one_by_one(tmp_path: Path) -> None:
    """Each line that says something is given; a last one that says nothing only ends it."""
    lines = (b'{"ok":true,"more":true,"n":1}\n', b'{"ok":true,"more":true,"n":2}\n', b'{"ok":true}\n')
    with answering(tmp_path, *lines) as (path, _):
        assert list(ask_for_many(path, "sessions")) == [{"n": 1}, {"n": 2}]


def test_an_error_keeps_its_exit_code(tmp_path: Path) -> None:
    """What the program refuses is raised with its text and exit code, in the middle of a stream too."""
    lines = (b'{"ok":true,"more":true,"n":1}\n', b'{"ok":false,"error":"proxy2 is pending","code":4}\n')
    with answering(tmp_path, *lines) as (path, _):
        error = failure(lambda: ask(path, "logout"))
    assert (str(error), error.code) == ("proxy2 is pending", ExitCode.UNFINISHED)


@pytest.mark.parametrize(
    ("line", "code", "says"),
    [
        (b"", ExitCode.UNREACHABLE, "closed before the answer"),
        (b'{"ok":true', ExitCode.INTERNAL, "does not speak our language"),
        (b"HTTP/1.1 400 Bad Request\r\n", ExitCode.INTERNAL, "does not speak our language"),
        (b"[]\n", ExitCode.INTERNAL, "does not speak our language"),
        (b"\xff\xfe\n", ExitCode.INTERNAL, "does not speak our language"),
        (b"{}\n", ExitCode.INTERNAL, "no reason given"),
        (b'{"a":' + b"[" * 5_000 + b"\n", ExitCode.INTERNAL, "does not speak our language"),
        (b'{"a":1' + b"0" * 5_000 + b"}\n", ExitCode.INTERNAL, "does not speak our language"),
        (b'{"error":"x","code":"3"}\n', ExitCode.INTERNAL, "x"),
        (b'{"error":"x","code":0}\n', ExitCode.INTERNAL, "x"),
        (b'{"error":"x","code":1e999}\n', ExitCode.INTERNAL, "x"),
        (b'{"error":"x","code":[]}\n', ExitCode.INTERNAL, "x"),
        (b'{"error":"x","code":5}\n', ExitCode.INTERNAL, "x"),
    ],
    ids=range(13),
)
def test_whatever_answers_is_told_in_one_line(tmp_path: Path, line: bytes, code: int, says: str) -> None:
    """Strange answers are errors with an exit code, never a traceback."""
    with answering(tmp_path, line) as (path, _):
        error = failure(lambda: ask(path, "status"))
    assert error.code == code and says in str(error)


@pytest.mark.parametrize("error", [KeyError("term"), TypeError("x"), ValueError("x"), OverflowError("x")], ids=repr)
def test_an_answer_that_is_not_understood_is_an_error_of_one_line(error: Exception) -> None:
    """With what is missing; a mistake of the operator's stays one."""

    def raising(given: Exception) -> int:
        raise given

    told = failure(lambda: understood(raising)(error))
    assert told.code == ExitCode.INTERNAL and repr(error) in str(told)
    mistakes = MistakesFound("authagent.toml", [Mistake("port", "x")])
    with pytest.raises(MistakesFound):
        understood(raising)(mistakes)
    assert understood(lambda: 3)() == 3


def test_silence_has_an_end(tmp_path: Path) -> None:
    """No answer in time is exit code 4."""
    with answering(tmp_path, hold=True) as (path, _):
        error = failure(lambda: ask(path, "status", timeout_s=0.05))
    assert error.code == ExitCode.UNFINISHED and "within 0.05 s" in str(error)


def test_nobody_there_is_told_apart(tmp_path: Path) -> None:
    """No file, and a file whose maker is gone, are both exit code 3 with what is the matter."""
    path = str(tmp_path / "a.sock")
    assert "no such file" in str(failure(lambda: ask(path, "status")))
    assert "no such file" in str(failure(lambda: ask(f"{path}\udcff", "status"))), "a path need not be text"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(path)
    error = failure(lambda: ask(path, "status"))
    assert error.code == ExitCode.UNREACHABLE and "has ended" in str(error)


@pytest.mark.skipif(os.geteuid() != 0, reason="becoming another user takes root")
def test_not_permitted_is_told_apart() -> None:
    """A socket that the mode keeps one out of is exit code 3, and the line says what could be done."""
    path = f"/tmp/control-client-test-{os.getpid()}.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        try:
            listener.bind(path)
            os.chmod(path, 0o600)
            listener.listen()
            os.seteuid(65534)
            try:
                error = failure(lambda: ask(path, "status"))
            finally:
                os.seteuid(0)
        finally:
            os.unlink(path)
    assert error.code == ExitCode.UNREACHABLE and "not permitted" in str(error)


def test_what_cannot_be_sent_is_not(tmp_path: Path) -> None:
    """A request over its bound and a path over the system's are usage errors, found before anything is sent."""
    path = str(tmp_path / "a.sock")
    assert failure(lambda: ask(path, "login", user="x" * 70_000)).code == ExitCode.USAGE
    error = failure(lambda: ask("/" + "a" * PATH_BYTES_MAX, "status"))
    assert error.code == ExitCode.USAGE and "107" in str(error)


def test_it_is_light() -> None:
    """Importing it brings in none of the heavy libraries, not even typing, and no more than 60 modules."""
    code = (
        "import sys; before = set(sys.modules); import protocol.io.control_client;"
        "print(' '.join(sorted(set(sys.modules) - before)))"
    )
    root = Path(__file__).resolve().parents[3]
    command = [sys.executable, "-I", "-c", f"import sys; sys.path[:0] = [{str(root)!r}]; {code}"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    loaded = set(done.stdout.split())
    assert "protocol.io.control_client" in loaded
    heavy = {"trio", "attr", "attrs", "structlog", "rich", "cattrs", "msgpack", "click", "typing", "asyncio"}
    assert not loaded & heavy
    assert len(loaded) < 60, sorted(loaded)
