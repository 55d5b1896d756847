"""A helper between squid and the daemon, both played by the test."""

import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest

from proxyagent.integrations.squid.helper import Helper
from proxyagent.integrations.squid.questions import DEADLINE_S
from tests.proxyagent.processes import PATIENCE_S


@attrs.define
class Squid:
    """Both ends of a helper: squid's, and the place where the daemon listens."""

    path: str
    _asks: int
    _hears: int
    _thread: threading.Thread
    code: list[int]

    def ask(self, data: bytes) -> None:
        os.write(self._asks, data)

    def hear(self) -> bytes:
        """What the helper writes next, in one piece."""
        return os.read(self._hears, 1 << 20)

    def stop_reading(self) -> None:
        """Close the helper's output."""
        os.close(self._hears)
        self._hears = -1

    def leave(self) -> int:
        """Close the helper's input; returns its exit code."""
        os.close(self._asks)
        self._asks = -1
        return self.ended()

    def ended(self) -> int:
        """Wait until the helper has ended; returns its exit code."""
        self._thread.join(PATIENCE_S)
        return self.code[0]

    def close(self) -> None:
        """Whatever is still open."""
        for descriptor in {self._asks, self._hears} - {-1}:
            os.close(descriptor)
        self._thread.join(PATIENCE_S)

    def listen(self) -> socket.socket:
        """As the daemon does."""
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(self.path)
        listener.listen()
        listener.settimeout(PATIENCE_S)
        return listener


@pytest.fixture
def squid(tmp_path: Path) -> Iterator[Squid]:
    """A helper that serves; nobody is the daemon yet."""
    (stdin, squids_in), (squids_out, stdout) = os.pipe(), os.pipe()
    path, code = str(tmp_path / "s"), list[int]()
    helper = Helper("session", lambda: path, squid=stdin, answers=stdout)
    thread = threading.Thread(target=lambda: code.append(helper.serve()))
    thread.start()
    played = Squid(path, squids_in, squids_out, thread, code)
    yield played
    played.close()
    for descriptor in (stdin, stdout):
        os.close(descriptor)


def converse(listener: socket.socket) -> socket.socket:
    """The helper's connection."""
    connection, _ = listener.accept()
    connection.settimeout(PATIENCE_S)
    return connection


def test_questions_go_there_and_answers_come_back_together(squid: Squid) -> None:
    """What the daemon answers in one piece squid gets in one piece; at the end of its input the helper ends with 0."""
    with squid.listen() as listener:
        squid.ask(b"3 10.0.0.1 -\n4 10.0.0.2 -\n")
        with converse(listener) as daemon:
            assert daemon.recv(1000) == b"1 session 10.0.0.1 -\n2 session 10.0.0.2 -\n"
            daemon.sendall(b"2 ERR\n1 OK user=alice\n")
            assert squid.hear() == b"4 ERR\n3 OK user=alice\n"
            assert squid.leave() == 0


def test_what_was_asked_is_answered_before_the_end(squid: Squid) -> None:
    """Squid may close the helper's input first; and without a daemon the answer is ERR, in time."""
    squid.ask(b"1 10.0.0.1 -\n")
    assert squid.leave() == 0
    assert squid.hear() == b"1 ERR\n"


def test_a_daemon_that_comes_back_is_asked_again(squid: Squid) -> None:
    """The question whose daemon died half-way through its answer is answered by the next one."""
    with squid.listen() as listener:
        squid.ask(b"1 10.0.0.1 -\n")
        with converse(listener) as daemon:
            assert daemon.recv(1000) == b"1 session 10.0.0.1 -\n"
            daemon.sendall(b"1 OK us")
        with converse(listener) as daemon:
            assert daemon.recv(1000) == b"1 session 10.0.0.1 -\n"
            daemon.sendall(b"1 OK user=alice\n")
            assert squid.hear() == b"1 OK user=alice\n"
            assert squid.leave() == 0


def test_one_that_stands_still_costs_its_deadline_and_no_more(squid: Squid) -> None:
    """A daemon that accepts and says nothing: ERR, and a new connection for the next question."""
    with squid.listen() as listener:
        squid.ask(b"1 10.0.0.1 -\n")
        with converse(listener) as silent:
            assert squid.hear() == b"1 ERR\n"
            assert silent.recv(1000) == b"1 session 10.0.0.1 -\n"
            assert silent.recv(1000) == b""
        squid.ask(b"1 10.0.0.1 -\n")
        with converse(listener) as daemon:
            assert daemon.recv(1000) == b"2 session 10.0.0.1 -\n"
            daemon.sendall(b"1 OK user=mallory\n2 OK user=alice\n")
            assert squid.hear() == b"1 OK user=alice\n"
            assert squid.leave() == 0
    assert DEADLINE_S == 1.0


def test_a_squid_that_reads_no_more_ends_it(squid: Squid) -> None:
    """With its output gone there is nobody to serve, its input open or not."""
    squid.stop_reading()
    squid.ask(b"1 10.0.0.1 -\n")
    assert squid.ended() == 0
