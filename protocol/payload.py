"""The payload of an Update, Report, Bulk or IdleAnswer: runs of logins, ends and touches, barriers, marks, items.

Rules of this file:

- A payload is [logins, ends, touches, barriers, marks, items]; what is empty at its end is left out, what a newer
  version adds after it is skipped. A run is an array too, with the same two rules. protocol.codec does the packing;
  here are only plain values.
- At most FRAME_CHANGES_MAX changes in one payload, counted before anything is made as long as the peer claims.
- The order of parts and of runs is kept.

The elements of a run, in order (forms of columns: columns.py):

    logins       proxy, epoch, sequences, site, keys, users, login_at, lifetimes, idle_timeout_s, attributes,
                 active_at or nil, states or nil
    ends         proxy, epoch, sequences, states, keys, users, expires_at
    touches      proxy, epoch, sequences, active_at

and barriers and marks are [strings, times], items rows (item_rows.py). Lifetimes stand for expires_at, counted from
login_at, because one lifetime for all is the ordinary case.

Source: DESIGN section 11 (on the hot path an event is a batch).
"""

import operator
from collections.abc import Iterator, Sequence
from typing import Any

import attrs

from protocol import item_rows, limits
from protocol.changes import Barrier, Changes, EndRun, LoginRun, Mark, TouchRun
from protocol.columns import (
    END_STATES,
    LOGIN_STATES,
    check_epoch,
    check_name,
    pack_integers,
    pack_maps,
    pack_sequences,
    pack_states,
    pack_strings,
    unpack_integers,
    unpack_maps,
    unpack_sequences,
    unpack_states,
    unpack_strings,
)
from protocol.errors import LocalProtocolError, RemoteProtocolError
from protocol.item import Item
from protocol.session import Origin


def pack(changes: Changes) -> tuple[Any, ...]:
    """The changes as plain values. Raises LocalProtocolError."""
    if len(changes) > limits.FRAME_CHANGES_MAX:
        raise LocalProtocolError(f"{len(changes)} changes in one payload; at most {limits.FRAME_CHANGES_MAX}")
    logins = tuple(row for run in changes.logins for row in _pack_logins(run))
    ends = tuple(map(_pack_ends, changes.ends))
    touches = tuple(map(_pack_touches, changes.touches))
    barriers = _pack_pairs(changes.barriers, limits.USER_BYTES_MAX)
    marks = _pack_pairs(changes.marks, limits.KEY_BYTES_MAX)
    return _trimmed((logins, ends, touches, barriers, marks, tuple(map(item_rows.pack, changes.items))))


