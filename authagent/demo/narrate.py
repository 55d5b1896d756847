"""What the audience sees: one line per step, in three columns (done, seen, measured), and the last line.

Rules of this file:

- A line is printed when its step has held, never before: what stands on the screen has been seen.
- Colours only on a terminal, and never with NO_COLOR set.
- A step that did not hold is told as expected, seen, and the folder with the logs.
"""

import os
import sys
from typing import NamedTuple, TextIO

GREEN, RED, DIM, BOLD = "32", "31", "2", "1"

DONE_WIDTH = 34
SEEN_WIDTH = 68


class Seen(NamedTuple):
    """What a step that held has to tell: what was seen, and what was measured."""

    seen: str
    measured: str


class StepFailed(Exception):
    """A step did not hold: what should have been seen, and what was."""

    def __init__(self, expected: str, seen: str) -> None:
        super().__init__(f"expected {expected}; seen {seen}")
        self.expected = expected
        self.seen = seen


class Narrator:
    """Writes the story to `out`."""

    def __init__(self, out: TextIO | None = None) -> None:
        self._out = out or sys.stdout
        self._coloured = self._out.isatty() and not os.environ.get("NO_COLOR")
        self._steps = 0

    def title(self, text: str) -> None:
        """What this is, before the first step."""
        self._write(self._paint(BOLD, text))

    def remark(self, text: str) -> None:
        """Something beside the story: who plays, where the logs are."""
        self._write(self._paint(DIM, text))

    def step(self, done: str, told: Seen) -> None:
        """One step that held."""
        self._steps += 1
        line = f"{self._paint(GREEN, f'{self._steps:2}')}  {done:<{DONE_WIDTH}} {told.seen:<{SEEN_WIDTH}}"
        self._write(f"{line} {self._paint(BOLD, told.measured)}".rstrip())

    def failed(self, done: str, failure: StepFailed, folder: str) -> None:
        """The step that did not hold; nothing comes after it."""
        self._steps += 1
        self._write(f"{self._paint(RED, f'{self._steps:2}')}  {done}: {self._paint(RED, 'did not hold')}")
        self._write(f"    expected  {failure.expected}")
        self._write(f"    seen      {failure.seen}")
        self._write(f"    logs      {folder}")

    def last(self, lost: int, back: int, seconds: float) -> None:
        """The sum of it all. The line ends the output, so that a reader finds it."""
        self._write(self._paint(DIM, f"{self._steps} steps in {seconds:.1f} s"))
        colour = GREEN if lost == back == 0 else RED
        self._write(self._paint(colour, f"logins lost {lost}, logged-out users back {back}"))

    def _paint(self, colour: str, text: str) -> str:
        return f"\x1b[{colour}m{text}\x1b[0m" if self._coloured else text

    def _write(self, line: str) -> None:
        print(line, file=self._out, flush=True)
