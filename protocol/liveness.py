"""Whether a peer is silent, judged by somebody who may be ill himself.

Rules of this file:

- A deadline is a function of what was told; asking changes nothing, and `suspect` is true exactly from `deadline` on.
- Tell the own lateness first, then read what waits in the sockets, and only then ask who is silent.

Theory. Most false alarms come from a sick observer (Lifeguard, arXiv 1707.00788): its own loop stood still, the
heartbeats wait unread in its buffers, and it declares everybody dead. So the time that a peer may be silent grows
with the observer's own lateness in the last 2 s: by one part for each 100 ms, up to four times. Lateness below 100 ms
counts for nothing. An illness passes: after 2 s the ordinary bound holds again, and the deadline knows it in advance.

Worse than late is asleep (SIGSTOP, a paused virtual machine): after more than 1 s the world may have elected somebody
else, and an agent must ask before it serves again. The pause is measured on the boot clock, which counts suspend.

Source: DESIGN section 4, Detection.
"""

import math
from collections import deque

from protocol.stamp import Now

LATE_S = 0.1
"""The least lateness that counts, and the step by which patience grows."""

MEMORY_S = 2.0
"""How long a late moment counts against oneself."""

STRETCH_MAX = 4
"""Patience has an end: after a silent death with a sick observer, 4 s."""

SLEPT_S = 1.0
"""A longer pause than this makes an agent unsure of its role: suspect_after, when its partner may have moved."""


class Punctuality:
    """How late the own loop has run lately; one for all links of a process."""

    def __init__(self) -> None:
        # Each entry is at least 100 ms of standing still: 20 fill the memory of 2 s, 3 already stretch to the end.
        self._late: deque[tuple[float, float]] = deque(maxlen=20)
        self._woke: Now | None = None

    def woke(self, due_s: float, now: Now) -> float:
        """The loop, which meant to run again at `due_s` (monotonic) at the latest, runs at `now`.

        Returns the seconds slept beyond that if they are more than 1, else 0.0. Suspend counts: it does not show on
        the monotonic clock but on the boot clock.
        """
        late_s = max(0.0, now.monotonic_s - due_s)
        if self._woke is not None:
            passed_s = now.monotonic_s - self._woke.monotonic_s
            suspended_s = (now.boot_ms - self._woke.boot_ms) / 1000 - passed_s
            late_s += suspended_s if suspended_s > LATE_S else 0.0
        self._woke = now
        self.late(late_s, now)
        return late_s if late_s > SLEPT_S else 0.0

    def late(self, by_s: float, now: Now) -> None:
        """The own loop stood still for `by_s` more than it meant to; less than 100 ms is not held against it."""
        if by_s >= LATE_S:
            self._late.append((now.monotonic_s, by_s))

    def stretch(self, now: Now) -> int:
        """By how many times the patience with silent peers is to be stretched at `now`: 1 to 4."""
        return self._stretch(now.monotonic_s)

    @property
    def forgotten_s(self) -> float:
        """The monotonic time from which on nothing is held against oneself, if nothing more happens."""
        return self._late[-1][0] + MEMORY_S if self._late else -math.inf

    def patient_until_s(self, stretch: int) -> float:
        """The monotonic time from which on the stretch is at most `stretch`, if nothing more happens."""
        for at_s in (-math.inf, *(at_s + MEMORY_S for at_s, _ in self._late)):
            if self._stretch(at_s) <= stretch:
                return at_s
        raise AssertionError("when all is forgotten the stretch is 1")

    def _stretch(self, at_s: float) -> int:
        total_s = sum(by_s for late_at_s, by_s in self._late if at_s < late_at_s + MEMORY_S)
        return min(STRETCH_MAX, 1 + math.floor(total_s / LATE_S + 1e-9))


class Liveness:
    """How long one peer has been silent. Before the first `heard` nobody is suspected."""

    def __init__(self, suspect_after_s: float, punctuality: Punctuality | None = None) -> None:
        self.suspect_after_s = suspect_after_s
        self.punctuality = Punctuality() if punctuality is None else punctuality
        self._heard_s = math.inf

    def heard(self, now: Now) -> None:
        """Anything came from the peer; also to be called when the link opens."""
        self._heard_s = now.monotonic_s

    def late(self, by_s: float, now: Now) -> None:
        """As Punctuality.late."""
        self.punctuality.late(by_s, now)

    @property
    def deadline(self) -> float:
        """The monotonic time at which the peer becomes suspect if nothing is heard; infinity before the first word."""
        plain_s = self._heard_s + self.suspect_after_s
        if plain_s >= self.punctuality.forgotten_s:  # nearly always: a process may ask this for 2,000 links at once
            return plain_s
        return min(
            max(self._heard_s + self.suspect_after_s * stretch, self.punctuality.patient_until_s(stretch))
            for stretch in range(1, STRETCH_MAX + 1)
        )

    def suspect(self, now: Now) -> bool:
        """Whether the peer has been silent for too long."""
        if now.monotonic_s < self._heard_s + self.suspect_after_s:  # whatever the stretch; a tick asks it of all links
            return False
        return now.monotonic_s >= self.deadline
