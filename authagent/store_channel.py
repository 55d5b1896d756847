"""The trio side of the writer's thread: commands go over, news comes back into the loop.

Rules of this file:

- Here is counted what waits for the disk, and since when; what follows from it is decided in authagent.store.
- News arrives in the order in which the thread told it (trio's run_sync_soon keeps order).
"""

from collections.abc import Callable
from typing import Any, TypeVar

import trio

from authagent.store_writer import Answered, Call, News, Payload, Writer, Written

_PAYLOAD_COST_BYTES = 200  # what one waiting payload takes besides its bytes

Answer = TypeVar("Answer")


class Channel:
    """Made in the loop's thread; `heard` is called there with all news, after it was counted."""

    def __init__(self, heard: Callable[[News], None]) -> None:
        self.queued_bytes = 0
        self._heard = heard
        self._open_calls = 0
        self._last_news_s = 0.0
        self._token = trio.lowlevel.current_trio_token()
        self._writer = Writer(self._tell)
        self._writer.start()

    def write(self, position: int, payload: bytes) -> None:
        """Hand over a payload; never blocks."""
        self._mark_waiting()
        self.queued_bytes += len(payload) + _PAYLOAD_COST_BYTES
        self._writer.put(Payload(position, payload))

    def post(self, function: Callable[[Writer], Any], done: Callable[[Any], None], *, needs_file: bool = True) -> None:
        """Have `function` done by the thread, then `done(answer or exception)` here; never blocks."""
        self._mark_waiting()
        self._open_calls += 1
        self._writer.put(Call(function, done, needs_file))

    async def call(self, function: Callable[[Writer], Answer], *, needs_file: bool = True) -> Answer:
        """Have `function` done by the thread; its answer, or its exception. Cancelled, it is done all the same."""
        answered = trio.Event()
        answers: list[Any] = []

        def done(answer: Any) -> None:
            answers.append(answer)
            answered.set()

        self.post(function, done, needs_file=needs_file)
        await answered.wait()
        if isinstance(answers[0], Exception):
            raise answers[0]
        return answers[0]  # type: ignore[no-any-return]

    def silent_s(self) -> float:
        """For how long something has waited without any news; 0 when nothing waits."""
        if not self.queued_bytes and not self._open_calls:
            return 0.0
        return trio.current_time() - self._last_news_s

    async def close(self, timeout_s: float) -> bool:
        """Let the thread handle what waits and end; False when the disk did not answer in time."""
        self._writer.stop()
        with trio.CancelScope(shield=True):
            ended = await trio.to_thread.run_sync(self._writer.join, timeout_s)
            await trio.lowlevel.checkpoint()  # the last news
        return ended

    def soon(self, function: Callable[[], None]) -> None:
        """Have `function` called by the loop, after what it does now."""
        self._token.run_sync_soon(function)

    def _mark_waiting(self) -> None:
        if not self.queued_bytes and not self._open_calls:
            self._last_news_s = trio.current_time()

    def _tell(self, news: News) -> None:
        """Called by the other thread."""
        try:
            self._token.run_sync_soon(self._arrived, news)
        except trio.RunFinishedError:
            pass  # the program has ended; nobody is left to be told

    def _arrived(self, news: News) -> None:
        self._last_news_s = trio.current_time()
        if isinstance(news, Written):
            self.queued_bytes -= news.payload_bytes + news.payloads * _PAYLOAD_COST_BYTES
        elif isinstance(news, Answered):
            self._open_calls -= 1
        self._heard(news)
        if isinstance(news, Answered):
            news.call.done(news.answer)
