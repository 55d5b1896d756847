"""Reads the real clocks: the only place of protocol/io that does.

CLOCK_BOOTTIME counts suspend and never jumps (clock_gettime(2)); where there is none, the
monotonic clock stands in.
"""

import time
from pathlib import Path

from protocol.stamp import Now

_BOOT = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")  # random(4)


def read_clock() -> Now:
    """All clocks at this moment. Does not block."""
    return Now(time.monotonic(), time.clock_gettime_ns(_BOOT) // 1_000_000, time.time_ns() // 1_000_000)


def read_boot_id() -> str:
    """The name of this run of the machine, all through which the boot clock goes on; empty where it has none."""
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return ""
