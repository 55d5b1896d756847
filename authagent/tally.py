"""Counts what happens to sessions, and tells it in the log: one line each while they are few, a count when many.

Rules of this file:

- Counters only grow. Touches are counted and never logged.
- Why a session ended is one of logged_out, idle, expired, superseded, administrator (DESIGN section 6). Being
  superseded is counted, and told only where another user takes the key: who logs in again has not gone.
- Idle and expired are no events of the table. Its upkeep finds them within seconds (Table.watch_timeouts). Activity
  that arrives later may bring an idle session back, which is then no login, and may time out again.
- At full load a batch of 500 costs as much as one line: as soon as one line is held back the rest is only counted.
"""

import attrs

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
    """One agent's counters, since its start."""

    log: Log
    logins_total: int = 0
    logouts_total: int = 0
    superseded_total: int = 0
    timeouts_total: int = 0
    touches_total: int = 0
    barriers_total: int = 0
    items_total: int = 0
    failovers_total: int = 0
    _told: tuple[int, int, int] = (0, 0, 0)
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
            expired = login.expires_at <= record.active_at + login.idle_timeout_s * 1000
            reason = "expired" if expired else "idle"
            where = {"site": login.site, "proxy": record.login_id.proxy}
            if not self.log.session("session.ended", user=login.user, reason=reason, **where, key=login.key):
                self.log.hold_back(len(timed_out) - told - 1)
                return

    def statistics(self, alive: int) -> None:
        """The line at the statistics interval: who is authenticated now, and what happened since the last."""
        now = (self.logins_total, self.logouts_total, self.timeouts_total)
        logins, logouts, timeouts = (later - before for later, before in zip(now, self._told, strict=True))
        self._told = now
        self.log.note("statistics", users=alive, logins=logins, logouts=logouts, timeouts=timeouts)

    def _logins(self, source: str, run: LoginRun) -> None:
        alive = list(zip(run.keys, run.users, strict=True))
        if run.states is not None:  # of a table that was compared: tombstones are no logins
            alive = [each for each, state in zip(alive, run.states, strict=True) if state == State.ALIVE]
        self.logins_total += len(alive)
        for told, (key, user) in enumerate(alive):
            where = {"site": run.site, "proxy": run.origin.proxy, "by": source}
            if not self.log.session("session.opened", user=user, **where, key=key):
                self.log.hold_back(len(alive) - told - 1)
                return

    def _tell_ends(self, source: str, run: EndRun, changes: Changes) -> None:
        ended = list(zip(run.keys, run.users, run.states, strict=True))
        if State.SUPERSEDED in run.states:
            stays = {each for login_run in changes.logins for each in zip(login_run.keys, login_run.users, strict=True)}
            ended = [each for each in ended if each[2] != State.SUPERSEDED or each[:2] not in stays]
        for told, (key, user, state) in enumerate(ended):
            reason = REASONS[State(state)]
            if not self.log.session("session.ended", user=user, reason=reason, by=source, key=key):
                self.log.hold_back(len(ended) - told - 1)
                return
