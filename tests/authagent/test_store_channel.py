"""The loop's side of the writer's thread: what waits is counted, and calls come back as what they were."""

import threading

import pytest
import trio
import trio.testing

from authagent.store_channel import Channel
from authagent.store_writer import News, Writer, Written
from tests.authagent.store_memory import until


async def test_calls_give_their_answer_or_their_error() -> None:
    """What the function returns is returned, and what it raises is raised, where the call was made."""
    channel = Channel(lambda news: None)
    try:
        assert await channel.call(lambda writer: 42, needs_file=False) == 42

        def fail(writer: Writer) -> None:
            raise OSError(5, "Input/output error")

        with pytest.raises(OSError, match="Input/output"):
            await channel.call(fail, needs_file=False)
    finally:
        assert await channel.close(5)


async def test_what_waits_is_counted_down_when_it_was_handled() -> None:
    """Bytes count from the write until the news about them, dropped ones too; news comes in the loop's thread."""
    heard: list[News] = []
    threads: set[int] = set()

    def hear(news: News) -> None:
        heard.append(news)
        threads.add(threading.get_ident())

    channel = Channel(hear)
    try:
        channel.write(1, b"x" * 1000)
        assert channel.queued_bytes > 1000
        await until(lambda: channel.queued_bytes == 0)
        assert heard == [Written(1, 1, 1000, 0, False)]
        assert threads == {threading.get_ident()}
    finally:
        assert await channel.close(5)


async def test_silence_is_measured_only_while_something_waits(autojump_clock: trio.testing.MockClock) -> None:
    """An idle channel is never silent; one whose thread is stuck is, for as long as it is."""
    channel = Channel(lambda news: None)
    gate = threading.Event()
    try:
        await trio.sleep(100)
        assert channel.silent_s() == 0.0
        channel.post(lambda writer: gate.wait(20), lambda answer: None, needs_file=False)
        await trio.sleep(7)
        assert channel.silent_s() == pytest.approx(7)
        gate.set()
    finally:
        assert await channel.close(5)
    assert channel.silent_s() == 0.0


async def test_a_thread_that_hangs_does_not_hold_up_the_end() -> None:
    """Closing gives up after its time when the disk does not answer, and says so."""
    channel = Channel(lambda news: None)
    gate = threading.Event()
    channel.post(lambda writer: gate.wait(20), lambda answer: None, needs_file=False)
    assert not await channel.close(0.05)
    gate.set()
    assert await channel.close(5)


class StuckFile:
    """A file whose commits return when the gate opens."""

    def __init__(self, gate: threading.Event) -> None:
        self.gate = gate

    def append(self, payloads: list[bytes]) -> int:
        assert self.gate.wait(20)
        return 1

    def close(self) -> None:
        pass


async def test_a_payload_that_waits_is_silence_too(autojump_clock: trio.testing.MockClock) -> None:
    """Counted from the write, however long nothing happened before; over with the news of it."""
    channel, gate = Channel(lambda news: None), threading.Event()
    try:
        await channel.call(lambda writer: setattr(writer, "file", StuckFile(gate)), needs_file=False)
        await trio.sleep(100)
        assert channel.silent_s() == 0.0
        channel.write(1, b"x")
        await trio.sleep(7)
        assert channel.silent_s() == pytest.approx(7)
        channel.post(lambda writer: None, lambda answer: None, needs_file=False)
        await trio.sleep(1)
        assert channel.silent_s() == pytest.approx(8)
        gate.set()
        await channel.call(lambda writer: None, needs_file=False)
        await trio.sleep(50)
        assert channel.silent_s() == 0.0
    finally:
        gate.set()
        assert await channel.close(5)


async def test_closing_waits_for_what_was_handed_over_even_when_cancelled() -> None:
    """Whoever is cancelled while it closes leaves nothing unwritten behind."""
    heard: list[News] = []
    channel = Channel(heard.append)
    channel.write(1, b"x")
    ended = False
    with trio.CancelScope() as scope:
        scope.cancel()
        ended = await channel.close(5)
    assert ended
    await until(lambda: heard == [Written(1, 1, 1, 0, False)])
