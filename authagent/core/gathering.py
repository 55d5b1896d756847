"""What waits to cross to other sites: changes of this site, gathered by login and given out as batches.

Rules of this file:

- What happened to one login while it waited is one change: a login that has ended since crosses as a login with that
  end, and touches of one session are the last of them.
- Ends go before new logins, those before superseded ends (nobody shall be seen gone before their new login is there),
  touches last.
- An end of a login that the other side is known to hold is an out, by login id alone (protocol.crossing); `vouched`
  says which these are. All others cross whole.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple, TypeVar

import attrs

from protocol import codec, limits
from protocol.changes import Barrier, Changes, EndRun, LoginRun, Mark, TouchRun
from protocol.crossing import Batch, Out
from protocol.item import Item
from protocol.session import Attributes, LoginId, Origin, State

Value = TypeVar("Value")
Vouched = Callable[[LoginId], bool]


class NewLogin(NamedTuple):
    """A login that waits, and what became of it meanwhile."""

    site: str
    key: str
    user: str
    login_at: int
    expires_at: int
    idle_timeout_s: int
    attributes: Attributes
    active_at: int
    state: int


class End(NamedTuple):
    """The end of a login that does not wait itself."""

    state: int
    key: str
    user: str
    expires_at: int


@attrs.define
class Gathering:
    """Changes that wait, by what they are about."""

    _logins: dict[LoginId, NewLogin] = attrs.field(factory=dict)
    _ends: dict[LoginId, End] = attrs.field(factory=dict)
    _touches: dict[LoginId, int] = attrs.field(factory=dict)
    _barriers: dict[str, int] = attrs.field(factory=dict)
    _marks: dict[str, int] = attrs.field(factory=dict)
    _items: list[Item] = attrs.field(factory=list)

    def __len__(self) -> int:
        marks = len(self._barriers) + len(self._marks) + len(self._items)
        return len(self._logins) + len(self._ends) + len(self._touches) + marks

    def add(self, changes: Changes) -> None:
        """Take in changes, all but their touches."""
        for login_run in changes.logins:
            self._add_logins(login_run)
        for end_run in changes.ends:
            self._add_ends(end_run)
        for user, at in changes.barriers:
            self._barriers[user] = max(at, self._barriers.get(user, 0))
        for key, at in changes.marks:
            self._marks[key] = max(at, self._marks.get(key, 0))
        self._items += changes.items

    def touch(self, login_id: LoginId, active_at: int) -> None:
        """Take in the last activity of a session."""
        waiting = self._logins.get(login_id)
        if waiting is not None:
            self._logins[login_id] = waiting._replace(active_at=max(active_at, waiting.active_at))
        else:
            self._touches[login_id] = max(active_at, self._touches.get(login_id, 0))

    # -- taking in ------------------------------------------------------------------------------------------------

    def _add_logins(self, run: LoginRun) -> None:
        active_at = run.active_at or run.login_at
        states = run.states or bytes([State.ALIVE]) * len(run.sequences)
        rows = zip(
            run.keys, run.users, run.login_at, run.expires_at, run.idle_timeout_s, run.attributes, active_at, states,
            strict=True,
        )  # fmt: skip
        for sequence, row in zip(run.sequences, rows, strict=True):
            login_id = LoginId(*run.origin, sequence)
            end = self._ends.pop(login_id, None)
            made = NewLogin(run.site, *row)
            known = self._logins.get(login_id)
            state = max(made.state, end.state if end else 0, known.state if known else 0)
            self._logins[login_id] = made._replace(state=state)

    def _add_ends(self, run: EndRun) -> None:
        rows = map(End, run.states, run.keys, run.users, run.expires_at)
        for sequence, end in zip(run.sequences, rows, strict=True):
            login_id = LoginId(*run.origin, sequence)
            waiting = self._logins.get(login_id)
            if waiting is not None:
                self._logins[login_id] = waiting._replace(state=max(waiting.state, end.state))
            elif (known := self._ends.get(login_id)) is None or known.state < end.state:
                self._ends[login_id] = end

    # -- giving out -----------------------------------------------------------------------------------------------

    def batches(self, vouched: Vouched) -> Iterator[Batch]:
        """Everything that waits, as batches in the order in which they must cross."""
        superseded = {each: end for each, end in self._ends.items() if end.state == State.SUPERSEDED}
        final = {each: end for each, end in self._ends.items() if end.state != State.SUPERSEDED}
        touches = Changes(touches=tuple(_touch_runs(self._touches)))
        logins = Changes(logins=tuple(_login_runs(self._logins)))
        first = self._ends_batch(final, vouched)
        if len(self) > limits.BATCH_CHANGES_MAX:
            for part in _parts(final):
                batch = self._ends_batch(part, vouched)
                yield attrs.evolve(batch, changes=Changes(ends=batch.changes.ends))
            yield from _split(attrs.evolve(first.changes, ends=()))
            yield from _split(logins)
            for part in _parts(superseded):
                yield self._ends_batch(part, vouched, plain=True)
            yield from _split(touches)
            return
        last = self._ends_batch(superseded, vouched, plain=True)
        ends = first.changes.ends + last.changes.ends
        joined = attrs.evolve(first.changes, logins=logins.logins, touches=touches.touches, ends=ends)
        batch = attrs.evolve(first, changes=joined, outs=first.outs + last.outs)
        if batch:
            yield batch

    def _ends_batch(self, ends: dict[LoginId, End], vouched: Vouched, *, plain: bool = False) -> Batch:
        """Ends as outs where that is enough; the marks of their keys with them, and what else comes first."""
        outs = {login_id: end for login_id, end in ends.items() if vouched(login_id)}
        whole = {login_id: end for login_id, end in ends.items() if login_id not in outs}
        changes = Changes(ends=tuple(_end_runs(whole)))
        if plain:
            return Batch(changes, tuple(_outs(outs)))
        marked = {login_id: end for login_id, end in outs.items() if end.key in self._marks}
        standing = {end.key for end in marked.values()}
        marks = tuple(Mark(key, at) for key, at in self._marks.items() if key not in standing)
        barriers = tuple(Barrier(user, at) for user, at in self._barriers.items())
        return Batch(
            attrs.evolve(changes, barriers=barriers, marks=marks, items=tuple(self._items)),
            tuple(_outs({login_id: end for login_id, end in outs.items() if login_id not in marked})),
            tuple(_outs(marked)),
            min((self._marks[key] for key in standing), default=0),
        )


def _split(changes: Changes) -> Iterator[Batch]:
    return map(Batch, codec.split(changes, limits.BATCH_CHANGES_MAX))


def _parts(ends: dict[LoginId, End]) -> Iterator[dict[LoginId, End]]:
    items = list(ends.items())
    for start in range(0, len(items), limits.BATCH_CHANGES_MAX):
        yield dict(items[start : start + limits.BATCH_CHANGES_MAX])


def _by_origin(values: dict[LoginId, Value]) -> Iterator[tuple[Origin, list[int], list[Value]]]:
    """Values in columns, one group for each origin, by ascending sequence."""
    origin: Origin | None = None
    sequences: list[int] = []
    column: list[Value] = []
    for login_id, value in sorted(values.items(), key=_id):
        if login_id[:2] != origin:
            if origin is not None:
                yield origin, sequences, column
            origin, sequences, column = Origin(*login_id[:2]), [], []
        sequences.append(login_id.sequence)
        column.append(value)
    if origin is not None:
        yield origin, sequences, column


def _id(item: tuple[LoginId, object]) -> LoginId:
    return item[0]


def _outs(ends: dict[LoginId, End]) -> Iterator[Out]:
    for origin, sequences, column in _by_origin(ends):
        yield Out(origin, sequences, bytes(end.state for end in column))


def _end_runs(ends: dict[LoginId, End]) -> Iterator[EndRun]:
    for origin, sequences, column in _by_origin(ends):
        states, keys, users, expires_at = zip(*column, strict=True)
        yield EndRun(origin, sequences, bytes(states), list(keys), list(users), list(expires_at))


def _touch_runs(touches: dict[LoginId, int]) -> Iterator[TouchRun]:
    for origin, sequences, column in _by_origin(touches):
        yield TouchRun(origin, sequences, column)


def _login_runs(logins: dict[LoginId, NewLogin]) -> Iterator[LoginRun]:
    """Runs of one origin and one site each."""
    for site in dict.fromkeys(login.site for login in logins.values()):
        of_site = {login_id: login for login_id, login in logins.items() if login.site == site}
        for origin, sequences, column in _by_origin(of_site):
            yield _login_run(origin, site, sequences, column)


def _login_run(origin: Origin, site: str, sequences: list[int], column: Iterable[NewLogin]) -> LoginRun:
    _, keys, users, login_at, expires_at, idle_timeout_s, attributes, active_at, states = map(
        list, zip(*column, strict=True)
    )
    return LoginRun(
        origin, sequences, site, keys, users, login_at, expires_at, idle_timeout_s, attributes,
        None if active_at == login_at else active_at,
        None if set(states) == {State.ALIVE} else bytes(states),
    )  # fmt: skip
