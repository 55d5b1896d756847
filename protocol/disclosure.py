"""What a table discloses to others: roots, pages, records and activity, for comparisons and snapshots.

Rules of this file:

- Reads, and changes nothing. Everything is made only when it is asked for.
- There are two kinds: a whole table (protocol.table), and of a table what a filter lets pass (protocol.selection).
  They differ only in the pages that they show.

Source: DESIGN section 4 (Resync).
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from itertools import islice

from protocol import limits, runs
from protocol.barriers import Barriers
from protocol.changes import Barrier, Changes
from protocol.digest import MINUTE_MS, Digest
from protocol.items import Items
from protocol.page import PLACES, Page
from protocol.records import Records
from protocol.session import Origin

ITEMS_AT_ONCE = 8
"""Items in one batch: of the longest, 8 KiB each, so many fill an ordinary frame."""


class Disclosure(ABC):
    """What is disclosed of the records, barriers and items of one node."""

    def __init__(
        self, records: Records, barriers: Barriers, items: Items, digest: Digest, max_clock_offset_ms: int
    ) -> None:
        self.max_clock_offset_ms = max_clock_offset_ms
        self.kept_ms = 2 * max_clock_offset_ms + limits.EXPIRED_KEPT_MS  # how long the expired is kept and taken in
        self.items = items
        self._records = records
        self._barriers = barriers
        self._digest = digest

    @abstractmethod
    def _shown(self, touched_ms: int) -> Iterable[Page]:
        """All pages that were active since `touched_ms`, as they are disclosed; 0 for all. The table may change
        meanwhile."""

    @abstractmethod
    def _shown_page(self, origin: Origin, sequence: int) -> Page | None:
        """The page of a login, as it is disclosed."""

    @property
    def records(self) -> int:
        """How many records there are, tombstones and what is not disclosed included."""
        return self._records.count

    # -- what is in it -------------------------------------------------------------------------------------------

    def slices(self, now_ms: int, records: int = limits.BATCH_CHANGES_MAX) -> Iterator[Changes]:
        """Everything, tombstones, barriers and items included, in batches of about `records`.

        What changes between two batches may be in or not: the caller sends live changes besides.
        """
        yield from self.item_slices()
        yield from runs.slices(self._shown(0), self._barriers, now_ms - self.kept_ms, records)

    def item_slices(self) -> Iterator[Changes]:
        """Every item, some at a time: eight of the longest still fit one frame."""
        left = iter(self.items)
        return (Changes(items=part) for part in iter(lambda: tuple(islice(left, ITEMS_AT_ONCE)), ()))

    def touched_since(self, since_ms: int) -> Iterator[Changes]:
        """The activity since a time, of logins that have not ended, in batches."""
        return runs.touch_slices(self._shown(since_ms), since_ms, limits.BATCH_CHANGES_MAX)

    def select(self, origin: Origin, page: int, mask: bytes) -> Changes:
        """The records of a page that a 32-byte mask names: place p is bit p % 8 (from the lowest) of byte p // 8."""
        found = self._shown_page(origin, page * PLACES)
        if found is None:
            return Changes()
        logins, ends = runs.of_page(found, runs.marked_places(found, mask))
        return Changes(tuple(logins), tuple(ends))

    def barriers(self) -> Iterator[Barrier]:
        return iter(self._barriers)

    # -- its digest ----------------------------------------------------------------------------------------------

    def root(self, cut_min: int) -> bytes:
        """The digest's root at a cut, in whole minutes; the last three cuts asked for are cheap to ask for again."""
        return self._digest.root(cut_min)

    def children(self, cut_min: int, path: bytes) -> bytes:
        """The 16 hashes below a node of the digest; see Digest.children."""
        return self._digest.children(cut_min, path)

    def pages(self, cut_min: int, leaf: int) -> list[tuple[Origin, int, bytes]]:
        """The pages of a leaf: origin, page number and State bytes, those that do not count at the cut as ABSENT."""
        return [(page.origin, page.first // PLACES, states) for page, states in self._digest.pages(cut_min, leaf)]

    def states(self, origin: Origin, page: int, cut_min: int) -> bytes:
        """The State bytes of one page as `pages` gives them; all ABSENT where there is none."""
        found = self._shown_page(origin, page * PLACES)
        return bytes(PLACES) if found is None else found.states_after(cut_min * MINUTE_MS)

    def barriers_hash(self, cut_min: int | None = None) -> bytes:
        """The hash of the barriers at a cut, by default at the latest cut asked for."""
        if cut_min is None:
            cut_min = self._digest.newest_cut_min() or 0
        return self._digest.barriers_hash(cut_min)

    def items_hash(self, cut_min: int) -> bytes:
        """The hash of the items at a cut, never empty: that is what a peer says that has never heard of items."""
        return self.items.checksum(cut_min * MINUTE_MS).to_bytes(8, "big")
