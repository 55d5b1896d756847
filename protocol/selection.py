"""A table as another site is shown it: the sessions that a filter lets pass, and every end.

Rules of this file:

- Shown are: alive logins that pass; all records that have ended, those that would not pass as ends without their
  content; barriers and items. So both sides show the same as soon as each knows all that the other shows.
- It has a digest of its own, kept up to date by what the table's own digest has found to be changed. A table without
  selections pays nothing; a selection that is not asked for only gathers handles of pages.
- A login is judged once: what is judged does not change while it is alive. One in conflict is judged anew.

Source: DESIGN section 4 (WAN, "a second trie of what crosses").
"""

from collections.abc import Callable, Iterator
from typing import Final

from protocol.digest import Digest
from protocol.disclosure import Disclosure
from protocol.filter import Filter
from protocol.page import ALIVE, EXPIRES_AT, KEY, NO_LEAF, PLACES, SITE, USER, Page, Row, row_of
from protocol.session import Login, Origin, State, partial_login

_UNJUDGED, _PASSES, _HIDDEN, _BARE = range(4)
"""Verdicts on the places of a page. _BARE: an end without its login; that may come yet, ended."""

_VERDICT: Final = 16
"""A pair is a verdict times this plus a State, in one byte; all pairs of a page are made as one integer."""


def _table(of: Callable[[int, int], int]) -> bytes:
    """A table for bytes.translate: what becomes of each pair."""
    return bytes(of(*divmod(pair, _VERDICT)) for pair in range(256))


_MASKED: Final = _table(lambda verdict, state: 0 if verdict == _HIDDEN and state == ALIVE else state)
_NEW: Final = _table(lambda verdict, state: state > 0 and verdict == _UNJUDGED)
_DOUBTFUL: Final = _table(
    lambda verdict, state: state > 0 and (verdict in (_UNJUDGED, _BARE) or state == State.CONFLICT)
)


class MaskedPage:
    """One page, of which what a filter hides is absent. The facts that a digest needs are those of the page."""

    __slots__ = ("_filter", "_page", "_verdicts", "leaf")

    def __init__(self, page: Page, filter: Filter) -> None:
        self.leaf = NO_LEAF
        self._page = page
        self._filter = filter
        self._verdicts = bytearray(PLACES)

    @property
    def origin(self) -> Origin:
        return self._page.origin

    @property
    def first(self) -> int:
        return self._page.first

    @property
    def handle(self) -> int:
        return self._page.handle

    @property
    def label(self) -> bytes:
        return self._page.label

    @property
    def earliest(self) -> int:
        return self._page.earliest

    @property
    def latest(self) -> int:
        return self._page.latest

    @property
    def states(self) -> bytes:
        """The State bytes, those of alive logins that do not pass as ABSENT."""
        self._judge(_NEW)
        return self._masked()

    def states_after(self, cut_ms: int) -> bytes:
        """As Page.states_after, masked."""
        return self.shown().states_after(cut_ms)

    def shown(self) -> Page:
        """The page as it is disclosed: itself where nothing is hidden, else a copy to be read at once."""
        page = self._page
        self._judge(_DOUBTFUL)
        if _HIDDEN not in self._verdicts:
            return page
        copy = Page(page.origin, page.first // PLACES, page.handle)
        copy.earliest, copy.latest = page.earliest, page.latest
        copy.active, copy.latest_active = page.active, page.latest_active
        copy.states[:] = self._masked()
        copy.rows = [
            _bare(row) if verdict == _HIDDEN else row for row, verdict in zip(page.rows, self._verdicts, strict=True)
        ]
        return copy

    def _masked(self) -> bytes:
        return self._pairs().translate(_MASKED)

    def _pairs(self) -> bytes:
        verdicts, states = int.from_bytes(self._verdicts, "big"), int.from_bytes(self._page.states, "big")
        return (verdicts * _VERDICT + states).to_bytes(PLACES, "big")

    def _judge(self, which: bytes) -> None:
        """Judge the places that one of the tables names."""
        marked, rows = self._pairs().translate(which), self._page.rows
        place = marked.find(True)
        while place >= 0:
            row = rows[place]
            if row[SITE] is None:
                self._verdicts[place] = _BARE
            else:
                self._verdicts[place] = _PASSES if self._filter.passes(Login._make(row)) else _HIDDEN
            place = marked.find(True, place + 1)


class MaskedPages(dict[int, MaskedPage]):
    """Masked pages by handle, each made when it is first asked for."""

    def __init__(self, pages: dict[int, Page], filter: Filter) -> None:
        super().__init__()
        self._pages = pages
        self._filter = filter

    def __missing__(self, handle: int) -> MaskedPage:
        made = self[handle] = MaskedPage(self._pages[handle], self._filter)
        return made


class MaskedDigest(Digest):
    """The digest of masked pages. The table's own settles first: it tells which pages have changed."""

    def __init__(self, whole: Disclosure, masked: MaskedPages, changed: set[int], key: bytes) -> None:
        super().__init__(key, masked, changed, whole._barriers, whole.items)
        self._whole = whole

    def settle(self) -> None:
        self._whole._digest.settle()
        super().settle()


class Selection(Disclosure):
    """What a filter lets pass of a table.

    The table's digest must add the handles of all pages that change to `changed`. Table.selection sees to that, and
    tells of pages that go and of a new key.
    """

    def __init__(self, whole: Disclosure, filter: Filter, digest_key: bytes) -> None:
        pages = whole._records.pages.by_handle
        self.changed = set(pages)
        self._whole = whole
        self._masked = MaskedPages(pages, filter)
        digest = MaskedDigest(whole, self._masked, self.changed, digest_key)
        super().__init__(whole._records, whole._barriers, whole.items, digest, whole.max_clock_offset_ms)

    def close(self, page: Page) -> None:
        """Leave out a page that the table forgets."""
        self.changed.discard(page.handle)
        masked = self._masked.pop(page.handle, None)
        if masked is not None:
            self._digest.close(masked)

    def rekey(self, digest_key: bytes) -> None:
        """Key the digest anew, after the table's own, which then tells that every page has changed."""
        for masked in self._masked.values():
            masked.leaf = NO_LEAF
        self._digest = MaskedDigest(self._whole, self._masked, self.changed, digest_key)

    def _shown(self, touched_ms: int) -> Iterator[Page]:
        pages = self._records.pages
        return (self._masked[page.handle].shown() for page in pages if page.latest_active >= touched_ms)

    def _shown_page(self, origin: Origin, sequence: int) -> Page | None:
        found = self._records.pages.get(origin, sequence)
        return None if found is None else self._masked[found.handle].shown()


def _bare(row: Row) -> Row:
    """What is disclosed of a login that does not pass and has ended."""
    return row_of(partial_login(row[KEY], row[USER], row[EXPIRES_AT]))
