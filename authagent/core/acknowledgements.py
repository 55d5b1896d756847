"""What may be acknowledged: which reports are in memory, and which are on stable storage where it counts.

Rules of this file:

- A report is on level `master` once it is merged here, on level `site` once the own store and the counted slave's have
  what it said. With no counted slave the own store counts alone; the acknowledgement names who counted.
- A slave counts from the end of its first comparison on this link until the link is dropped.
- Acknowledgements are cumulative, so only the last of a batch is sent. `counted` is who counted when `site` rose last:
  a slave that counts since then need not have what was acknowledged before.
"""

from collections import deque
from typing import NamedTuple

import attrs


class Pending(NamedTuple):
    """A report that waits for stable storage: of the own store up to `position`, of the slave's up to `sequence`."""

    report: int
    position: int
    sequence: int


@attrs.define
class Ledger:
    """The reports of one link, in order."""

    master: int = 0
    site: int = 0
    master_told: int = 0
    site_told: int = 0
    counted: tuple[str, ...] = ()
    _pending: deque[Pending] = attrs.field(factory=deque)

    def received(self, report: int, position: int, sequence: int) -> None:
        """A report has been merged; what it said is at `position` of the store and `sequence` of the log."""
        self.master = report
        self._pending.append(Pending(report, position, sequence))

    def settle(self, stored: int, slave_stored: int | None) -> None:
        """The own store is at `stored`; the counted slave's at log sequence `slave_stored`, None without one."""
        pending = self._pending
        while pending and pending[0].position <= stored:
            if slave_stored is not None and pending[0].sequence > slave_stored:
                break
            self.site = pending.popleft().report

    @property
    def waiting(self) -> int:
        """Reports in memory that are not on stable storage where it counts."""
        return len(self._pending)

    @property
    def news(self) -> bool:
        """Whether there is anything to tell that has not been told."""
        return self.master > self.master_told or self.site > self.site_told

    def tell(self) -> tuple[int, int]:
        """The two levels to be told now."""
        self.master_told, self.site_told = self.master, self.site
        return self.master, self.site
