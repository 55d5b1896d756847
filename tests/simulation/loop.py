"""Simulated time: one queue of what happens next, and the trace of what has happened.

Rules of this file:

- Time moves only from one event to the next; what is due at one moment happens in the order in which it was planned.
- The trace is a hash over numbers only: those hash alike in every process, whatever PYTHONHASHSEED says.
"""

import heapq
import itertools
from collections.abc import Callable
from typing import Any

Act = Callable[..., None]

EPOCH_MS = 1_790_000_000_000
"""The true time of day at which every run begins; 20 seconds after a whole minute."""


class Loop:
    """The one event loop of a run. `now_s` is true time, which no process can see."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.trace = 0
        self.events = 0
        self._queue: list[tuple[float, int, Act, tuple[Any, ...]]] = []
        self._order = itertools.count()

    @property
    def now_ms(self) -> int:
        """The true time of day."""
        return EPOCH_MS + int(self.now_s * 1000)

    def at(self, at_s: float, act: Act, *args: object) -> None:
        """Let something happen at a moment, or at once where that is past."""
        heapq.heappush(self._queue, (max(at_s, self.now_s), next(self._order), act, args))

    def after(self, delay_s: float, act: Act, *args: object) -> None:
        heapq.heappush(self._queue, (self.now_s + delay_s, next(self._order), act, args))

    def run_until(self, end_s: float) -> None:
        """Let everything happen that is due until then."""
        queue, pop = self._queue, heapq.heappop
        while queue and queue[0][0] <= end_s:
            self.now_s, _, act, args = pop(queue)
            self.events += 1
            act(*args)
        self.now_s = max(self.now_s, end_s)

    def note(self, *numbers: float) -> None:
        """Take numbers into the trace."""
        self.trace = hash((self.trace, self.now_s, numbers))
