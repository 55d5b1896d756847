"""The replication log of a mastership: what changed the table, in order, bounded in bytes.

Rules of this file:

- A log is named by a log id, drawn at every promotion; a cursor is (log id, sequence). Sequences start at 1.
- An entry is kept as the framed bytes of its Update, so that every follower gets the same bytes object.
- The oldest entries are dropped when the bound is reached; a cursor older than that is answered by a comparison. What
  an entry costs besides its frame counts too: where a frame holds one login, that is most of it.
"""

from collections import deque
from typing import NamedTuple

import attrs

from protocol import codec, framing, limits
from protocol.messages import Update

ENTRY_COST_BYTES = 200
"""A tuple of four, the objects in it, and its place in the log."""


class Entry(NamedTuple):
    """One logged batch: `source` is the link that it came from, or None where it arose here; `site` where it arose."""

    sequence: int
    source: int | None
    site: str
    frame: bytes


@attrs.define
class Log:
    """The log of one mastership; `log_id` 0 is the log of nobody."""

    log_id: int
    bytes_max: int = limits.LOG_BYTES_MAX
    sequence: int = 0
    _entries: deque[Entry] = attrs.field(factory=deque)
    _bytes: int = 0

    @property
    def first(self) -> int:
        """The oldest sequence still here; sequence + 1 when the log is empty."""
        return self._entries[0].sequence if self._entries else self.sequence + 1

    def append(self, site: str, payload: bytes, source: int | None) -> Entry:
        """Number a batch of encoded changes and keep it."""
        self.sequence += 1
        frame = framing.frame(codec.encode(Update(self.sequence, site, payload)))
        entry = Entry(self.sequence, source, site, frame)
        self._entries.append(entry)
        self._bytes += len(frame) + ENTRY_COST_BYTES
        while self._bytes > self.bytes_max and len(self._entries) > 1:
            self._bytes -= len(self._entries.popleft().frame) + ENTRY_COST_BYTES
        return entry

    def holds(self, log_id: int, sequence: int) -> bool:
        """Whether a follower at this cursor can be brought up to date from here."""
        return log_id == self.log_id and self.first - 1 <= sequence <= self.sequence

    def after(self, sequence: int) -> list[Entry]:
        """The entries behind a cursor that the log holds."""
        skipped = sequence + 1 - self.first
        return list(self._entries)[skipped:] if skipped else list(self._entries)
