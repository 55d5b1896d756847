"""One merge: batches of changes, run by run, into the records of a table.

Rules of this file:

- Stamps that cannot be honest refuse their record, never the batch and never the link: what arrives when every table
  has forgotten it (`kept_ms` after its expiry), and what is stamped further than 2 x max clock offset ahead of now. The
  rest of a batch goes on.
- A run of consecutive logins is tried page by page in one piece; whatever is known already goes one by one.

Theory. Checking a column costs one min or max; only a column that fails is looked at one by one.
"""

from collections.abc import Sequence
from itertools import repeat
from sys import intern
from typing import Final

import attrs

from protocol import limits
from protocol.changes import Barrier, EndRun, LoginRun, TouchRun
from protocol.item import Item
from protocol.items import Items
from protocol.page import ALIVE, EXPIRES_AT, KEY, PLACES, USER, Row
from protocol.pages import PLACE_MASK
from protocol.records import Merged, Piece, Records

PIECE_MIN: Final = 6
"""A run shorter than this is taken one by one: cutting it to pieces would cost more."""


@attrs.define
class Merge:
    """One merge at `now_ms`; `doubt_ms` is 2 x max clock offset, `kept_ms` how long the expired is kept."""

    records: Records
    now_ms: int
    doubt_ms: int
    kept_ms: int
    merged: Merged = attrs.field(factory=Merged)

    def logins(self, run: LoginRun) -> None:
        """Take in logins, alive or ended."""
        users = list(map(intern, run.users))  # the same users come again and again: keep one string of each
        rows: list[Row] = list(
            zip(run.keys, users, repeat(run.site), run.login_at, run.expires_at, run.idle_timeout_s, run.attributes)
        )
        states = run.states or bytes([ALIVE]) * len(rows)
        stamps = [run.login_at] if run.active_at is None else [run.login_at, run.active_at]
        singly = self._admitted(run.expires_at, stamps)
        sequences = run.sequences
        if singly is None and isinstance(sequences, range) and sequences.step == 1 and len(rows) >= PIECE_MIN:
            singly = self._pieces(run, sequences, rows, users, states)
        active_at = run.active_at or run.login_at
        for n in range(len(rows)) if singly is None else singly:
            self.records.take(run.origin, sequences[n], rows[n], states[n], active_at[n], self.merged)

    def ends(self, run: EndRun) -> None:
        """Take in ends; of a login that is not known, as a tombstone without its login."""
        records, merged = self.records, self.merged
        admitted = self._admitted(run.expires_at, ())
        for n in range(len(run.sequences)) if admitted is None else admitted:
            key, user, expires_at = run.keys[n], run.users[n], run.expires_at[n]
            found = records.find(run.origin, run.sequences[n])
            if found is not None:
                page, place = found
                row = page.rows[place]
                if row[KEY] == key and row[USER] == user and row[EXPIRES_AT] == expires_at:
                    records.end(page, place, run.states[n], merged)
                    continue
            partial: Row = (key, intern(user), None, 0, expires_at, 0, ())
            records.take(run.origin, run.sequences[n], partial, run.states[n], 0, merged)

    def touches(self, run: TouchRun) -> None:
        """Take in activity of logins that are known and have not ended."""
        records, merged = self.records, self.merged
        ahead_ms = self.now_ms + self.doubt_ms
        for sequence, active_at in zip(run.sequences, run.active_at, strict=True):
            if active_at > ahead_ms:
                self._refuse_ahead()
                continue
            found = records.find(run.origin, sequence)
            if found is None:
                continue
            page, place = found
            if page.states[place] == ALIVE and page.touch(place, active_at):
                merged.changed = True
                merged.touched += 1
                merged.keys.append(page.rows[place][KEY])

    def barrier(self, barrier: Barrier) -> None:
        """Take in one logout of a user."""
        records, (user, at) = self.records, barrier
        if at > self.now_ms + self.doubt_ms:
            self._refuse_ahead()
        elif at + limits.BARRIER_KEPT_MS + self.kept_ms <= self.now_ms:
            self._refuse_expired()
        elif user not in records.barriers and len(records.barriers) >= records.records_max:
            records.counts.refused_full += 1
            self.merged.refused += 1
        else:
            records.raise_barrier(user, at, self.merged)

    def item(self, item: Item, items: Items) -> None:
        """Take in a copy of an item."""
        if item.expires_at + self.kept_ms <= self.now_ms:
            self._refuse_expired()
        elif item.made_at > self.now_ms + self.doubt_ms:
            self._refuse_ahead()
        elif (changed := items.merge(item)) is None:
            self.records.counts.refused_full += 1
            self.merged.refused += 1
        elif changed:
            self.merged.changed = True

    def _pieces(self, run: LoginRun, sequences: range, rows: list[Row], users: list[str], states: bytes) -> list[int]:
        """Take consecutive logins in page by page; the positions of those that must go one by one."""
        singly: list[int] = []
        start = 0
        while start < len(rows):
            end = min(start + PLACES - (sequences[start] & PLACE_MASK), len(rows))
            piece = Piece(
                run.origin,
                sequences[start],
                rows[start:end],
                run.keys[start:end],
                users[start:end],
                run.expires_at[start:end],
                states[start:end],
                None if run.active_at is None else run.active_at[start:end],
            )
            if not self.records.take_piece(piece, self.merged):
                singly.extend(range(start, end))
            start = end
        return singly

    def _admitted(self, expires_at: Sequence[int], stamps: Sequence[Sequence[int]]) -> list[int] | None:
        """The positions of a run whose times may be; None for all of them."""
        if not expires_at:
            return None
        expired_ms, ahead_ms = self.now_ms - self.kept_ms, self.now_ms + self.doubt_ms
        lifetime_end_ms = ahead_ms + limits.LIFETIME_MS_MAX
        latest_ms = max(map(max, stamps), default=0)
        if min(expires_at) > expired_ms and max(expires_at) <= lifetime_end_ms and latest_ms <= ahead_ms:
            return None
        admitted = []
        for n, expires in enumerate(expires_at):
            if expires <= expired_ms:
                self._refuse_expired()
            elif expires > lifetime_end_ms or any(column[n] > ahead_ms for column in stamps):
                self._refuse_ahead()
            else:
                admitted.append(n)
        return admitted

    def _refuse_expired(self) -> None:
        self.records.counts.refused_expired += 1
        self.merged.refused += 1

    def _refuse_ahead(self) -> None:
        self.records.counts.refused_ahead += 1
        self.merged.refused += 1
