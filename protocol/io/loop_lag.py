"""How long the loop of this process stood still: what keeps a heartbeat from leaving in time.

Rules of this file: measured from outside, by a task that means to run at certain moments and looks at how late it is.
Told is the worst of the last minute, so that whoever looks once a minute misses nothing.
"""

from collections import deque
from collections.abc import Callable

import trio

INTERVAL_S = 0.1
"""Half a heartbeat: a pause that matters is never missed, and ten wake-ups a second cost nothing."""

MEMORY_S = 60.0


class LoopLag:
    """The lateness of one loop. `clock_s` is the monotonic clock that the loop goes by."""

    def __init__(self, clock_s: Callable[[], float] = trio.current_time) -> None:
        self._clock_s = clock_s
        self._worst: deque[tuple[float, float]] = deque()  # (when, lateness), ever later and ever smaller

    async def measure(self) -> None:
        """Look until cancelled."""
        while True:
            due_s = self._clock_s() + INTERVAL_S
            await trio.sleep_until(due_s)
            self.was_late(self._clock_s() - due_s)

    def was_late(self, by_s: float) -> None:
        """The loop ran so much later than it was meant to."""
        while self._worst and self._worst[-1][1] <= by_s:
            self._worst.pop()
        self._worst.append((self._clock_s(), by_s))
        self._forget()

    @property
    def worst_s(self) -> float:
        """The longest of the last minute; 0.0 before anything was measured."""
        self._forget()
        return self._worst[0][1] if self._worst else 0.0

    def _forget(self) -> None:
        oldest_s = self._clock_s() - MEMORY_S
        while self._worst and self._worst[0][0] < oldest_s:
            self._worst.popleft()
