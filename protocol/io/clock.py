"""Reads the real clocks: the only place of protocol/io that does.

CLOCK_BOOTTIME counts suspend and never jumps (clock_gettime(2)); where there is none, the
monotonic clock stands in.
"""

import time

from protocol.stamp import Now

_BOOT = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def read_clock() -> Now:
    """All clocks at this moment. Does not block."""
    return Now(time.monotonic(), time.clock_gettime_ns(_BOOT) // 1_000_000, time.time_ns() // 1_000_000)
