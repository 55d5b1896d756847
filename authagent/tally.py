"""Counts what happens to sessions, and tells it in the log: one line each while they are few, a count when many.

Rules of this file:

- Counters only grow. Touches are counted and never logged.
- Why a session ended is one of logged_out, idle, expired, superseded, administrator (DESIGN section 6). Being
  superseded is counted, and told only where another user takes the key: who logs in again has not gone.
- Idle and expired are no events of the table. Its upkeep finds them within seconds (Table.watch_timeouts). Activity
  that arrives later may bring an idle session back, which is then no login, and may time out again.
- At full load a batch of 500 costs as much as one line: as soon as one line is held back the rest is only counted.
"""

from collections.abc import Callable, Sequence

import attrs

from authagent.core.border import Traffic
from protocol.changes import Changes, EndRun, LoginRun
from protocol.io.log import Log
from protocol.messages import Role
from protocol.session import Record, State

REASONS = {
    State.SUPERSEDED: "superseded",
    State.LOGGED_OUT: "logged_out",
    State.ADMINISTRATOR: "administrator",
    State.CONFLICT: "superseded",  # another login has taken its name
}


@attrs.define
class Tally:
    """One agent's counters, since its start. `heard` is told of every batch too; it must cost nothing."""

    log: Log
    heard: Callable[[str, Changes], None] = lambda source, changes: None
    logins_total: int = 0
    logouts_total: int = 0
    superseded_total: int = 0
    timeouts_total: int = 0
    touches_total: int = 0
    barriers_total: int = 0
    items_total: int = 0
    failovers_total: int = 0
    _told: tuple[int, int, int] = (0, 0, 0)
    _crossed: dict[str, Traffic] = attrs.field(factory=dict)  # by site, as told last
    _role: Role = Role.STARTING

    @property
    def events_total(self) -> int:
        """Every change that was news here; a timeout is none."""
        changes = self.logins_total + self.logouts_total + self.superseded_total
        return changes + self.touches_total + self.barriers_total

    def role(self, role: Role) -> None:
        """A role was decided. Becoming master after having been slave is a failover, or a planned switch."""
        self.failovers_total += (self._role, role) == (Role.SLAVE, Role.MASTER)
        self._role = role

    def changes(self, source: str, changes: Changes) -> None:
        """A batch that was news; `source` reported it."""
        self.heard(source, changes)
        for login_run in changes.logins:
            self._logins(source, login_run)
        for end_run in changes.ends:
            superseded = end_run.states.count(State.SUPERSEDED)
            self.superseded_total += superseded
            self.logouts_total += len(end_run.keys) - superseded
            self._tell_ends(source, end_run, changes)
        for touch_run in changes.touches:
            self.touches_total += len(touch_run.active_at)
        for barrier in changes.barriers:
            self.barriers_total += 1
            self.log.session("user.logged_out", user=barrier.user, by=source)
        for item in changes.items:
            self.items_total += 1
            self.log.session("item.shared", said="SESSION_UPDATE", kind=item.kind, user=item.user, by=source)

    def timeouts(self, timed_out: list[Record]) -> None:
        """Sessions that have gone idle, or come to the end of their lifetime, since the last call."""
        self.timeouts_total += len(timed_out)
        for told, record in enumerate(timed_out):
            login = record.login
            reason, where = timed_out_for(record), {"site": login.site, "proxy": record.login_id.proxy}
            if not self.log.session("session.ended", user=login.user, reason=reason, **where, key=login.key):
                self.log.hold_back(len(timed_out) - told - 1)
                return

    def statistics(self, alive: int) -> None:
        """The line at the statistics interval: who is authenticated now, and what happened since the last."""
        now = (self.logins_total, self.logouts_total, self.timeouts_total)
        logins, logouts, timeouts = (later - before for later, before in zip(now, self._told, strict=True))
        self._told = now
        self.log.note("statistics", users=alive, logins=logins, logouts=logouts, timeouts=timeouts)

    def site_statistics(self, site: str, traffic: Traffic, **standing: object) -> None:
        """Beside it, a line for each other site: how it stands, and what has crossed since the last."""
        before = self._crossed.get(site, Traffic())
        self._crossed[site] = attrs.evolve(traffic)
        crossed = {name: total - getattr(before, name) for name, total in attrs.asdict(traffic).items()}
        self.log.note("site.statistics", site=site, **standing, **crossed)

    def _logins(self, source: str, run: LoginRun) -> None:
        opened = opened_in(run)
        self.logins_total += len(opened)
        for told, index in enumerate(opened):
            where = {"site": run.site, "proxy": run.origin.proxy, "by": source}
            if not self.log.session("session.opened", user=run.users[index], **where, key=run.keys[index]):
                self.log.hold_back(len(opened) - told - 1)
                return

    def _tell_ends(self, source: str, run: EndRun, changes: Changes) -> None:
        ended = ended_in(run, changes)
        for told, index in enumerate(ended):
            user, key, reason = run.users[index], run.keys[index], REASONS[State(run.states[index])]
            if not self.log.session("session.ended", user=user, reason=reason, by=source, key=key):
                self.log.hold_back(len(ended) - told - 1)
                return


def opened_in(run: LoginRun) -> Sequence[int]:
    """Which rows of a run are logins; of a table that was compared, tombstones are none."""
    if run.states is None:
        return range(len(run.keys))
    return [index for index, state in enumerate(run.states) if state == State.ALIVE]


def ended_in(run: EndRun, changes: Changes) -> Sequence[int]:
    """Which rows of a run end a session for its user: who logs in again under the same key has not gone."""
    if State.SUPERSEDED not in run.states:
        return range(len(run.keys))
    stays = {each for login_run in changes.logins for each in zip(login_run.keys, login_run.users, strict=True)}
    rows = zip(run.keys, run.users, run.states, strict=True)
    return [
        index for index, (key, user, state) in enumerate(rows) if state != State.SUPERSEDED or (key, user) not in stays
    ]


def timed_out_for(record: Record) -> str:
    """Why a session that timed out has ended: `idle`, or `expired` with its lifetime."""
    login = record.login
    return "expired" if login.expires_at <= record.active_at + login.idle_timeout_s * 1000 else "idle"
