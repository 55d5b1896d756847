"""The session table: one record per login id, and what follows from it. DESIGN section 3 is the law.

Rules of this file:

- `merge` is the only way in for what others say; `add` the short way for one login made here. Both only go up in
  the lattice of protocol.session, record by record: any order and any repetition leaves the same table.
- Nothing disappears but by `sweep`, when no living copy can exist anywhere. A full table refuses logins that it does
  not know; it takes ends of logins that it never saw a quarter beyond its bound, and drops nothing.
- Time decides expiry, idle death and who is shown, and refuses stamps that cannot be honest. Nothing else.
- No answer depends on an index alone: an index names candidates, the page tells what they are.

Theory. Records live in pages (protocol.page). Two indexes, by key and by user, name the records that have not ended,
idle-dead and expired ones too, because the next login or logout must end those as well. A batch of fresh logins goes
in by slices and column operations; everything else goes record by record.

A touch of a login that is not known is lost: there is no record to keep it in. Whoever sent it sends the login too,
and activity is sent again after every comparison.

All times are milliseconds of cluster time. Nothing here blocks or raises on what peers say.
"""

from collections.abc import Collection, Iterator

from protocol import limits
from protocol.barriers import Barriers
from protocol.changes import Changes
from protocol.digest import Digest
from protocol.disclosure import Disclosure
from protocol.filter import Filter
from protocol.items import Items
from protocol.merging import Merge
from protocol.page import ALIVE, KEY, NO_LEAF, USER, Page, row_of
from protocol.pages import Pages
from protocol.records import Counts, Merged, Records
from protocol.selection import Selection
from protocol.session import Login, LoginId, Origin, Record

QUIET_PAGES = 16
"""How many pages `sweep` may pass over for each that it looks at closely."""

_EVER_MS = 1 << 62
"""Later than all times."""

__all__ = ["Counts", "Merged", "Table"]


