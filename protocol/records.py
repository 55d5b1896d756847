"""All records of a table, with their indexes and counts. Takes records in; knows runs, times and views not at all.

Rules of this file:

- Only here do pages, indexes and counts change, so that they always agree.
- The indexes hold exactly the records whose state is ALIVE, be they idle-dead, expired or behind a barrier.
- `changed` names every page whose State bytes, or times of expiry, changed since the digest last looked.
- Whatever grows is bounded: records, pages (so that scattered sequences cost no more than they hold) and, a quarter
  beyond, ends of logins never seen.
"""

from itertools import compress

import attrs

from protocol import limits
from protocol.barriers import Barriers
from protocol.index import Index
from protocol.page import ALIVE, KEY, LOGIN_AT, USER, Page, Row
from protocol.pages import PLACE_MASK, Pages
from protocol.session import Login, LoginId, Origin, Record, State


@attrs.define
class Counts:
    """What has happened to a table since it was made."""

    conflicts: int = 0  # one login id with two contents
    key_conflicts: int = 0  # two users alive under one key, too close for clocks
    refused_expired: int = 0  # arrived when no living copy could exist any more
    refused_ahead: int = 0  # stamped further ahead than clocks may differ
    refused_full: int = 0  # beyond the bound on records, pages or barriers
    resurrections_blocked: int = 0  # alive copies of logins known to have ended


@attrs.define
class Merged:
    """What one merge did. Filled by the table, then the caller's.

    `fresh` counts logins not known before, `ended` records newly ended (tombstones of unseen logins included),
    `touched` records whose last activity rose. `keys` are those whose view may have changed, some perhaps twice.
    `opened`, and `closed` (the record before, and the state that closed it), are filled only while Table.observed.
    """

    changed: bool = False
    fresh: int = 0
    ended: int = 0
    touched: int = 0
    refused: int = 0
    keys: list[str] = attrs.field(factory=list)
    opened: list[LoginId] = attrs.field(factory=list)
    closed: list[tuple[Record, State]] = attrs.field(factory=list)


@attrs.define
class Piece:
    """Logins with consecutive sequences from `first` on that stand on one page, in columns of equal length."""

    origin: Origin
    first: int
    rows: list[Row]
    keys: list[str]
    users: list[str]
    expires_at: list[int]
    states: bytes
    active_at: list[int] | None


