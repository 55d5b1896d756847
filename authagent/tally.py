"""Counts what happens to sessions, and tells it in the log: one line each while they are few, a count when many.

Rules of this file:

- Counters only grow. Touches are counted and never logged.
- At full load a batch of 500 costs as much as one line: as soon as one line is held back the rest is only counted.
"""

import attrs

from protocol.changes import Changes
from protocol.io.log import Log
from protocol.session import State

REASONS = {
    State.SUPERSEDED: "superseded",
    State.LOGGED_OUT: "logged_out",
    State.ADMINISTRATOR: "administrator",
    State.CONFLICT: "conflict",
}


@attrs.define
class Tally:
    """One agent's counters."""

    log: Log
    logins_total: int = 0
    logouts_total: int = 0
    superseded_total: int = 0
    touches_total: int = 0
    barriers_total: int = 0
    role_changes_total: int = 0
    _told: tuple[int, int] = (0, 0)

    @property
    def events_total(self) -> int:
        """Every change that was news here."""
        return (
            self.logins_total
            + self.logouts_total
            + self.superseded_total
            + self.touches_total
            + self.barriers_total
        )

    def changes(self, source: str, changes: Changes) -> None:
        """A batch that was news; `source` reported it."""
        for login_run in changes.logins:
            self.logins_total += len(login_run.keys)
            self._tell_logins(source, login_run.keys, login_run.users, login_run.site)
        for end_run in changes.ends:
            superseded = end_run.states.count(State.SUPERSEDED)
            self.superseded_total += superseded
            self.logouts_total += len(end_run.keys) - superseded
            self._tell_ends(source, end_run.keys, end_run.users, end_run.states)
        for touch_run in changes.touches:
            self.touches_total += len(touch_run.active_at)
        for barrier in changes.barriers:
            self.barriers_total += 1
            self.log.session("user.logged_out", user=barrier.user, by=source)

    def statistics(self, alive: int) -> None:
        """The line at the statistics interval: who is authenticated now, and what happened since the last."""
        logins, logouts = self._told
        self._told = (self.logins_total, self.logouts_total)
        self.log.note(
            "statistics",
            users=alive,
            logins=self.logins_total - logins,
            logouts=self.logouts_total - logouts,
        )

    def _tell_logins(self, source: str, keys: list[str], users: list[str], site: str) -> None:
        for told, (key, user) in enumerate(zip(keys, users, strict=True)):
            if not self.log.session("session.opened", user=user, site=site, proxy=source, key=key):
                self.log.hold_back(len(keys) - told - 1)
                return

    def _tell_ends(self, source: str, keys: list[str], users: list[str], states: bytes) -> None:
        for told, (key, user, state) in enumerate(zip(keys, users, states, strict=True)):
            reason = REASONS.get(State(state), "conflict")
            if not self.log.session("session.ended", user=user, reason=reason, by=source, key=key):
                self.log.hold_back(len(keys) - told - 1)
                return
