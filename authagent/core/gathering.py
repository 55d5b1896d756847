"""What waits to cross to other sites: which logins began, ended or were active, and what else was said meanwhile.

Rules of this file:

- What crosses of a login or a barrier is what the table holds when it is given out. So however much happened to it
  while it waited, it crosses once, as it is then. A login in conflict crosses whole: the other side may hold the other
  content.
- Ends go before new logins, those before superseded ends (nobody shall be seen gone before their new login is there),
  touches last.
- An end of a login that the other side is known to hold is an out, by login id alone (protocol.crossing); `vouched`
  says which these are. All others cross whole.
- What a filter hides stays here while it is alive, with its activity; its end crosses as an end, without its content.
"""

from collections.abc import Callable, Iterable, Iterator

import attrs

from protocol import codec, limits
from protocol.changes import Barrier, Changes, EndRun, LoginRun, Mark, TouchRun
from protocol.crossing import Batch, Out
from protocol.filter import EVERYTHING, Filter
from protocol.item import Item
from protocol.session import LoginId, Origin, Record, State
from protocol.table import Table

Vouched = Callable[[Record], bool]


@attrs.define
class Gathering:
    """What waits, by what it is about; `table` is where it has been merged."""

    table: Table
    _begun: dict[LoginId, None] = attrs.field(factory=dict)
    _ended: dict[LoginId, None] = attrs.field(factory=dict)
    _touched: dict[LoginId, None] = attrs.field(factory=dict)
    _barriers: dict[str, None] = attrs.field(factory=dict)  # users
    _marks: dict[str, int] = attrs.field(factory=dict)
    _items: list[Item] = attrs.field(factory=list)

    def __len__(self) -> int:
        marks = len(self._barriers) + len(self._marks) + len(self._items)
        return len(self._begun) + len(self._ended) + len(self._touched) + marks

    def add(self, changes: Changes) -> None:
        """Take in changes, all but their touches."""
        for login_run in changes.logins:
            self._begun.update(dict.fromkeys(_ids(login_run)))
        for end_run in changes.ends:
            self._ended.update(dict.fromkeys(_ids(end_run)))
        self._barriers.update((barrier.user, None) for barrier in changes.barriers)
        for key, at in changes.marks:
            self._marks[key] = max(at, self._marks.get(key, 0))
        self._items += changes.items

    def touch(self, login_id: LoginId) -> None:
        """Take in activity of a session."""
        self._touched[login_id] = None

    def batches(self, vouched: Vouched, filter: Filter = EVERYTHING) -> Iterator[Batch]:
        """Everything that waits and that the filter shows, as batches in the order in which they must cross."""
        ended = self._records(self._ended.keys() - self._begun.keys(), filter)
        disputed = {record.login_id for record in ended if record.state == State.CONFLICT}
        whole = self._begun.keys() | disputed
        begun = self._records(whole, filter)
        ended = [record for record in ended if record.login_id not in disputed]
        touched = self._records(self._touched.keys() - whole, filter)
        logins = Changes(
            logins=tuple(_login_runs(record for record in begun if not record.login.partial)),
            ends=tuple(_end_runs(record for record in begun if record.login.partial)),
        )
        touches = Changes(touches=tuple(_touch_runs(record for record in touched if record.state == State.ALIVE)))
        final = [record for record in ended if record.state > State.SUPERSEDED]
        superseded = [record for record in ended if record.state == State.SUPERSEDED]
        yield from _together_or_not(
            [self._final(final, vouched), Batch(logins), _ends(superseded, vouched), Batch(touches)]
        )

    def _records(self, login_ids: Iterable[LoginId], filter: Filter) -> list[Record]:
        """What the table holds of them and the filter shows, by login id; what it refused or has forgotten crosses
        not."""
        found = (self.table.record(login_id) for login_id in sorted(login_ids))
        held = (record for record in found if record is not None)
        return [shown for record in held if (shown := filter.shown(record)) is not None] if filter else list(held)

    def _final(self, records: list[Record], vouched: Vouched) -> Batch:
        """Logouts, with the marks that stand for what only others hold."""
        outs = [record for record in records if vouched(record)]
        marked = [record for record in outs if record.login.key in self._marks]
        standing = {record.login.key for record in marked}
        marks = tuple(Mark(key, at) for key, at in self._marks.items() if key not in standing)
        barriers = tuple(Barrier(user, at) for user in self._barriers if (at := self.table.barrier(user)) >= 0)
        ends = tuple(_end_runs(record for record in records if not vouched(record)))
        return Batch(
            Changes(ends=ends, barriers=barriers, marks=marks, items=tuple(self._items)),
            tuple(_outs(record for record in outs if record.login.key not in standing)),
            tuple(_outs(marked)),
            min((self._marks[key] for key in standing), default=0),
        )