def _pack_logins(run: LoginRun) -> Iterator[tuple[Any, ...]]:
    """One row, nearly always; halves of the run where one byte cannot tell its attribute maps apart."""
    count = len(run.sequences)
    columns = [run.keys, run.users, run.login_at, run.expires_at, run.idle_timeout_s, run.attributes]
    _check_lengths(count, columns, run.active_at, run.states)
    check_name(run.site, "a site", LocalProtocolError)
    maps = pack_maps(run.attributes)
    if maps is None:
        for half in (_part(run, 0, count // 2), _part(run, count // 2, count)):
            yield from _pack_logins(half)
        return
    lifetimes = list(map(operator.sub, run.expires_at, run.login_at))
    row = (
        *_pack_origin(run.origin, run.sequences),
        run.site,
        pack_strings(run.keys, limits.KEY_BYTES_MAX, "a key"),
        pack_strings(run.users, limits.USER_BYTES_MAX, "a user", may_be_equal=True),
        pack_integers(run.login_at, 0, limits.TIME_MS_MAX, "login_at"),
        pack_integers(lifetimes, 1, limits.LIFETIME_MS_MAX, "a lifetime"),
        pack_integers(run.idle_timeout_s, limits.IDLE_TIMEOUT_S_MIN, limits.IDLE_TIMEOUT_S_MAX, "idle_timeout_s"),
        maps,
        None if run.active_at is None else pack_integers(run.active_at, 0, limits.TIME_MS_MAX, "active_at"),
        None if run.states is None else pack_states(run.states, LOGIN_STATES),
    )
    yield _trimmed(row)


def _pack_ends(run: EndRun) -> tuple[Any, ...]:
    _check_lengths(len(run.sequences), [run.states, run.keys, run.users, run.expires_at])
    return (
        *_pack_origin(run.origin, run.sequences),
        pack_states(run.states, END_STATES),
        pack_strings(run.keys, limits.KEY_BYTES_MAX, "a key", may_be_equal=True),
        pack_strings(run.users, limits.USER_BYTES_MAX, "a user", may_be_equal=True),
        pack_integers(run.expires_at, 0, limits.TIME_MS_MAX, "expires_at"),
    )


def _pack_touches(run: TouchRun) -> tuple[Any, ...]:
    _check_lengths(len(run.sequences), [run.active_at])
    return (
        *_pack_origin(run.origin, run.sequences),
        pack_integers(run.active_at, 0, limits.TIME_MS_MAX, "active_at"),
    )


def _pack_pairs(pairs: Sequence[tuple[str, int]], bytes_max: int) -> tuple[Any, ...]:
    """Barriers or marks."""
    if not pairs:
        return ()
    names, times = zip(*pairs, strict=True)
    return (
        pack_strings(names, bytes_max, "a key or user"),
        pack_integers(times, 0, limits.TIME_MS_MAX, "a time"),
    )


def _pack_origin(origin: Origin, sequences: Sequence[int]) -> tuple[Any, ...]:
    """The first three elements of every run."""
    check_name(origin.proxy, "a proxy", LocalProtocolError)
    check_epoch(origin.epoch, LocalProtocolError)
    return (*origin, pack_sequences(sequences))


def _check_lengths(count: int, columns: Sequence[Any], *optional: Sequence[Any] | None) -> None:
    lengths = {len(column) for column in columns} | {len(column) for column in optional if column is not None}
    if count == 0 or lengths != {count}:
        raise LocalProtocolError("a run that is empty, or has columns of unequal length")


def _trimmed(row: tuple[Any, ...]) -> tuple[Any, ...]:
    """The row without what stands at its end and says nothing."""
    end = len(row)
    while end and (row[end - 1] is None or row[end - 1] == ()):
        end -= 1
    return row[:end]


def unpack(row: tuple[Any, ...]) -> Changes:
    """The changes in what a payload was decoded to. Raises RemoteProtocolError and nothing else."""
    logins, ends, touches, barriers, marks, items = (*row, (), (), (), (), (), ())[:6]
    budget = _Budget(limits.FRAME_CHANGES_MAX)
    return Changes(
        tuple([_unpack_logins(run, budget) for run in _rows(logins)]),
        tuple([_unpack_ends(run, budget) for run in _rows(ends)]),
        tuple([_unpack_touches(run, budget) for run in _rows(touches)]),
        tuple(map(Barrier, *_unpack_pairs(barriers, limits.USER_BYTES_MAX, budget))),
        tuple(map(Mark, *_unpack_pairs(marks, limits.KEY_BYTES_MAX, budget))),
        _unpack_items(items, budget) if items != () else (),
    )


class _Budget:
    """How many changes the payload may still hold: a few bytes can claim thousands."""

    def __init__(self, changes_max: int) -> None:
        self._left = changes_max

    def spend(self, count: int) -> None:
        self._left -= count
        if self._left < 0:
            raise RemoteProtocolError(f"more than {limits.FRAME_CHANGES_MAX} changes in one payload")


def _rows(value: Any) -> tuple[Any, ...]:
    if type(value) is not tuple or (value and set(map(type, value)) != {tuple}):
        raise RemoteProtocolError("a part of a payload that is no array of runs")
    return value


def _unpack_logins(row: tuple[Any, ...], budget: _Budget) -> LoginRun:
    if len(row) < 10:
        raise RemoteProtocolError("a run of logins with too few columns")
    origin, sequences = _unpack_origin(row, budget)
    site, keys, users, login_at, lifetimes, idle_timeout_s, attributes, active_at, states = (*row, None, None)[3:12]
    count = len(sequences)
    check_name(site, "a site", RemoteProtocolError)
    starts = unpack_integers(login_at, count, 0, limits.TIME_MS_MAX, "login_at")
    spans = unpack_integers(lifetimes, count, 1, limits.LIFETIME_MS_MAX, "a lifetime")
    return LoginRun(
        origin,
        sequences,
        site,
        unpack_strings(keys, count, limits.KEY_BYTES_MAX, "a key"),
        unpack_strings(users, count, limits.USER_BYTES_MAX, "a user"),
        starts,
        list(map(operator.add, starts, spans)),
        unpack_integers(idle_timeout_s, count, limits.IDLE_TIMEOUT_S_MIN, limits.IDLE_TIMEOUT_S_MAX, "idle_timeout_s"),
        unpack_maps(attributes, count),
        None if active_at is None else unpack_integers(active_at, count, 0, limits.TIME_MS_MAX, "active_at"),
        None if states is None else unpack_states(states, count, LOGIN_STATES),
    )


def _unpack_ends(row: tuple[Any, ...], budget: _Budget) -> EndRun:
    if len(row) < 7:
        raise RemoteProtocolError("a run of ends with too few columns")
    origin, sequences = _unpack_origin(row, budget)
    states, keys, users, expires_at = row[3:7]
    count = len(sequences)
    return EndRun(
        origin,
        sequences,
        unpack_states(states, count, END_STATES),
        unpack_strings(keys, count, limits.KEY_BYTES_MAX, "a key"),
        unpack_strings(users, count, limits.USER_BYTES_MAX, "a user"),
        unpack_integers(expires_at, count, 0, limits.TIME_MS_MAX, "expires_at"),
    )


def _unpack_touches(row: tuple[Any, ...], budget: _Budget) -> TouchRun:
    if len(row) < 4:
        raise RemoteProtocolError("a run of touches with too few columns")
    origin, sequences = _unpack_origin(row, budget)
    return TouchRun(origin, sequences, unpack_integers(row[3], len(sequences), 0, limits.TIME_MS_MAX, "active_at"))


def _unpack_pairs(value: Any, bytes_max: int, budget: _Budget) -> tuple[list[str], list[int]]:
    """Barriers or marks; here the strings tell how many there are."""
    if value == ():
        return [], []
    if type(value) is not tuple or len(value) < 2 or type(value[0]) is not str:
        raise RemoteProtocolError("barriers or marks that are no pair of columns")
    count = value[0].count("\0") + 1
    budget.spend(count)
    names = unpack_strings(value[0], count, bytes_max, "a key or user")
    return names, unpack_integers(value[1], count, 0, limits.TIME_MS_MAX, "a time")


def _unpack_items(value: Any, budget: _Budget) -> tuple[Item, ...]:
    if type(value) is not tuple:
        raise RemoteProtocolError("items that are no array")
    budget.spend(len(value))
    return tuple(map(item_rows.unpack, value))


def _unpack_origin(row: tuple[Any, ...], budget: _Budget) -> tuple[Origin, Sequence[int]]:
    """The first three elements of every run."""
    proxy, epoch, sequences = row[:3]
    check_name(proxy, "a proxy", RemoteProtocolError)
    check_epoch(epoch, RemoteProtocolError)
    return Origin(proxy, epoch), unpack_sequences(sequences, budget.spend)


# -- parts --------------------------------------------------------------------------------------------------------


def split(changes: Changes, changes_max: int) -> list[Changes]:
    """The same changes in parts of at most `changes_max`, in order: logins before the ends that they cause."""
    if len(changes) <= changes_max:
        return [changes] if changes else []
    parts: list[Changes] = []
    held: dict[str, list[Any]] = {}
    room = changes_max
    for name, piece, count in _pieces(changes):
        start = 0
        while start < count:
            stop = min(count, start + room)
            held.setdefault(name, []).append(_part(piece, start, stop))
            room -= stop - start
            start = stop
            if room == 0:
                parts.append(_joined(held))
                held, room = {}, changes_max
    return [*parts, _joined(held)] if held else parts


def _pieces(changes: Changes) -> Iterator[tuple[str, Any, int]]:
    """Each run, all barriers, all marks, all items: with the name of their field, and how many they are."""
    for name in ("logins", "ends", "touches"):
        for run in getattr(changes, name):
            yield name, run, len(run.sequences)
    yield "barriers", changes.barriers, len(changes.barriers)
    yield "marks", changes.marks, len(changes.marks)
    yield "items", changes.items, len(changes.items)


def _joined(held: dict[str, list[Any]]) -> Changes:
    for name in ("barriers", "marks", "items"):
        if name in held:
            held[name] = held[name][0]
    return Changes(**{name: tuple(pieces) for name, pieces in held.items()})


def _part(piece: Any, start: int, stop: int) -> Any:
    """Some of a run's rows, or of a tuple of barriers, marks or items."""
    if isinstance(piece, tuple):
        return piece[start:stop]
    if stop - start == len(piece.sequences):
        return piece
    columns = attrs.asdict(piece, recurse=False)
    whole = ("origin", "site")
    return type(piece)(
        **{name: value if name in whole or value is None else value[start:stop] for name, value in columns.items()}
    )
