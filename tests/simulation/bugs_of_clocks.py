"""Seeded bugs of keeping time, found where agents' clocks are wrong by far.

Rules of this file: see switchboard.py.
"""

from authagent.core.commands import Command
from authagent.core.peer import Peer
from authagent.core.timekeeping import Timekeeping, Whose
from protocol.stamp import Now
from tests.simulation.switchboard import Patch, bug


@bug
def crash_forgets_the_time(patch: Patch) -> None:
    """The site's time is not kept on disk: whoever comes back alone goes by its wall clock."""

    def persist(time: Timekeeping, now: Now) -> list[Command]:
        return []

    patch.set(Timekeeping, "persist", persist)


@bug
def time_steps_with_the_wall_clock(patch: Patch) -> None:
    """A master steps to its wall clock whoever follows it."""

    def lead(time: Timekeeping, now: Now) -> None:
        whose, time.whose = time.whose, Whose.OWN
        right(time, now)
        time.whose = whose

    right = patch.set(Timekeeping, "lead", lead)


@bug
def slave_goes_by_its_own_clock(patch: Patch) -> None:
    """Until it has measured its master's time: by its own it refuses what is sent, and compares tables."""

    def judging_ms(time: Timekeeping, peer: Peer, now: Now) -> int | None:
        return time.clock.now_ms(now)

    def resigned(time: Timekeeping, lead: Peer, now: Now) -> None:
        pass

    patch.set(Timekeeping, "judging_ms", judging_ms)
    patch.set(Timekeeping, "resigned", resigned)
