"""Time: what one reading of the clocks is, the cluster time kept from it, and how far away a peer's clocks are.

Rules of this file:

- Nobody here reads a clock; each call is handed one `Now`.
- A cluster clock that is set never steps and never goes back, unless its owner says so (`accept`): it slews by at most
  5 ms for each second that passes.
- Offsets are taken against `boot_ms`, the one clock of this machine that counts suspend and never jumps.

Theory. Cluster time is `boot_ms + offset`. A master pulls the offset towards its own wall clock, a follower towards
what its master's heartbeats show; in between the offset moves along a straight line, so one pair of numbers (offset,
and when it was so) and a target say everything. A promoted slave keeps its offset and only changes whom it pulls
towards: failover shifts nothing.

A round trip bounds how wrong an offset can be: by half of it, if all the delay was one way. So the shortest one of
the last minute is believed, less half of it, and none whose half is above 250 ms. Trips are measured on the boot
clock too. A machine that was suspended with a heartbeat in its receive buffer would otherwise see a short trip and
believe that the peer's clock stands an hour back.

Source: DESIGN section 4, Clocks.
"""

from collections import deque
from typing import NamedTuple

import attrs

from protocol.messages import Heartbeat

SLEW_US_PER_MS = 5
"""5 ms in a second: 2 s, the most that linked clocks may differ, are made up within 7 minutes."""

WINDOW_MS = 60_000
"""How long a measured trip counts: long enough to meet a quiet moment, short enough for crystals not to drift."""

HALF_TRIP_MS_MAX = 250
"""Beyond it the error bound is no better than what a clock offset may be for an idle timeout."""

JUMP_MS = 1_000
"""What a wall clock may move against the boot clock between two readings before it counts as a jump."""


class Now(NamedTuple):
    """One reading of all clocks, taken at one moment.

    `monotonic_s` is for deadlines and stands still while the machine is suspended; `boot_ms` counts suspend;
    `wall_ms` is the time of day, which operators and NTP may move at will.
    """

    monotonic_s: float
    boot_ms: int
    wall_ms: int


@attrs.frozen
class Offset:
    """One measurement of a peer's clocks against this machine's boot clock, good to half of `round_trip_ms`.

    `cluster_ms` is the peer's cluster time less own `boot_ms`, None where the peer keeps none; `wall_ms` is the
    peer's wall clock less own `boot_ms`; `at_ms` is own `boot_ms` at the measurement.
    """

    round_trip_ms: int
    cluster_ms: int | None
    wall_ms: int
    at_ms: int


