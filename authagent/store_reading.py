"""Reading the rows of a store file to their end, whatever the file says.

Rules of this file:

- Damage is passed over and told, never raised; what is whole is given, some of it perhaps twice.
- One scan goes through the rows as they hang together. No row is looked for by the id of the one before: where an id
  has flipped, that would pass over all that follow, or lead back to what was read, for ever.
- Only behind a page that cannot be read is a place looked for by its id. Rows are numbered without gaps, so what has
  been read is counted and not believed; and each such search goes on behind the one before, so there is an end.
- A file gives no more than it holds: pages that hang together in a circle are left.

Theory. A payload is known to be whole by its own checksum (store_rows.py), and merging is order-free and repeatable.
So neither ids nor order matter for what is given, and whatever is left of a damaged file is a correct, older table.
"""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeAlias

import attrs

from authagent.store_errors import Damaged, legible, reason
from authagent.store_rows import unpack

PART_BYTES = 1024 * 1024
"""Of rows in one part: some 15 ms of merging."""

ID_MAX = (1 << 63) - 1
"""The greatest id that SQLite knows."""

_SEARCH_IDS = 1 << 24  # how far behind a damaged page rows are looked for when even the newest id is unreadable

Execute: TypeAlias = Callable[[str, Sequence[object]], sqlite3.Cursor]


@attrs.frozen
class Rows:
    """A part of the rows: whole payloads in the order in which they were stored."""

    payloads: list[bytes]
    fraction: float  # how much of the file has been read
    damage: str = ""  # empty, or what was wrong among these rows


class Reading(Iterator[Rows]):
    """One reading, a part at a time; each blocks. `execute` is one statement on the file, `size_bytes` its size now."""

    def __init__(self, execute: Execute, size_bytes: Callable[[], int]) -> None:
        self._execute = execute
        self._size_bytes = size_bytes
        self._read_bytes = 0
        self._last_id = -ID_MAX  # before all rows, however damaged their ids
        self._first = True  # of a scan: what the others are counted from
        self._rows: sqlite3.Cursor | None = None
        self._ended = False

    def __next__(self) -> Rows:
        """About PART_BYTES of rows; StopIteration when there are no more."""
        if self._ended:
            raise StopIteration
        payloads: list[bytes] = []
        damage = ""
        part_ends_bytes = self._read_bytes + PART_BYTES
        while self._read_bytes < part_ends_bytes and not self._ended:
            try:
                row = self._next_row()
            except sqlite3.Error as error:
                damage = reason(error)
                row = self._row_before_damage()
                if row is None:
                    self._pass_over()
            if row is not None:
                whole, wrong = self._taken(*row)
                payloads += whole
                damage = wrong or damage
        fraction = self._fraction()
        if fraction > 1.0 and not self._ended:
            self._ended, damage = True, "its rows hang together in a circle"
        return Rows(payloads, min(1.0, fraction), damage)

    def _fraction(self) -> float:
        try:
            return self._read_bytes / self._size_bytes()
        except sqlite3.Error:  # the rows tell of it themselves
            return 0.0

    def _next_row(self) -> tuple[int, Any] | None:
        """Id and content of the next row of the scan; None when that has ended."""
        with legible():
            if self._rows is None:
                self._first = True
                query = "SELECT id, payloads FROM rows WHERE id > ? ORDER BY id"
                self._rows = self._execute(query, (self._last_id,))
            row: tuple[int, Any] | None = self._rows.fetchone()
        self._ended = row is None
        return row

    def _taken(self, id: int, content: Any) -> tuple[list[bytes], str]:
        """The whole payloads of one row, and what is wrong with it."""
        self._last_id = id if self._first else self._last_id + 1
        self._first = False
        self._read_bytes += 1 + (len(content) if isinstance(content, bytes | str) else 0)
        if not isinstance(content, bytes):
            return [], f"row {id} holds no payloads"
        whole, intact = unpack(content)
        if not intact:
            return whole, f"row {id} does not match its checksum"
        return whole, "" if id == self._last_id else f"row {id} stands where row {self._last_id} belongs"

    # -- behind damage --------------------------------------------------------------------------------------------

    def _row_before_damage(self) -> tuple[int, Any] | None:
        """The last row that can be read: sqlite3 reads one ahead, and where that fails, both are lost to the scan."""
        self._rows = None
        try:
            return self._row_behind(self._last_id)
        except (sqlite3.Error, Damaged):
            return None

    def _pass_over(self) -> None:
        """Have another scan begin behind what cannot be read, or end where nothing behind it can."""
        after_id = max(0, self._last_id)
        following = self._beyond_damage(after_id) if after_id < ID_MAX // 2 else None  # no row is called so
        self._ended = following is None
        self._last_id = following or after_id

    def _beyond_damage(self, after_id: int) -> int | None:
        """A greater id such that the row behind it can be read, or that is the last; None where the search fails.

        It goes up in doubling steps, since a query that begins beyond a damaged page does not touch it, and then halves
        the last one. Where the damage is in the content of one row, the first step is over it.
        """
        end = min(self._newest_id(after_id + _SEARCH_IDS), ID_MAX // 2)
        unreadable, step = after_id, 1
        while not self._readable_behind(after_id + step):
            unreadable = after_id + step
            step *= 2
            if unreadable >= end:
                return None
        readable = after_id + step
        while readable - unreadable > 1:
            middle = (readable + unreadable) // 2
            if self._readable_behind(middle):
                readable = middle
            else:
                unreadable = middle
        return readable

    def _newest_id(self, default: int) -> int:
        try:
            with legible():
                return int(self._execute("SELECT coalesce(max(id), 0) FROM rows", ()).fetchone()[0])
        except sqlite3.Error:
            return default

    def _readable_behind(self, after_id: int) -> bool:
        try:
            self._row_behind(after_id)
        except (sqlite3.Error, Damaged):
            return False
        return True

    def _row_behind(self, after_id: int) -> tuple[int, Any] | None:
        """Id and content of the first row with a greater id; one with a lesser id is out of order, which is damage."""
        with legible():
            query = "SELECT id, payloads FROM rows WHERE id > ? ORDER BY id LIMIT 1"
            row: tuple[int, Any] | None = self._execute(query, (after_id,)).fetchone()
        if row is not None and row[0] <= after_id:
            raise Damaged(f"row {row[0]} stands behind {after_id}")
        return row
