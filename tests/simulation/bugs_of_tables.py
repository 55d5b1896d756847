"""Seeded bugs of the session table: merging, ends, expiry, digests and comparisons.

Rules of this file: see switchboard.py. Each bug is what a tired engineer might have written.
"""

from typing import Any

import attrs

from protocol import acts, limits, runs
from protocol.barriers import Barriers
from protocol.changes import Barrier, Changes, EndRun, TouchRun
from protocol.comparison import Comparison
from protocol.digest import Digest
from protocol.merging import Merge
from protocol.page import ALIVE, Page, Row
from protocol.records import Merged, Records
from protocol.session import State
from protocol.supply import Debt, Supply
from protocol.table import Table
from tests.simulation.switchboard import Patch, bug

# -- merging -----------------------------------------------------------------------------------------------------


@bug
def last_copy_wins(patch: Patch) -> None:
    """The last copy of a record that arrives wins, instead of the greater state."""

    def join(page: Page, place: int, row: Row, state: int, active_at: int) -> bool:
        before = page.states[place]
        changed = bool(right(page, place, row, state, active_at))
        page.states[place] = state
        return changed or state != before

    right = patch.set(Page, "join", join)


@bug
def no_tombstone(patch: Patch) -> None:
    """An end removes its record, instead of leaving a tombstone."""

    def end(records: Records, page: Page, place: int, state: int, merged: Merged) -> None:
        alive = page.states[place] == State.ALIVE
        right(records, page, place, state, merged)
        if alive:
            page.states[place] = State.ABSENT
            records.count -= 1
            records.ended -= 1

    right = patch.set(Records, "end", end)


@bug
def tombstone_dropped_early(patch: Patch) -> None:
    """A page is forgotten when all its logins have ended, instead of when none can live any more."""

    def sweep(table: Table, now_ms: int, pages: int) -> bool:
        for page in list(table._pages):
            if all(state != ALIVE for state in page.states):
                table._digest.close(page)
                table._records.forget(page)
        return bool(right(table, now_ms, pages))

    right = patch.set(Table, "sweep", sweep)


@bug
def end_needs_a_login(patch: Patch) -> None:
    """An end that overtakes its login is dropped, instead of being kept as a tombstone."""

    def ends(merge: Merge, run: EndRun) -> None:
        known = [n for n, sequence in enumerate(run.sequences) if merge.records.find(run.origin, sequence)]
        right(
            merge,
            EndRun(
                run.origin,
                [run.sequences[n] for n in known],
                bytes(run.states[n] for n in known),
                [run.keys[n] for n in known],
                [run.users[n] for n in known],
                [run.expires_at[n] for n in known],
            ),
        )

    right = patch.set(Merge, "ends", ends)


@bug
def touch_revives(patch: Patch) -> None:
    """Activity brings an ended session back."""

    def touches(merge: Merge, run: TouchRun) -> None:
        for sequence in run.sequences:
            found = merge.records.find(run.origin, sequence)
            if found is not None:
                page, place = found
                if page.states[place] == State.SUPERSEDED and page.rows[place][2] is not None:
                    page.states[place] = ALIVE
                    merge.records.changed.add(page.handle)
                    merge.records.by_key.add(page.rows[place][0], page.handle + place)
                    merge.records.by_user.add(page.rows[place][1], page.handle + place)
        right(merge, run)

    right = patch.set(Merge, "touches", touches)


@bug
def touch_is_no_news(patch: Patch) -> None:
    """Activity is merged and not passed on."""

    def touches(merge: Merge, run: TouchRun) -> None:
        before = merge.merged.changed
        right(merge, run)
        merge.merged.changed = before

    right = patch.set(Merge, "touches", touches)


@bug
def barrier_ignored(patch: Patch) -> None:
    """The barrier of a logout of a user is not taken in from others."""
    patch.set(Merge, "barrier", lambda merge, barrier: None)


@bug
def expired_refused_at_once(patch: Patch) -> None:
    """What has just expired is refused though it counts in the digest: found by this simulation, and fixed."""

    def admitted(merge: Merge, expires_at: Any, stamps: Any) -> Any:
        merge.kept_ms = merge.doubt_ms
        return right(merge, expires_at, stamps)

    right = patch.set(Merge, "_admitted", admitted)


# -- life and death ----------------------------------------------------------------------------------------------


@bug
def lifetime_ignored(patch: Patch) -> None:
    """A session lives beyond its absolute lifetime."""

    def is_alive(records: Records, page: Page, place: int, now_ms: int) -> bool:
        return bool(right(records, page, place, min(now_ms, page.rows[place][4] - 1)))

    right = patch.set(Records, "is_alive", is_alive)


