"""Pages as changes: the way out of a table, for a comparison, a snapshot, or touches after a lost cursor.

Rules of this file:

- A record leaves as it stands: a whole login in a LoginRun with its state, a partial one (an end that overtook its
  login) in an EndRun. Whoever merges it has the same record.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from protocol.changes import Barrier, Changes, EndRun, LoginRun, TouchRun
from protocol.page import ALIVE, EXPIRES_AT, LOGIN_AT, SITE, Page


def of_page(page: Page, places: Sequence[int]) -> tuple[list[LoginRun], list[EndRun]]:
    """The records at some taken places, ascending, of a page."""
    by_site: dict[str | None, list[int]] = {}
    for place in places:
        by_site.setdefault(page.rows[place][SITE], []).append(place)
    partial = by_site.pop(None, None)
    logins = [_logins(page, site, same_site) for site, same_site in by_site.items() if site is not None]
    return logins, [_ends(page, partial)] if partial else []


def touches(page: Page, since_ms: int) -> TouchRun | None:
    """The activity since a time, later than the login itself, of logins of a page that have not ended."""
    if page.active is None or page.latest_active < since_ms:
        return None
    places = [
        place
        for place, active_at in enumerate(page.active)
        if active_at >= since_ms and page.states[place] == ALIVE and active_at > page.rows[place][LOGIN_AT]
    ]
    if not places:
        return None
    return TouchRun(page.origin, _sequences(page, places), [page.active[place] for place in places])


def slices(pages: Iterable[Page], barriers: Iterable[Barrier], expired_ms: int, records: int) -> Iterator[Changes]:
    """Everything that expires after `expired_ms`, in batches of at least `records` and at most 255 more."""
    left = iter(barriers)
    while batch := tuple(islice(left, records)):
        yield Changes(barriers=batch)
    logins: list[LoginRun] = []
    ends: list[EndRun] = []
    count = 0
    for page in pages:
        places = page.taken()
        if page.earliest <= expired_ms:
            places = [place for place in places if page.rows[place][EXPIRES_AT] > expired_ms]
        page_logins, page_ends = of_page(page, places)
        logins += page_logins
        ends += page_ends
        count += len(places)
        if count >= records:
            yield Changes(tuple(logins), tuple(ends))
            logins, ends, count = [], [], 0
    if count:
        yield Changes(tuple(logins), tuple(ends))


def touch_slices(pages: Iterable[Page], since_ms: int, records: int) -> Iterator[Changes]:
    """The activity since a time, in batches of at least `records` and at most 255 more."""
    runs: list[TouchRun] = []
    count = 0
    for page in pages:
        run = touches(page, since_ms)
        if run is None:
            continue
        runs.append(run)
        count += len(run.sequences)
        if count >= records:
            yield Changes(touches=tuple(runs))
            runs, count = [], 0
    if runs:
        yield Changes(touches=tuple(runs))


def marked_places(page: Page, mask: bytes) -> list[int]:
    """The taken places that a bit mask names: place p is bit p % 8 (from the lowest) of byte p // 8."""
    bits = int.from_bytes(mask, "little")
    return [place for place in page.taken() if bits >> place & 1]


def _logins(page: Page, site: str, places: Sequence[int]) -> LoginRun:
    keys, users, _, login_at, expires_at, idle_timeout_s, attributes = zip(
        *[page.rows[place] for place in places], strict=True
    )
    states = bytes([page.states[place] for place in places])
    active_at = None if page.active is None else [page.active[place] for place in places]
    return LoginRun(
        page.origin,
        _sequences(page, places),
        site,
        list(keys),
        list(users),
        list(login_at),
        list(expires_at),
        list(idle_timeout_s),
        list(attributes),
        active_at,
        None if states.count(ALIVE) == len(states) else states,
    )


def _ends(page: Page, places: Sequence[int]) -> EndRun:
    keys, users, _, _, expires_at, _, _ = zip(*[page.rows[place] for place in places], strict=True)
    states = bytes([page.states[place] for place in places])
    return EndRun(page.origin, _sequences(page, places), states, list(keys), list(users), list(expires_at))


def _sequences(page: Page, places: Sequence[int]) -> Sequence[int]:
    first, last = page.first + places[0], page.first + places[-1]
    if last - first == len(places) - 1:
        return range(first, last + 1)
    return [page.first + place for place in places]