class Table(Disclosure):
    """All sessions and tombstones that one node knows, and beside them its `items`."""

    def __init__(
        self,
        *,
        digest_key: bytes,
        max_clock_offset_ms: int = limits.MAX_CLOCK_OFFSET_MS,
        records_max: int = limits.SESSIONS_MAX,
    ) -> None:
        self._doubt_ms = 2 * max_clock_offset_ms  # how far two honest stamps of one instant may lie apart
        self._digest_key = digest_key
        self._selections: dict[Filter, Selection] = {}
        barriers, items = Barriers(digest_key), Items(digest_key)
        known = Records(records_max, barriers)
        self._pages = known.pages
        self._by_key = known.by_key
        digest = Digest(digest_key, known.pages.by_handle, known.changed, barriers, items)
        super().__init__(known, barriers, items, digest, max_clock_offset_ms)
        self._disputed: dict[str, LoginId] = {}  # by key, whom a conflict hides, so that each is counted once
        self._to_sweep: list[int] = []
        self.timed_out: list[Record] | None = None  # see watch_timeouts

    @property
    def ended(self) -> int:
        """How many tombstones there are."""
        return self._records.ended

    @property
    def alive(self) -> int:
        """How many are alive, as the last round of `sweep` found, adjusted since by logins and ends."""
        return self._records.alive

    @property
    def users(self) -> int:
        """How many users have a session that is alive; where some only have idle ones, a few more."""
        return min(self.alive, len(self._records.by_user))

    @property
    def counts(self) -> Counts:
        return self._records.counts

    @property
    def observed(self) -> bool:
        """Whether merges tell what they opened and closed."""
        return self._records.observed

    @observed.setter
    def observed(self, observed: bool) -> None:
        self._records.observed = observed

    # -- what others say -----------------------------------------------------------------------------------------

    def merge(self, changes: Changes, now_ms: int | None) -> Merged:
        """Take in what a peer, a store or an act says. Marks mean nothing here: see acts.marked.

        Without `now_ms` nothing is refused for its stamps: somebody else has let it in before, and what time it is
        nobody here can tell yet. That `changes` is within the bounds of the language is the caller's duty (the codec
        checks what peers send).
        """
        if now_ms is None:
            merge = Merge(self._records, 0, _EVER_MS, _EVER_MS)
        else:
            merge = Merge(self._records, now_ms, self._doubt_ms, self.kept_ms)
        for login_run in changes.logins:
            merge.logins(login_run)
        for end_run in changes.ends:
            merge.ends(end_run)
        for touch_run in changes.touches:
            merge.touches(touch_run)
        for barrier in changes.barriers:
            merge.barrier(barrier)
        for item in changes.items:
            merge.item(item, self.items)
        return merge.merged

    def add(self, origin: Origin, sequence: int, login: Login) -> None:
        """Take in one login just made here, under a login id that nobody has seen. The caller heeds `full`."""
        self._records.put(origin, sequence, row_of(login), ALIVE, login.login_at)

    def touch(self, login_id: LoginId, active_at: int) -> bool:
        """Raise the last activity of a login that has not ended; False when that changes nothing."""
        found = self._records.find(login_id[:2], login_id.sequence)
        if found is None:
            return False
        page, place = found
        return page.states[place] == ALIVE and page.touch(place, active_at)

    def restamp(self, login_id: LoginId, active_at: int) -> None:
        """Set a login's last activity anew, back too: for a proxy's own stamps, before anyone else sees them."""
        found = self._records.find(login_id[:2], login_id.sequence)
        if found is not None:
            page, place = found
            page.restamp(place, active_at)

    def shift(self, origin: Origin, delta_ms: int) -> None:
        """Move every time of an origin's logins: for a proxy's own, at its first link, before anyone else sees them."""
        for page in self._pages.of_origin(origin):
            page.shift(delta_ms)
            self._records.changed.add(page.handle)

    # -- questions -----------------------------------------------------------------------------------------------

    @property
    def full(self) -> bool:
        """Whether a new login must be refused."""
        return not self._records.has_room(ALIVE, new_page=True)

    def record(self, login_id: LoginId) -> Record | None:
        """The record of a login, ended or not."""
        found = self._records.find(login_id[:2], login_id.sequence)
        if found is None:
            return None
        page, place = found
        return page.record(place)

    def view(self, key: str, now_ms: int) -> Record | None:
        """Who is logged in under the key: the alive record with the greatest (login_at, login_id).

        Nobody, when another user is alive there within 2 x max clock offset of it: clocks cannot tell who it is.
        """
        handles = self._by_key.get(key)
        if len(handles) == 1:
            (handle,) = handles
            page, place = self._pages.at(handle)
            return page.record(place) if self._records.is_alive(page, place, now_ms) else None
        contenders = self.contenders(key, now_ms)
        if len(contenders) > 1:
            self._count_dispute(key, contenders[0].login_id)
            return None
        return contenders[0] if contenders else None

    def contenders(self, key: str, now_ms: int) -> list[Record]:
        """The record that is shown under the key; all those, latest first, of which clocks cannot tell which it is."""
        alive = []
        for handle in self._by_key.get(key):
            page, place = self._pages.at(handle)
            if self._records.is_alive(page, place, now_ms):
                alive.append(page.record(place))
        if len(alive) < 2:
            return alive
        alive.sort(key=lambda record: (record.login.login_at, record.login_id), reverse=True)
        shown = alive[0].login
        near = [record for record in alive if record.login.login_at >= shown.login_at - self._doubt_ms]
        return near if any(record.login.user != shown.user for record in near) else near[:1]

    def holds(self, key: str) -> bool:
        """Whether any record under the key has not ended."""
        return key in self._by_key

    def held(self, key: str) -> list[Record]:
        """Every record under the key that has not ended, idle-dead and expired ones too."""
        return self._held(self._by_key.get(key))

    def held_of(self, user: str) -> list[Record]:
        """Every record of the user that has not ended, idle-dead and expired ones too."""
        return self._held(self._records.by_user.get(user))

    def sessions(self, now_ms: int) -> Iterator[Record]:
        """Every record that is shown under its key; the table may change meanwhile."""
        for page in self._pages:
            for place in page.taken():
                if not self._records.is_alive(page, place, now_ms):
                    continue
                record = page.record(place)
                if len(self._by_key.get(record.login.key)) == 1 or self.view(record.login.key, now_ms) == record:
                    yield record

    def traces(self, key: str, user: str) -> Iterator[list[Record]]:
        """Every record of a key or of a user, ended ones too: page by page, so that the caller can pause in between.

        Walks the whole table, 20 us a page; the table may change meanwhile.
        """
        for page in self._pages:
            fits = [place for place, row in enumerate(page.rows) if row[KEY] == key or row[USER] == user]
            yield [page.record(place) for place in fits if page.states[place]]

    def barrier(self, user: str) -> int:
        """The time of the user's last logout(user); -1 when there is none."""
        return self._barriers.get(user)

    # -- what others are shown -----------------------------------------------------------------------------------

    def selection(self, filter: Filter) -> Disclosure:
        """What is disclosed to those for whom there is a filter; the same one each time, the table itself for none.

        The first question to a new one costs some microseconds a record.
        """
        if not filter:
            return self
        found = self._selections.get(filter)
        if found is None:
            found = self._selections[filter] = Selection(self, filter, self._digest_key)
            self._digest.others.append(found.changed)
        return found

    def _shown(self, touched_ms: int) -> Pages:
        return self._pages

    def _shown_page(self, origin: Origin, sequence: int) -> Page | None:
        return self._pages.get(origin, sequence)

    # -- upkeep --------------------------------------------------------------------------------------------------

    def sweep(self, now_ms: int, pages: int) -> bool:
        """Look after the next pages, `pages` of them closely: forget what no living copy can exist of, recount `alive`.

        A page on which nothing can have died since it was counted is passed over, at a thirtieth of the cost.
        A page goes when its last record is past expiry by 2 x max clock offset and by every cut that a digest may
        still be asked for. True when a round through the whole table is done; call again for the next. Whoever has
        called `watch_timeouts` finds in `timed_out` what has gone idle or expired since the round before.
        """
        if not self._to_sweep:
            self._to_sweep = list(self._pages.by_handle)
        for _ in range(min(QUIET_PAGES * pages, len(self._to_sweep))):
            page = self._pages.by_handle.get(self._to_sweep.pop())
            if page is None:
                continue
            past = page.latest + self.kept_ms <= now_ms
            if not past and page.quiet_until_ms > now_ms:
                continue
            if not pages:
                self._to_sweep.append(page.handle)
                break
            pages -= 1
            if past:
                self._digest.close(page)
                for selection in self._selections.values():
                    selection.close(page)
                self._records.forget(page)
            else:
                died = self._records.count_alive(page, now_ms)
                if died and self.timed_out is not None:
                    self.timed_out += map(page.record, died)
        if self._to_sweep:
            return False
        self._barriers.forget(now_ms - limits.BARRIER_KEPT_MS - self.kept_ms)
        self.items.forget(now_ms - self.kept_ms)
        self._disputed = {key: login_id for key, login_id in self._disputed.items() if len(self._by_key.get(key)) > 1}
        return True

    def watch_timeouts(self) -> list[Record]:
        """From now on `sweep` keeps what has timed out; returns that of the time since the last call.

        Activity that was late to arrive may bring an idle session back; it is kept again when it goes idle again.
        """
        taken, self.timed_out = self.timed_out or [], []
        return taken

    def rekey(self, digest_key: bytes) -> None:
        """Key the digest anew: the secret's oldest line has changed. The next root costs as much as the first did."""
        self._barriers.rekey(digest_key)
        self.items.rekey(digest_key)
        for page in self._pages:
            page.leaf = NO_LEAF
            self._records.changed.add(page.handle)
        others = self._digest.others
        self._digest = Digest(digest_key, self._pages.by_handle, self._records.changed, self._barriers, self.items)
        self._digest.others += others
        self._digest_key = digest_key
        for selection in self._selections.values():
            selection.rekey(digest_key)

    def _held(self, handles: Collection[int]) -> list[Record]:
        return [page.record(place) for page, place in map(self._pages.at, handles)]

    def _count_dispute(self, key: str, hidden: LoginId) -> None:
        if self._disputed.get(key) != hidden:
            self._disputed[key] = hidden
            self.counts.key_conflicts += 1