@bug
def idle_ignored(patch: Patch) -> None:
    """A session lives on though nobody was there for its idle timeout."""

    def is_alive(records: Records, page: Page, place: int, now_ms: int) -> bool:
        return bool(right(records, page, place, min(now_ms, page.active_at(place) + 1)))

    right = patch.set(Records, "is_alive", is_alive)


@bug
def idle_from_login(patch: Patch) -> None:
    """Idle time is counted from the login, whatever activity there was."""
    patch.set(Page, "active_at", lambda page, place: page.rows[place][3])


# -- acts --------------------------------------------------------------------------------------------------------


@bug
def login_supersedes_nobody(patch: Patch) -> None:
    """A new login leaves what was held under its key as it is."""

    def login(*given: Any, **more: Any) -> Any:
        done = right(*given, **more)
        return attrs.evolve(done, changes=attrs.evolve(done.changes, ends=()))

    right = patch.set(acts, "login", login)


@bug
def logout_of_the_shown_only(patch: Patch) -> None:
    """A logout of a key ends the session that is shown, and not what else is held under the key."""

    def logout_key(table: Table, key: str, *, now_ms: int, state: State = State.LOGGED_OUT) -> Changes:
        changes: Changes = right(table, key, now_ms=now_ms, state=state)
        view = table.view(key, now_ms)
        return attrs.evolve(changes, ends=() if view is None else acts.ends_of([view], state))

    right = patch.set(acts, "logout_key", logout_key)


@bug
def logout_of_a_user_without_barrier(patch: Patch) -> None:
    """A logout of a user ends what is known, and stands in the way of nothing else."""

    def logout_user(table: Table, user: str, **more: Any) -> Changes:
        changes: Changes = right(table, user, **more)
        return attrs.evolve(changes, barriers=(Barrier(user, 1),))

    right = patch.set(acts, "logout_user", logout_user)


# -- digests and comparisons -------------------------------------------------------------------------------------


@bug
def digest_ignores_ends(patch: Patch) -> None:
    """The digest covers which logins there are, and not whether they have ended."""
    as_alive = bytes((0, *[1] * 255))

    def contribution(digest: Digest, page: Page, cut_ms: int) -> int:
        if page.latest <= cut_ms:
            return 0
        states = page.states_after(cut_ms).translate(as_alive)
        if not any(states):
            return 0
        hasher = digest._page_hash.copy()
        hasher.update(states + page.label)
        return int.from_bytes(hasher.digest(), "big")

    patch.set(Digest, "_contribution", contribution)


@bug
def barriers_not_compared(patch: Patch) -> None:
    """A comparison does not carry barriers."""
    patch.set(Supply, "owe_barriers", lambda supply: None)


@bug
def barriers_not_in_the_digest(patch: Patch) -> None:
    """The digest does not cover barriers, so that nobody sees one lack."""
    patch.set(Barriers, "checksum", lambda barriers, cut_ms: 0)


@bug
def activity_not_compared(patch: Patch) -> None:
    """A comparison does not carry activity, which no digest covers."""
    patch.set(Supply, "owe_activity", lambda supply, since_ms: None)


@bug
def comparison_takes_and_does_not_give(patch: Patch) -> None:
    """Who answers a comparison asks for what it lacks, and gives nothing."""
    patch.set(Comparison, "_owe", lambda comparison, debts: None)


@bug
def wants_not_served(patch: Patch) -> None:
    """What the peer asks for in a comparison is not sent."""

    def receive_want(comparison: Comparison, theirs: Any) -> Any:
        owe = comparison._supply.owe
        comparison._supply.owe = lambda debt: None  # type: ignore[method-assign]
        try:
            return right(comparison, theirs)
        finally:
            comparison._supply.owe = owe  # type: ignore[method-assign]

    right = patch.set(Comparison, "_receive_want", receive_want)


@bug
def snapshot_of_the_living(patch: Patch) -> None:
    """A snapshot leaves out tombstones."""

    def of_page(page: Page, places: Any) -> Any:
        return right(page, [place for place in places if page.states[place] == ALIVE])

    right = patch.set(runs, "of_page", of_page)


@bug
def repair_cuts_short(patch: Patch) -> None:
    """Of a page that differs only the first record is repaired."""

    def owe(supply: Supply, debt: Debt) -> None:
        bits = int.from_bytes(debt.mask, "little")
        first = (bits & -bits).to_bytes(len(debt.mask), "little")
        right(supply, attrs.evolve(debt, mask=first) if bits else debt)

    right = patch.set(Supply, "owe", owe)


assert limits.EXPIRED_KEPT_MS > 0, "expired_refused_at_once would be no bug"
