"""A page: 256 consecutive logins of one origin, side by side.

Rules of this file:

- A page stores and merges single places; it knows no index, no counter and no clock.
- `states` is the truth about presence: a place is empty exactly when its State byte is ABSENT (0).
- Rows are plain tuples of atoms in the field order of session.Login. A NamedTuple or an object in their stead would
  be walked by every garbage collection (150 ms for a million); plain tuples of atoms are walked once, then left alone.

Theory. One byte a login is the whole lattice of DESIGN section 3 (merge = bytewise max), cheap to hash 256 at a time,
and a slice of fresh logins is taken with one slice assignment a column. `active` costs 8 bytes a login and is only
made when some login of the page has been active after its login. `earliest` and `latest` bound every expires_at of
the page; after a conflict they may be wider than needed, which costs a closer look and never an answer.
"""

from array import array
from collections.abc import Sequence
from itertools import compress
from typing import Final, TypeAlias

from protocol.session import Attributes, Login, LoginId, Origin, Record, State, merge_logins

PLACES: Final = 256
"""Logins a page: one keyed hash of 256 bytes costs 2 us, so a digest costs 0.01 us a login."""

Row: TypeAlias = tuple[str, str, str | None, int, int, int, Attributes]
"""The fields of a session.Login as a plain tuple."""

KEY: Final = 0
USER: Final = 1
SITE: Final = 2
LOGIN_AT: Final = 3
EXPIRES_AT: Final = 4
IDLE_TIMEOUT_S: Final = 5

EMPTY: Final[Row] = ("", "", None, 0, 0, 0, ())
"""What an absent place holds."""

NO_LEAF: Final = -1

ALIVE: Final = int(State.ALIVE)
"""A plain int: comparing with a member of an enum costs four times as much."""

STATES: Final = tuple(State)
"""State by its byte: an index costs a tenth of State(byte)."""


