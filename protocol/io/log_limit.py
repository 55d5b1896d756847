"""How many lines a second may be written, and how many were held back.

Rules of this file:

- Pure: `now_s` is an argument. Whoever holds the limit writes the lines.
- The window is a whole second from its first line; what was held back is reported once, after its window.

A busy site logs 10,000 logins a second. A line of each would cost more than the work itself and fill the disk, so
beyond the bound only their number is told (at most 200 lines a second, and then a count).
"""

LINES_PER_SECOND_MAX = 200
"""Enough to read a quiet site line by line; at 120 bytes a line at most 2 GB a day."""


class LineLimit:
    """Counts lines in windows of one second."""

    def __init__(self, lines_max: int = LINES_PER_SECOND_MAX) -> None:
        assert lines_max >= 1
        self._lines_max = lines_max
        self._window_began_s = float("-inf")
        self._lines = 0
        self._held_back = 0

    def admit(self, now_s: float) -> bool:
        """Whether one more line may be written now; if not, it is counted. Call `settle` before."""
        if now_s - self._window_began_s >= 1.0:
            self._window_began_s = now_s
            self._lines = 0
        if self._lines < self._lines_max:
            self._lines += 1
            return True
        self._held_back += 1
        return False

    def hold_back(self, count: int) -> None:
        """Count lines that the caller did not even make, after one that was not admitted."""
        self._held_back += count

    def settle(self, now_s: float) -> int:
        """How many lines were held back in a window that is over, once; else 0."""
        if not self._held_back or now_s - self._window_began_s < 1.0:
            return 0
        held_back, self._held_back = self._held_back, 0
        return held_back