def _ends(records: list[Record], vouched: Vouched) -> Batch:
    whole = tuple(_end_runs(record for record in records if not vouched(record)))
    return Batch(Changes(ends=whole), tuple(_outs(record for record in records if vouched(record))))


def _together_or_not(batches: list[Batch]) -> Iterator[Batch]:
    """All as one batch, which is merged in one piece, where that is not too much; else one after the other."""
    if sum(map(len, batches)) > limits.BATCH_CHANGES_MAX:
        for batch in batches:
            yield from _split(batch)
        return
    first, logins, superseded, touches = batches
    changes = attrs.evolve(
        first.changes,
        logins=logins.changes.logins,
        ends=first.changes.ends + logins.changes.ends + superseded.changes.ends,
        touches=touches.changes.touches,
    )
    joined = attrs.evolve(first, changes=changes, outs=first.outs + superseded.outs)
    if joined:
        yield joined


def _split(batch: Batch) -> Iterator[Batch]:
    for part in codec.split(batch.changes, limits.BATCH_CHANGES_MAX):
        yield Batch(part)
    for out in batch.outs:
        yield from (Batch(outs=(part,)) for part in _parts(out))
    for out in batch.marked:
        yield from (Batch(marked=(part,), marked_at=batch.marked_at) for part in _parts(out))


def _parts(out: Out) -> Iterator[Out]:
    for start in range(0, len(out.sequences), limits.BATCH_CHANGES_MAX):
        end = start + limits.BATCH_CHANGES_MAX
        yield Out(out.origin, out.sequences[start:end], out.states[start:end])


# -- records as runs of one origin ---------------------------------------------------------------------------------


def _ids(run: LoginRun | EndRun) -> Iterator[LoginId]:
    return (LoginId(*run.origin, sequence) for sequence in run.sequences)


def _by_origin(records: Iterable[Record]) -> Iterator[tuple[Origin, list[int], list[Record]]]:
    """Records that are in order, one group for each origin, with their sequences."""
    group: list[Record] = []
    for record in records:
        if group and record.login_id[:2] != group[0].login_id[:2]:
            yield _group(group)
            group = []
        group.append(record)
    if group:
        yield _group(group)


def _group(records: list[Record]) -> tuple[Origin, list[int], list[Record]]:
    return Origin(*records[0].login_id[:2]), [record.login_id.sequence for record in records], records


def _outs(records: Iterable[Record]) -> Iterator[Out]:
    for origin, sequences, group in _by_origin(records):
        yield Out(origin, sequences, bytes(record.state for record in group))


def _end_runs(records: Iterable[Record]) -> Iterator[EndRun]:
    for origin, sequences, group in _by_origin(records):
        logins = [record.login for record in group]
        yield EndRun(
            origin,
            sequences,
            bytes(record.state for record in group),
            [login.key for login in logins],
            [login.user for login in logins],
            [login.expires_at for login in logins],
        )


def _touch_runs(records: Iterable[Record]) -> Iterator[TouchRun]:
    for origin, sequences, group in _by_origin(records):
        yield TouchRun(origin, sequences, [record.active_at for record in group])


def _login_runs(records: Iterable[Record]) -> Iterator[LoginRun]:
    """Runs of one origin and one site each."""
    for origin, _, group in _by_origin(records):
        for site in dict.fromkeys(str(record.login.site) for record in group):
            yield _login_run(origin, site, [record for record in group if record.login.site == site])


def _login_run(origin: Origin, site: str, records: list[Record]) -> LoginRun:
    logins = [record.login for record in records]
    login_at, active_at = [login.login_at for login in logins], [record.active_at for record in records]
    states = bytes(record.state for record in records)
    return LoginRun(
        origin,
        [record.login_id.sequence for record in records],
        site,
        [login.key for login in logins],
        [login.user for login in logins],
        login_at,
        [login.expires_at for login in logins],
        [login.idle_timeout_s for login in logins],
        [login.attributes for login in logins],
        None if active_at == login_at else active_at,
        None if set(states) == {State.ALIVE} else states,
    )
