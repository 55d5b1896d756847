"""Batches of changes as values: put together, moved in time.

Rules of this file: nothing here knows what a change means; the order of changes means nothing (merging is
commutative), so runs may be regrouped at will.
"""

from collections.abc import Collection, Iterable

import attrs

from protocol import items
from protocol.changes import Barrier, Changes, EndRun, LoginRun, Mark, TouchRun
from protocol.item import Item
from protocol.session import Origin, Record, State


def joined(parts: list[Changes]) -> Changes:
    """One batch that says what all of them say, with one run of ends and one of touches for each origin."""
    if len(parts) == 1:
        return parts[0]
    ends: dict[Origin, list[EndRun]] = {}
    touches: dict[Origin, list[TouchRun]] = {}
    logins: list[LoginRun] = []
    barriers: list[Barrier] = []
    marks: list[Mark] = []
    short_lived: list[Item] = []
    for part in parts:
        logins.extend(part.logins)
        barriers.extend(part.barriers)
        marks.extend(part.marks)
        short_lived.extend(part.items)
        for end in part.ends:
            ends.setdefault(end.origin, []).append(end)
        for touch in part.touches:
            touches.setdefault(touch.origin, []).append(touch)
    return Changes(
        _joined_logins(logins),
        tuple(_joined_ends(origin, runs) for origin, runs in ends.items()),
        tuple(
            TouchRun(origin, [s for run in runs for s in run.sequences], [at for run in runs for at in run.active_at])
            for origin, runs in touches.items()
        ),
        tuple(barriers),
        tuple(marks),
        tuple(short_lived),
    )


def _joined_logins(runs: list[LoginRun]) -> tuple[LoginRun, ...]:
    """Runs of the same origin and site as one, where they hold nothing but fresh logins."""
    out: list[LoginRun] = []
    groups: dict[tuple[Origin, str], list[LoginRun]] = {}
    for run in runs:
        if run.active_at is None and run.states is None:
            groups.setdefault((run.origin, run.site), []).append(run)
        else:
            out.append(run)
    for (origin, site), same in groups.items():
        if len(same) == 1:
            out.append(same[0])
            continue
        out.append(
            LoginRun(
                origin,
                [each for run in same for each in run.sequences],
                site,
                [each for run in same for each in run.keys],
                [each for run in same for each in run.users],
                [each for run in same for each in run.login_at],
                [each for run in same for each in run.expires_at],
                [each for run in same for each in run.idle_timeout_s],
                [each for run in same for each in run.attributes],
            )
        )
    return tuple(out)


def _joined_ends(origin: Origin, runs: list[EndRun]) -> EndRun:
    if len(runs) == 1:
        return runs[0]
    return EndRun(
        origin,
        [each for run in runs for each in run.sequences],
        b"".join(run.states for run in runs),
        [each for run in runs for each in run.keys],
        [each for run in runs for each in run.users],
        [each for run in runs for each in run.expires_at],
    )


def shifted(changes: Changes, delta_ms: int, own: Collection[Origin]) -> Changes:
    """The same changes with every time moved that was stamped here before any master's time was known.

    Activity, barriers and marks were; logins and their ends if their origin is one of `own`. A login of another
    origin (a failover cookie's) brought its times along, and they stay.
    """

    def moved(times: Iterable[int]) -> list[int]:
        return [at + delta_ms for at in times]

    return Changes(
        tuple(
            attrs.evolve(
                run,
                login_at=moved(run.login_at),
                expires_at=moved(run.expires_at),
                active_at=None if run.active_at is None else moved(run.active_at),
            )
            if run.origin in own
            else run
            for run in changes.logins
        ),
        tuple(
            attrs.evolve(run, expires_at=moved(run.expires_at)) if run.origin in own else run for run in changes.ends
        ),
        tuple(attrs.evolve(run, active_at=moved(run.active_at)) for run in changes.touches),
        tuple(Barrier(each.user, each.at + delta_ms) for each in changes.barriers),
        tuple(Mark(each.key, each.at + delta_ms) for each in changes.marks),
        tuple(items.shifted(each, delta_ms) for each in changes.items),
    )


def changes_of(record: Record) -> Changes:
    """One record as the changes that make it."""
    login = record.login
    origin = Origin(record.login_id.proxy, record.login_id.epoch)
    sequences, state = (record.login_id.sequence,), bytes((record.state,))
    if login.site is None:
        return Changes(ends=(EndRun(origin, sequences, state, [login.key], [login.user], [login.expires_at]),))
    run = LoginRun(
        origin,
        sequences,
        login.site,
        [login.key],
        [login.user],
        [login.login_at],
        [login.expires_at],
        [login.idle_timeout_s],
        [login.attributes],
        None if record.active_at == login.login_at else [record.active_at],
        None if record.state == State.ALIVE else state,
    )
    return Changes(logins=(run,))
