"""What changed here lately, and through whom: a bounded memory, for `authagent explain`.

Rules of this file:

- Remembering costs a tuple a batch, whatever is in it: payloads are kept as they came, and read only when somebody
  asks. Batches of touches alone are not kept; they are most of all, and tell nothing.
- The oldest is forgotten first. A restart forgets all; what the table knows is not lost by that.
"""

from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

from authagent.core.commands import Tell

ACTS_MAX = 10_000
BYTES_MAX = 2 * 1024 * 1024
"""Both together: 5 MB at most, and some minutes of a busy site."""


class Act(NamedTuple):
    """One batch: when it was news here (this machine's wall clock), who said it, in which message, and what."""

    wall_ms: int
    source: str
    message: str
    payload: bytes


class Recent:
    """The last acts of one agent, oldest first."""

    def __init__(self, acts_max: int = ACTS_MAX, bytes_max: int = BYTES_MAX) -> None:
        self._acts: deque[Act] = deque()
        self._acts_max = acts_max
        self._bytes_max = bytes_max
        self._bytes = 0

    def note(self, wall_ms: int, tell: Tell) -> None:
        """Remember a batch that was news."""
        changes = tell.changes
        if not (changes.logins or changes.ends or changes.barriers):
            return
        acts = self._acts
        for payload in tell.payloads:
            acts.append(Act(wall_ms, tell.source, tell.message, payload))
            self._bytes += len(payload)
        while self._bytes > self._bytes_max or len(acts) > self._acts_max:
            self._bytes -= len(acts.popleft().payload)

    def __iter__(self) -> Iterator[Act]:
        """Those that are here now; others may come meanwhile."""
        return iter(tuple(self._acts))

    def __len__(self) -> int:
        return len(self._acts)