class Records:
    """Every record that one node knows."""

    def __init__(self, records_max: int, barriers: Barriers) -> None:
        self.pages = Pages()
        self.by_key = Index()
        self.by_user = Index()
        self.barriers = barriers
        self.changed: set[int] = set()
        self.count = 0
        self.ended = 0
        self.alive = 0
        self.counts = Counts()
        self.observed = False
        self.records_max = records_max
        self._login_bounds = _bounds(records_max)
        self._end_bounds = _bounds(records_max + records_max // 4)

    def find(self, origin: tuple[str, int], sequence: int) -> tuple[Page, int] | None:
        """Page and place of a record, if there is one."""
        page = self.pages.get(origin, sequence)
        place = sequence & PLACE_MASK
        return (page, place) if page is not None and page.states[place] else None

    def has_room(self, state: int, new_page: bool, count: int = 1) -> bool:
        """Whether records not known yet can be taken: ends go a quarter beyond what logins may fill."""
        records_max, pages_max = self._login_bounds if state == ALIVE else self._end_bounds
        return self.count + count <= records_max and not (new_page and len(self.pages.by_handle) >= pages_max)

    def take_piece(self, piece: Piece, merged: Merged) -> bool:
        """Take logins that are all unknown; False, and nothing done, when they are not, or there is no room."""
        count = len(piece.rows)
        page = self.pages.get(piece.origin, piece.first)
        low = piece.first & PLACE_MASK
        if page is not None and not page.is_empty(low, low + count):
            return False
        if not self.has_room(ALIVE, page is None, count):
            return False
        page = page or self.pages.make(piece.origin, piece.first)
        page.put(low, piece.rows, piece.states, piece.expires_at, piece.active_at)
        self.count += count
        self.changed.add(page.handle)
        merged.changed = True

        handles = list(range(page.handle + low, page.handle + low + count))
        keys, users = piece.keys, piece.users
        alive = piece.states.count(ALIVE)
        if alive < count:
            living = [state == ALIVE for state in piece.states]
            keys, users = list(compress(keys, living)), list(compress(users, living))
            handles = list(compress(handles, living))
            self.ended += count - alive
            merged.ended += count - alive
        self.by_key.add_all(keys, handles)
        self.by_user.add_all(users, handles)
        self.alive += alive
        page.alive += alive
        merged.fresh += alive
        merged.keys += keys
        if self.observed:
            for handle in handles:
                self._note_opened(page, handle & PLACE_MASK, merged)
        return True

    def take(self, origin: Origin, sequence: int, row: Row, state: int, active_at: int, merged: Merged) -> None:
        """Merge one record in, whatever is known of it."""
        page = self.pages.get(origin, sequence)
        place = sequence & PLACE_MASK
        if page is not None and page.states[place]:
            self._join(page, place, row, state, active_at, merged)
            return
        if not self.has_room(state, page is None):
            self.counts.refused_full += 1
            merged.refused += 1
            return
        page = self.put(origin, sequence, row, state, active_at)
        merged.changed = True
        if state == ALIVE:
            merged.fresh += 1
            merged.keys.append(row[KEY])
            if self.observed:
                self._note_opened(page, place, merged)
        else:
            merged.ended += 1

    def put(self, origin: Origin, sequence: int, row: Row, state: int, active_at: int) -> Page:
        """Take one record that is unknown, which is the caller's duty."""
        page = self.pages.get(origin, sequence) or self.pages.make(origin, sequence)
        place = sequence & PLACE_MASK
        assert not page.states[place], "a login id is used once"
        page.put_one(place, row, state, active_at)
        self.changed.add(page.handle)
        self.count += 1
        if state == ALIVE:
            handle = page.handle + place
            self.by_key.add(row[KEY], handle)
            self.by_user.add(row[USER], handle)
            self.alive += 1
            page.alive += 1
        else:
            self.ended += 1
        return page

    def end(self, page: Page, place: int, state: int, merged: Merged) -> None:
        """Raise the state of a known record to an end, if it is higher."""
        before = page.states[place]
        if state <= before:
            return
        merged.changed = True
        if before == ALIVE:
            self._leave(page, place, page.rows[place], state, merged)
        page.states[place] = state
        self.changed.add(page.handle)

    def raise_barrier(self, user: str, at: int, merged: Merged) -> None:
        """Raise the user's barrier, if it is later."""
        before = self.barriers.get(user)
        if not self.barriers.rise(user, at):
            return
        merged.changed = True
        for handle in self.by_user.get(user):
            page, place = self.pages.at(handle)
            page.quiet_until_ms = 0
            merged.keys.append(page.rows[place][KEY])
            if self.observed and before < page.rows[place][LOGIN_AT] <= at:
                merged.closed.append((page.record(place), State.LOGGED_OUT))

    def forget(self, page: Page) -> None:
        """Drop a page with all that stands on it."""
        for place in page.taken():
            self.count -= 1
            if page.states[place] == ALIVE:
                self._unindex(page.rows[place], page.handle + place)
            else:
                self.ended -= 1
        self.alive -= page.alive
        self.pages.forget(page)

    def is_alive(self, page: Page, place: int, now_ms: int) -> bool:
        """session.alive for the record at a taken place."""
        if page.states[place] != ALIVE:
            return False
        _, user, _, login_at, expires_at, idle_timeout_s, _ = page.rows[place]
        return (
            now_ms < expires_at
            and now_ms < page.active_at(place) + idle_timeout_s * 1000
            and login_at > self.barriers.get(user)
        )

    def count_alive(self, page: Page, now_ms: int) -> list[int]:
        """Correct `alive` by what has died of itself on a page since it was last counted, and return its places.

        What was dead already when the page was first counted is not among them: it died elsewhere, or long ago.
        """
        since_ms, page.counted_ms = page.counted_ms, now_ms
        places = page.taken()
        alive = [place for place in places if self.is_alive(page, place, now_ms)]
        self.alive += len(alive) - page.alive
        page.alive = len(alive)
        page.quiet_until_ms = min(map(page.dies_at, alive), default=page.latest)
        if not since_ms or len(alive) == len(places):
            return []
        living = set(alive)
        return [place for place in places if place not in living and self.is_alive(page, place, since_ms)]

    def _join(self, page: Page, place: int, row: Row, state: int, active_at: int, merged: Merged) -> None:
        """Merge a copy of a known record in."""
        row_before, before = page.rows[place], page.states[place]
        if before > ALIVE and state == ALIVE:
            self.counts.resurrections_blocked += 1
        if not page.join(place, row, state, active_at):
            return
        merged.changed = True
        state = page.states[place]
        if page.rows[place] is not row_before:  # the content kept of a conflict may expire beyond another cut
            self.changed.add(page.handle)
        if state == before:
            if state == ALIVE:
                merged.touched += 1
                merged.keys.append(row[KEY])
            return
        self.changed.add(page.handle)
        if state == State.CONFLICT:
            self.counts.conflicts += 1
        if before == ALIVE:
            self._leave(page, place, row_before, state, merged)

    def _leave(self, page: Page, place: int, row: Row, state: int, merged: Merged) -> None:
        """An alive record, which had this content, has come to this end."""
        self._unindex(row, page.handle + place)
        self.ended += 1
        if page.alive:  # not so when it was idle-dead and upkeep had counted it out
            page.alive -= 1
            self.alive -= 1
        merged.ended += 1
        merged.keys.append(row[KEY])
        if self.observed:
            login_id = LoginId(*page.origin, page.first + place)
            record = Record(login_id, Login._make(row), page.active_at(place), State.ALIVE)
            merged.closed.append((record, State(state)))

    def _unindex(self, row: Row, handle: int) -> None:
        self.by_key.remove(row[KEY], handle)
        self.by_user.remove(row[USER], handle)

    def _note_opened(self, page: Page, place: int, merged: Merged) -> None:
        row = page.rows[place]
        if row[LOGIN_AT] > self.barriers.get(row[USER]):
            merged.opened.append(LoginId(*page.origin, page.first + place))


def _bounds(records_max: int) -> tuple[int, int]:
    """The bound on records, and the one on pages that goes with it."""
    return records_max, max(records_max // limits.PAGE_RECORDS_MIN, limits.PAGES_MIN)
