"""The real clocks."""

import time

from protocol.io.clock import read_clock


def test_clocks_go_forward_and_agree_with_the_system() -> None:
    """Each reading is in its own unit, and none goes back."""
    first, second = read_clock(), read_clock()
    assert first.monotonic_s <= second.monotonic_s and first.boot_ms <= second.boot_ms
    assert abs(first.wall_ms / 1000 - time.time()) < 60
    assert abs(first.monotonic_s - time.monotonic()) < 60
    assert first.boot_ms >= first.monotonic_s * 1000 - 1_000
