"""The writer's thread: what it groups, what it drops, what it tells."""

import queue
import threading
from collections.abc import Iterator, Sequence
from typing import Any, cast

import pytest

from authagent.store_file import StoreFile
from authagent.store_writer import GROUP_BYTES_MAX, Answered, Call, Failed, News, NoFile, Payload, Writer, Written


class SlowFile:
    """A file that lets the test decide when a commit returns, and how."""

    def __init__(self) -> None:
        self.groups: list[list[bytes]] = []
        self.entered = threading.Event()
        self.gate = threading.Event()
        self.error: Exception | None = None
        self.closed = False

    def append(self, payloads: Sequence[bytes]) -> int:
        self.entered.set()
        assert self.gate.wait(10)
        if self.error is not None:
            raise self.error
        self.groups.append(list(payloads))
        return sum(map(len, payloads))

    def close(self) -> None:
        self.closed = True


class Bench:
    """A running writer over a SlowFile."""

    def __init__(self) -> None:
        self.news: queue.Queue[News] = queue.Queue()
        self.file = SlowFile()
        self.writer = Writer(self.news.put)
        self.writer.start()
        self.call(lambda writer: setattr(writer, "file", cast(StoreFile, self.file)), needs_file=False)

    def call(self, function: Any, needs_file: bool = True) -> Any:
        self.writer.put(Call(function, lambda answer: None, needs_file))
        news = self.next()
        assert isinstance(news, Answered)
        return news.answer

    def next(self) -> News:
        return self.news.get(timeout=10)


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    made.file.gate.set()
    made.writer.stop()
    assert made.writer.join(10)


def payload(position: int, size: int = 10) -> Payload:
    return Payload(position, bytes([position % 256]) * size)


def test_what_gathers_during_a_commit_is_the_next_group(bench: Bench) -> None:
    """One hundred payloads that arrive while one is committed are committed together, and told once."""
    bench.writer.put(payload(0))
    assert bench.file.entered.wait(10)
    for position in range(1, 101):
        bench.writer.put(payload(position))
    bench.file.gate.set()
    assert bench.next() == Written(0, 1, 10, 10, True)
    assert bench.next() == Written(100, 100, 1000, 1000, True)
    assert [len(group) for group in bench.file.groups] == [1, 100]


def test_a_group_has_a_bound(bench: Bench) -> None:
    """A group ends when it holds 1 MiB, however much waits behind it."""
    bench.writer.put(payload(0))
    assert bench.file.entered.wait(10)
    for position in range(1, 13):
        bench.writer.put(payload(position, GROUP_BYTES_MAX // 4))
    bench.file.gate.set()
    bench.next()
    told = [bench.next(), bench.next(), bench.next()]
    assert [news.payloads for news in told if isinstance(news, Written)] == [4, 4, 4]


def test_calls_keep_their_place_among_payloads(bench: Bench) -> None:
    """A call is done after the payloads before it and before those behind it."""
    bench.writer.put(payload(0))
    assert bench.file.entered.wait(10)
    bench.writer.put(payload(1))
    bench.writer.put(Call(lambda writer: len(bench.file.groups), lambda answer: None, True))
    bench.writer.put(payload(2))
    bench.file.gate.set()
    assert [type(bench.next()).__name__ for _ in range(4)] == ["Written", "Written", "Answered", "Written"]
    assert bench.file.groups == [[b"\0" * 10], [b"\1" * 10], [b"\2" * 10]]


def test_after_a_failure_everything_is_dropped_until_it_is_mended(bench: Bench) -> None:
    """A failed commit is told as not stored, and so is all that follows, until a call gives a file again."""
    bench.file.error = OSError(28, "No space left on device")
    bench.file.gate.set()
    bench.writer.put(payload(1))
    assert bench.next() == Failed(bench.file.error)
    assert bench.next() == Written(1, 1, 10, 0, False)
    assert bench.file.closed
    bench.writer.put(payload(2))
    assert bench.next() == Written(2, 1, 10, 0, False)
    assert isinstance(bench.call(lambda writer: 1), NoFile)
    bench.file.error = None
    bench.call(lambda writer: setattr(writer, "file", cast(StoreFile, bench.file)), needs_file=False)
    bench.writer.put(payload(3))
    assert bench.next() == Written(3, 1, 10, 10, True)
    assert bench.file.groups == [[b"\3" * 10]]


def test_a_call_that_raises_breaks_the_file_and_answers_with_its_error(bench: Bench) -> None:
    """An exception inside a call goes back to the caller, and nothing counts as stored after it."""

    def fail(writer: Writer) -> None:
        raise OSError(5, "Input/output error")

    bench.writer.put(Call(fail, lambda answer: None, True))
    assert isinstance(bench.next(), Failed)
    answered = bench.next()
    assert isinstance(answered, Answered) and isinstance(answered.answer, OSError)
    assert bench.writer.file is None


def test_stopping_writes_what_waits_first() -> None:
    """Everything that was put before the stop is committed, and the file is closed."""
    bench = Bench()
    bench.file.gate.set()
    for position in range(50):
        bench.writer.put(payload(position))
    bench.writer.stop()
    assert bench.writer.join(10)
    assert sum(map(len, bench.file.groups)) == 50
    assert bench.file.closed


def test_the_thread_keeps_no_process_alive() -> None:
    """A disk that never answers must not keep an agent from ending."""
    assert Writer(lambda news: None)._thread.daemon
