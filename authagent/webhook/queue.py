"""What waits to be sent to one receiver, within a bound. Pure.

Rules of this file:

- Putting in costs the same whatever is put in: batches are looked into when they are taken out.
- When it is full the newest is left out and counted: what the receiver gets has gaps only where it was told so.
- Events that a receiver does not want are counted among what waits until they are looked at.
"""

import fnmatch
from collections import deque

import attrs

from authagent.webhook.told import Batch, Event

EVENTS_MAX = 10_000
"""A receiver that is away for a minute at 150 logins a second misses nothing; some 10 MB at worst."""


@attrs.define
class Queue:
    """Events for one receiver, who wants those that `patterns` stand for; all, when there are none."""

    patterns: tuple[str, ...] = ()
    waiting: int = 0
    dropped_total: int = 0
    _entries: deque[Batch | Event] = attrs.field(factory=deque)
    _taken: deque[Event] = attrs.field(factory=deque)

    def wants(self, name: str) -> bool:
        """Whether the receiver is to be told of events of this name."""
        return not self.patterns or any(fnmatch.fnmatchcase(name, pattern) for pattern in self.patterns)

    def put_batch(self, batch: Batch) -> bool:
        """Keep what may be in a batch; False when there was no room for it."""
        return self._put(batch, batch.size)

    def put(self, event: Event) -> bool:
        """Keep an event, if it is wanted; False when there was no room for it."""
        return not self.wants(event["event"]) or self._put(event, 1)

    def take(self, count: int) -> list[Event]:
        """The oldest events, at most so many; none when nothing is left that is wanted."""
        while len(self._taken) < count and self._entries:
            entry = self._entries.popleft()
            if isinstance(entry, Batch):
                found = [event for event in entry.events() if self.wants(event["event"])]
                self.waiting -= entry.size - len(found)
                self._taken.extend(found)
            else:
                self._taken.append(entry)
        events = [self._taken.popleft() for _ in range(min(count, len(self._taken)))]
        self.waiting -= len(events)
        return events

    def _put(self, entry: Batch | Event, size: int) -> bool:
        if self.waiting + size > EVENTS_MAX:
            self.dropped_total += size
            return False
        self.waiting += size
        self._entries.append(entry)
        return True