class ClusterClock:
    """The cluster time that one process keeps.

    Before it is set it gives provisional time: the wall clock at the first reading, carried on by the boot clock.
    """

    def __init__(self) -> None:
        self.is_set = False
        self._used = False
        self._offset_us = 0  # microseconds, so that a slew over 1 ms is not rounded away
        self._target_us = 0
        self._as_of_ms = 0
        self._shown_ms = 0

    def now_ms(self, now: Now) -> int:
        """Cluster time in milliseconds. Never decreases once the clock is set."""
        self._advance(now)
        now_ms = now.boot_ms + self._offset_us // 1000
        if now_ms > self._shown_ms:
            self._shown_ms = now_ms
        return self._shown_ms

    def offset_ms(self, now: Now) -> int:
        """What to add to `boot_ms` now; good for about 200 ms at 1 ms precision."""
        return self.now_ms(now) - now.boot_ms

    def lead(self, now: Now) -> None:
        """Pull towards the own wall clock. A master calls this at each heartbeat."""
        self._advance(now)
        self._target_us = (now.wall_ms - now.boot_ms) * 1000
        self.is_set = True

    def follow(self, sample: Offset, now: Now) -> int:
        """Pull towards a master's cluster time; a sample without one changes nothing.

        The first sample of a clock that was never set moves it there at once. Returns by how many milliseconds
        the time given out so far must be shifted (Table.shift, the caller's duty): 0 in all other cases.
        """
        if sample.cluster_ms is None:
            return 0
        self._advance(now)
        if not self.is_set:
            return self.accept(sample, now)
        self._target_us = sample.cluster_ms * 1000
        return 0

    def distance_ms(self, sample: Offset, now: Now) -> int:
        """How far a master's cluster time is from the one kept here; 0 if either keeps none.

        The caller refuses a master beyond max_clock_offset (DESIGN section 4) instead of following it.
        """
        if sample.cluster_ms is None or not self.is_set:
            return 0
        self._advance(now)
        return abs(sample.cluster_ms - self._offset_us // 1000)

    def accept(self, sample: Offset, now: Now) -> int:
        """Take over a master's cluster time at once, backwards too, and return the shift in milliseconds.

        Only for the first sample, for an operator who asked for it by hand, and for a time that nobody relies on
        (authagent/core/timekeeping.py). The sample must have cluster time.
        """
        assert sample.cluster_ms is not None, "a sample without cluster time sets no clock"
        self._advance(now)
        shift_ms = sample.cluster_ms - self._offset_us // 1000
        self._offset_us = self._target_us = sample.cluster_ms * 1000
        self._shown_ms = now.boot_ms + sample.cluster_ms
        self.is_set = True
        return shift_ms

    def _advance(self, now: Now) -> None:
        """Move the offset along its line up to `now`: the time already passed was run towards the old target."""
        if not self._used:
            self._used = True
            self._offset_us = self._target_us = (now.wall_ms - now.boot_ms) * 1000
        elapsed_ms = now.boot_ms - self._as_of_ms
        if elapsed_ms <= 0:
            return
        self._as_of_ms = now.boot_ms
        if self._offset_us != self._target_us:
            reach_us = elapsed_ms * SLEW_US_PER_MS
            self._offset_us += max(-reach_us, min(reach_us, self._target_us - self._offset_us))


class OffsetEstimator:
    """What the heartbeats of one link tell about the peer's clocks, and what ours must echo.

    Own heartbeats on this link must carry `sent_ms = now.boot_ms` and the pair that `echo` gives.
    """

    def __init__(self) -> None:
        # Trips of the last minute that nothing newer is as short as: the first is the shortest. Trips are whole
        # milliseconds of at most twice HALF_TRIP_MS_MAX, so no peer can make the queue longer than that.
        self._samples: deque[Offset] = deque()
        self._heard_ms: int | None = None
        self._heard_at_ms = 0
        self._own_wall_ms = 0

    def heard(self, heartbeat: Heartbeat, now: Now) -> None:
        """Take in one heartbeat, at the moment it was read."""
        self._heard_ms = heartbeat.sent_ms
        self._heard_at_ms = now.boot_ms
        self._own_wall_ms = now.wall_ms - now.boot_ms
        self._forget(now)
        if heartbeat.echo_ms is None:
            return
        trip_ms = now.boot_ms - heartbeat.echo_ms - heartbeat.held_ms
        if -2 <= trip_ms <= 2 * HALF_TRIP_MS_MAX:  # below 0 is rounding: three clocks are cut to milliseconds
            self._keep(self._measure(heartbeat, max(0, trip_ms), now))

    def echo(self, now: Now) -> tuple[int | None, int]:
        """`echo_ms` and `held_ms` of the heartbeat to be sent now."""
        if self._heard_ms is None:
            return None, 0
        return self._heard_ms, max(0, now.boot_ms - self._heard_at_ms)

    @property
    def best(self) -> Offset | None:
        """The measurement to believe, or None while there is none."""
        return self._samples[0] if self._samples else None

    @property
    def round_trip_ms(self) -> int | None:
        """The shortest round trip of the last minute."""
        return self._samples[0].round_trip_ms if self._samples else None

    @property
    def wall_offset_ms(self) -> int | None:
        """The peer's wall clock less the own one as of the last heartbeat; positive: the peer is ahead."""
        return self._samples[0].wall_ms - self._own_wall_ms if self._samples else None

    @property
    def cluster_offset_ms(self) -> int | None:
        """The peer's cluster time less own `boot_ms`; None also where the peer keeps none."""
        return self._samples[0].cluster_ms if self._samples else None

    def _forget(self, now: Now) -> None:
        while self._samples and now.boot_ms - self._samples[0].at_ms > WINDOW_MS:
            self._samples.popleft()

    @staticmethod
    def _measure(heartbeat: Heartbeat, trip_ms: int, now: Now) -> Offset:
        ahead_ms = trip_ms // 2 - now.boot_ms
        cluster_ms = None if heartbeat.cluster_ms is None else heartbeat.cluster_ms + ahead_ms
        return Offset(trip_ms, cluster_ms, heartbeat.wall_ms + ahead_ms, now.boot_ms)

    def _keep(self, sample: Offset) -> None:
        if self._samples and self._stepped(self._samples[0], sample):
            self._samples.clear()
        while self._samples and self._samples[-1].round_trip_ms >= sample.round_trip_ms:
            self._samples.pop()
        self._samples.append(sample)

    @staticmethod
    def _stepped(old: Offset, new: Offset) -> bool:
        """Whether the peer's clocks moved by more than slewing and the delay of both trips can explain."""
        if (old.cluster_ms is None) != (new.cluster_ms is None):
            return True
        excuse_ms = JUMP_MS + (old.round_trip_ms + new.round_trip_ms) // 2
        moved_ms = abs(new.wall_ms - old.wall_ms)
        if old.cluster_ms is not None and new.cluster_ms is not None:
            moved_ms = max(moved_ms, abs(new.cluster_ms - old.cluster_ms))
        return moved_ms > excuse_ms


class WallWatch:
    """Notices when the own wall clock was moved."""

    def __init__(self) -> None:
        self._last_ms: int | None = None

    def jumped_ms(self, now: Now) -> int:
        """By how much the wall clock jumped since the last call: 0 unless it was more than 1 s.

        Drift and NTP's slewing never add up to a jump: each call is compared with the one before it only. On a jump
        the caller measures its links anew before it trusts an offset (DESIGN section 4).
        """
        ahead_ms = now.wall_ms - now.boot_ms
        moved_ms = 0 if self._last_ms is None else ahead_ms - self._last_ms
        self._last_ms = ahead_ms
        return moved_ms if abs(moved_ms) > JUMP_MS else 0