class Page:
    """The places of the sequences `first` to `first + 255` of `origin`; `handle` is the handle of the first."""

    __slots__ = (
        "active", "alive", "counted_ms", "earliest", "first", "handle", "label", "latest", "latest_active", "leaf",
        "origin", "quiet_until_ms", "rows", "states",
    )  # fmt: skip

    def __init__(self, origin: Origin, index: int, handle: int) -> None:
        self.origin = origin
        self.first = index * PLACES
        self.handle = handle
        self.label = f"{origin.epoch:016x}{index:08x}{origin.proxy}".encode()
        self.leaf = NO_LEAF  # where in the digest it counts: the digest's to set
        self.states = bytearray(PLACES)
        self.rows: list[Row] = [EMPTY] * PLACES
        self.active: array[int] | None = None
        self.latest_active = 0
        self.earliest = 1 << 62
        self.latest = 0
        self.alive = 0  # upkeep's count, see Table.sweep
        self.counted_ms = 0  # and when that was; 0 for never
        self.quiet_until_ms = 0  # until then the count stays true by itself: nobody can die of time, nobody has revived

    def is_empty(self, low: int, high: int) -> bool:
        """Whether no place from `low` up to, not including, `high` is taken."""
        return self.states.count(0, low, high) == high - low

    def put(
        self, low: int, rows: Sequence[Row], states: bytes, expires_at: Sequence[int], active_at: Sequence[int] | None
    ) -> None:
        """Fill empty places from `low` on; that they are empty is the caller's duty."""
        high = low + len(rows)
        self.states[low:high] = states
        self.rows[low:high] = rows
        self._widen(min(expires_at), max(expires_at))
        if active_at is not None or self.active is not None:
            if active_at is None:
                active_at = [row[LOGIN_AT] for row in rows]
            self._activity()[low:high] = array("q", active_at)
            self.latest_active = max(self.latest_active, *active_at)

    def put_one(self, place: int, row: Row, state: int, active_at: int) -> None:
        """Fill one empty place."""
        self.states[place] = state
        self.rows[place] = row
        self._widen(row[EXPIRES_AT], row[EXPIRES_AT])
        if active_at != row[LOGIN_AT] or self.active is not None:
            self._set_active(place, active_at)

    def join(self, place: int, row: Row, state: int, active_at: int) -> bool:
        """Merge another copy into a taken place, exactly as session.merge does; tell whether anything changed."""
        held, held_state, held_active_at = self.rows[place], self.states[place], self.active_at(place)
        state = max(state, held_state)
        if held != row:
            kept, conflict = merge_logins(Login._make(held), Login._make(row))
            if conflict:
                state = State.CONFLICT
            row = row_of(kept)
            self.rows[place] = row
            self._widen(row[EXPIRES_AT], row[EXPIRES_AT])
        self.states[place] = state
        active_at = max(active_at, held_active_at)
        if active_at != self.active_at(place):  # a row that changed may bring another time of login
            self._set_active(place, active_at)
        return state != held_state or active_at != held_active_at or row != held

    def active_at(self, place: int) -> int:
        """The last activity; the login itself where there was none since."""
        return self.rows[place][LOGIN_AT] if self.active is None else self.active[place]

    def dies_at(self, place: int) -> int:
        """When a record that has not ended dies of itself, unless there is activity before."""
        row = self.rows[place]
        return min(row[EXPIRES_AT], self.active_at(place) + row[IDLE_TIMEOUT_S] * 1000)

    def touch(self, place: int, active_at: int) -> bool:
        """Raise the last activity of a taken place; False when it is not later than what is known."""
        if active_at <= self.active_at(place):
            return False
        self._set_active(place, active_at)
        return True

    def restamp(self, place: int, active_at: int) -> None:
        """Set the last activity of a taken place anew, back too."""
        self._set_active(place, active_at)
        self.quiet_until_ms = 0

    def shift(self, delta_ms: int) -> None:
        """Move every time of the page."""
        for place, row in enumerate(self.rows):
            if self.states[place]:
                partial = row[SITE] is None
                login_at = row[LOGIN_AT] if partial else row[LOGIN_AT] + delta_ms
                login = Login._make(row)._replace(login_at=login_at, expires_at=row[EXPIRES_AT] + delta_ms)
                self.rows[place] = row_of(login)
                if self.active is not None and self.active[place]:
                    self.active[place] += delta_ms
        self.earliest += delta_ms
        self.latest += delta_ms
        self.latest_active += delta_ms

    def taken(self) -> list[int]:
        """The places that hold a record, ascending."""
        return list(compress(range(PLACES), self.states))

    def record(self, place: int) -> Record:
        """What stands at a taken place."""
        proxy, epoch = self.origin
        return Record(
            LoginId(proxy, epoch, self.first + place),
            Login._make(self.rows[place]),
            self.active_at(place),
            STATES[self.states[place]],
        )

    def states_after(self, cut_ms: int) -> bytes:
        """The State bytes, those of records that expire at or before the cut as ABSENT."""
        if self.earliest > cut_ms:
            return bytes(self.states)
        if self.latest <= cut_ms:
            return bytes(PLACES)
        return bytes([
            state if row[EXPIRES_AT] > cut_ms else 0 for state, row in zip(self.states, self.rows, strict=True)
        ])  # fmt: skip

    def _widen(self, earliest: int, latest: int) -> None:
        self.quiet_until_ms = 0
        if earliest < self.earliest:
            self.earliest = earliest
        if latest > self.latest:
            self.latest = latest

    def _activity(self) -> "array[int]":
        if self.active is None:
            self.active = array("q", [row[LOGIN_AT] for row in self.rows])
        return self.active

    def _set_active(self, place: int, active_at: int) -> None:
        activity = self._activity()
        if activity[place] + self.rows[place][IDLE_TIMEOUT_S] * 1000 <= max(active_at, self.counted_ms):
            self.quiet_until_ms = 0  # it had gone idle in between, or was counted as idle before this was told
        activity[place] = active_at
        self.latest_active = max(self.latest_active, active_at)


def row_of(login: Login) -> Row:
    """A login as pages keep it."""
    return login[:]  # a slice of a NamedTuple is a plain tuple
