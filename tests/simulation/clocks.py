"""The clocks of one process: how its readings come from true time, and how they go wrong.

Rules of this file:

- The monotonic clock runs at its own rate and stands still while the machine is suspended; the boot clock counts
  that too. Neither ever jumps, as on Linux.
- The wall clock is true time and an error: an offset, a drift, jumps, and a strobe that swings it to and fro.
- What a swarm calls "bounded" is for the schedule to keep: nothing here limits an error. `off_ms` is by how much a
  clock is wrong beyond that bound, for as long as a fault lasts.
"""

import attrs

from protocol.stamp import Now
from tests.simulation.loop import EPOCH_MS


@attrs.define
class Clock:
    """One process's clocks. `rate` is how fast its crystal runs; all else is about the time of day."""

    wall_error_ms: int = 0
    off_ms: int = 0
    wall_drift: float = 0.0
    rate: float = 1.0
    strobe_ms: int = 0
    strobe_period_s: float = 1.0
    boot_ahead_ms: int = 0
    _monotonic_s: float = 0.0
    _as_of_s: float = 0.0

    def now(self, true_s: float) -> Now:
        """One reading of all clocks."""
        monotonic_s = self.monotonic_s(true_s)
        wall_ms = EPOCH_MS + int(true_s * 1000) + self.error_ms(true_s)
        return Now(monotonic_s, self.boot_ahead_ms + int(monotonic_s * 1000), wall_ms)

    def monotonic_s(self, true_s: float) -> float:
        """The reading of the monotonic clock alone."""
        return self._monotonic_s + (true_s - self._as_of_s) * self.rate

    def error_ms(self, true_s: float) -> int:
        """How far the time of day is ahead of true time."""
        error_ms = self.wall_error_ms + self.off_ms + int(self.wall_drift * true_s * 1000)
        if self.strobe_ms and int(true_s / self.strobe_period_s) % 2:
            error_ms += self.strobe_ms
        return error_ms

    def true_s(self, monotonic_s: float) -> float:
        """When the monotonic clock will show this."""
        return self._as_of_s + (monotonic_s - self._monotonic_s) / self.rate

    def run_at(self, rate: float, true_s: float) -> None:
        """Another rate from now on."""
        self._monotonic_s, self._as_of_s = self.monotonic_s(true_s), true_s
        self.rate = rate

    def slept(self, seconds: float) -> None:
        """The machine was suspended until now: only the boot clock has counted it."""
        self._monotonic_s -= seconds * self.rate
        self.boot_ahead_ms += int(seconds * self.rate * 1000)
