"""Sends what waits for one receiver: in order, signed, again and again until it is taken or its time is up.

Rules of this file:

- Whatever is not answered with 2xx in time is sent again, later each time, for RETRY_FOR_S; then it is dropped and
  counted. A redirect is no 2xx.
- One delivery at a time. Meanwhile further events wait in the queue, within its bound.
- Losses are told once, as an alarm, and once more when the receiver takes events again.
- The address may hold a password: log and status name its scheme and host.
"""

import json
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import TypeAlias
from urllib.parse import urlsplit

import attrs
import trio

from authagent.webhook import signing
from authagent.webhook.queue import Queue
from authagent.webhook.told import Batch, Event, rfc3339
from protocol.io.log import Log
from protocol.secret import Secrets

EVENTS_AT_ONCE = 100
"""In one delivery: 30 KB or so, less than most receivers take."""

ATTEMPT_TIMEOUT_S = 5.0
"""From the name's look-up to the head of the answer."""

RETRY_FOR_S = 300.0
"""A receiver that restarts is back within this; a longer silence is for an operator."""

PAUSE_S_FIRST, PAUSE_S_MAX = 1.0, 30.0

DOUBTFUL_AFTER_S = 60.0
"""After so long without success `status` names the receiver."""

Post: TypeAlias = Callable[[Sequence[tuple[str, str]], bytes], Awaitable[int]]
"""One attempt: headers and body out, the status of the answer back. Raises an exception whose text is one line."""


@attrs.frozen
class Sources:
    """What a sender needs of its process: clocks, chance, its log, and who it is."""

    wall_ms: Callable[[], int]
    token: Callable[[], str]
    jitter: Callable[[], float]
    log: Log
    site: str
    id: str


@attrs.define(eq=False)
class Sender:
    """One receiver: its queue, and what has become of it."""

    url: str = attrs.field(repr=False)
    secrets: Secrets
    queue: Queue
    sources: Sources
    delivered_total: int = 0
    attempts_failed_total: int = 0
    abandoned_total: int = 0
    failing_since_s: float | None = None
    error: str = ""
    _arrived: trio.Event = attrs.field(factory=trio.Event)
    _told_loss: bool = False

    @property
    def name(self) -> str:
        """How log and status call the receiver."""
        where = urlsplit(self.url)
        return f"{where.scheme}://{where.hostname}" + (f":{where.port}" if where.port else "")

    @property
    def dropped_total(self) -> int:
        """Events that nobody will send: there was no room, or their time was up."""
        return self.queue.dropped_total + self.abandoned_total

    @property
    def doubtful(self) -> str:
        """What `status` should say about the receiver; empty when it is well, or not ill for long."""
        if self.failing_since_s is None or trio.current_time() - self.failing_since_s < DOUBTFUL_AFTER_S:
            return ""
        return f"webhook {self.name} takes nothing: {self.error}; {self.queue.waiting:,} events wait"

    def put(self, entry: Batch | Event) -> None:
        """Take over an event, or a batch in which some may be. Never waits."""
        kept = self.queue.put_batch(entry) if isinstance(entry, Batch) else self.queue.put(entry)
        if kept:
            self._arrived.set()
        else:
            self._tell_loss(f"over {self.queue.waiting:,} events wait for it")

    async def run(self, post: Post) -> None:
        """Send until cancelled; what waits then is lost, and said."""
        sending = 0
        try:
            while True:
                await self._arrived.wait()
                self._arrived = trio.Event()
                while events := self.queue.take(EVENTS_AT_ONCE):
                    sending = len(events)
                    await self._deliver(post, events)
                    sending = 0
        finally:
            left = self.queue.waiting + sending
            if left:
                self.sources.log.warning("webhook.left", receiver=self.name, count=left)

    async def _deliver(self, post: Post, events: list[Event]) -> None:
        """One delivery, to its success or the end of its time."""
        delivery = self.sources.token()
        body = self._body(delivery, events)
        until_s = trio.current_time() + RETRY_FOR_S
        for pause_s in _pauses_s():
            self.error = await self._attempt(post, delivery, body)
            if not self.error:
                self._succeeded(len(events))
                return
            self._failed()
            pause_s *= 0.8 + 0.4 * self.sources.jitter()
            if trio.current_time() + pause_s > until_s:
                break
            await trio.sleep(pause_s)
        self.abandoned_total += len(events)
        self._tell_loss(self.error)

    async def _attempt(self, post: Post, delivery: str, body: bytes) -> str:
        """Why it failed; empty when it did not."""
        timestamp_s = self.sources.wall_ms() // 1000
        headers = [
            ("content-type", "application/json"),
            ("user-agent", "one-login"),
            *signing.headers(self.secrets, delivery, timestamp_s, body),
        ]
        try:
            with trio.fail_after(ATTEMPT_TIMEOUT_S):
                status = await post(headers, body)
        except trio.TooSlowError:
            return f"no answer within {ATTEMPT_TIMEOUT_S:g} s"
        except Exception as error:  # noqa: BLE001 - whatever a receiver brings about, the agent serves on
            return str(error) or type(error).__name__
        if 200 <= status < 300:
            return ""
        return f"it answers {status}" + (", and redirects are not followed" if 300 <= status < 400 else "")

    def _body(self, delivery: str, events: list[Event]) -> bytes:
        said = {"id": delivery, "at": rfc3339(self.sources.wall_ms())}
        who = {"site": self.sources.site, "agent": self.sources.id}
        return json.dumps({**said, **who, "events": events}).encode()

    def _succeeded(self, count: int) -> None:
        self.delivered_total += count
        if self.failing_since_s is not None:
            self.sources.log.note("webhook.delivers_again", receiver=self.name, dropped=self.dropped_total)
        self.failing_since_s, self._told_loss = None, False

    def _failed(self) -> None:
        self.attempts_failed_total += 1
        if self.failing_since_s is None:
            self.failing_since_s = trio.current_time()
            self.sources.log.warning("webhook.failing", receiver=self.name, error=self.error)

    def _tell_loss(self, why: str) -> None:
        if not self._told_loss:
            self._told_loss = True
            self.sources.log.alarm("webhook.dropped", receiver=self.name, reason=why)


def _pauses_s() -> Iterator[float]:
    pause_s = PAUSE_S_FIRST
    while True:
        yield pause_s
        pause_s = min(2 * pause_s, PAUSE_S_MAX)
