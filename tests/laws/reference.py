"""The session table as DESIGN section 3 states it, one record at a time: slow, plain, and what Table is held to."""

import attrs

from protocol import limits
from protocol.changes import Barrier, Changes
from protocol.session import Login, LoginId, Record, State, alive, merge, partial_login


def records_of(changes: Changes) -> list[Record]:
    """Every login and end of a batch as a record of its own."""
    records = []
    for run in changes.logins:
        states = run.states or bytes([State.ALIVE]) * len(run.keys)
        for n, sequence in enumerate(run.sequences):
            login = Login(
                run.keys[n],
                run.users[n],
                run.site,
                run.login_at[n],
                run.expires_at[n],
                run.idle_timeout_s[n],
                run.attributes[n],
            )
            active_at = run.login_at[n] if run.active_at is None else run.active_at[n]
            records.append(Record(LoginId(*run.origin, sequence), login, active_at, State(states[n])))
    for end in changes.ends:
        for n, sequence in enumerate(end.sequences):
            login = partial_login(end.keys[n], end.users[n], end.expires_at[n])
            records.append(Record(LoginId(*end.origin, sequence), login, 0, State(end.states[n])))
    return records


class Reference:
    """A dict of records and a dict of barriers."""

    def __init__(self, max_clock_offset_ms: int) -> None:
        self.doubt_ms = 2 * max_clock_offset_ms
        self.kept_ms = self.doubt_ms + limits.EXPIRED_KEPT_MS
        self.records: dict[LoginId, Record] = {}
        self.barriers: dict[str, int] = {}

    def merge(self, changes: Changes, now_ms: int) -> None:
        for record in records_of(changes):
            if self._timely(record, now_ms):
                known = self.records.get(record.login_id)
                self.records[record.login_id] = record if known is None else merge(known, record)
        for run in changes.touches:
            for sequence, active_at in zip(run.sequences, run.active_at, strict=True):
                known = self.records.get(LoginId(*run.origin, sequence))
                if known is not None and known.state == State.ALIVE and active_at <= now_ms + self.doubt_ms:
                    self.records[known.login_id] = attrs.evolve(known, active_at=max(known.active_at, active_at))
        for user, at in changes.barriers:
            if now_ms - limits.BARRIER_KEPT_MS - self.kept_ms < at <= now_ms + self.doubt_ms:
                self.barriers[user] = max(at, self.barriers.get(user, at))

    def alive(self, now_ms: int) -> list[Record]:
        return [each for each in self.records.values() if alive(each, self.barrier(each.login.user), now_ms)]

    def barrier(self, user: str) -> int:
        return self.barriers.get(user, -1)

    def held(self, key: str) -> set[LoginId]:
        return {each.login_id for each in self._not_ended() if each.login.key == key}

    def held_of(self, user: str) -> set[LoginId]:
        return {each.login_id for each in self._not_ended() if each.login.user == user}

    def view(self, key: str, now_ms: int) -> Record | None:
        """The latest alive record, unless another user's is too near to tell."""
        alive_here = [each for each in self.alive(now_ms) if each.login.key == key]
        if not alive_here:
            return None
        shown = max(alive_here, key=lambda each: (each.login.login_at, each.login_id))
        for other in alive_here:
            near = shown.login.login_at - other.login.login_at <= self.doubt_ms
            if near and other.login.user != shown.login.user:
                return None
        return shown

    def barrier_list(self) -> list[Barrier]:
        return sorted(Barrier(user, at) for user, at in self.barriers.items())

    def _not_ended(self) -> list[Record]:
        return [each for each in self.records.values() if each.state == State.ALIVE]

    def _timely(self, record: Record, now_ms: int) -> bool:
        ahead_ms = now_ms + self.doubt_ms
        login = record.login
        return (
            now_ms < login.expires_at + self.kept_ms
            and login.expires_at <= ahead_ms + limits.LIFETIME_MS_MAX
            and login.login_at <= ahead_ms
            and record.active_at <= ahead_ms
        )
