"""Who has come and gone, for those who want to be told.

Rules of this file:

- Works only while somebody listens (`start`): a table of a million sessions is not watched for nobody.
- An end by time is no event of the table, so each session that is told as opened is watched until it is over. It is
  told a second late: until then another proxy's activity may still answer the question whether it was idle.
- Being superseded is not told when the same user stays on the key.
"""

from collections.abc import Iterable

from protocol.session import LoginId, Record, State
from protocol.stamp import Now
from protocol.table import Merged
from protocol.wheel import Wheel
from proxyagent.core.cache import Cache, LoggedIn
from proxyagent.core.shown import deadline_ms, session_of
from proxyagent.notices import Notice, SessionEnded, SessionOpened
from proxyagent.session import END_REASONS, EndReason, Session

GRACE_MS = 1_000


class Endings:
    """Notices of sessions that opened and ended; they gather in `notices` until they are taken."""

    def __init__(self, cache: Cache) -> None:
        self.notices: list[Notice] = []
        self._cache = cache
        self._wheel: Wheel[LoginId] | None = None

    @property
    def started(self) -> bool:
        return self._wheel is not None

    def start(self, now: Now) -> None:
        """Somebody listens from now on: watch everything that is alive."""
        if self._wheel is None:
            self._wheel = Wheel()
            self._cache.table.observed = True
            for record in self._cache.table.sessions(self._cache.clock.now_ms(now)):
                self._watch(record)

    def take(self) -> list[Notice]:
        """What has gathered since the last call."""
        taken = self.notices
        if taken:
            self.notices = []
        return taken

    def logged_in(self, done: LoggedIn) -> None:
        """A login made here."""
        if self._wheel is None or not done.fresh:
            return
        self.notices.extend(SessionEnded(each, "superseded") for each in done.superseded)
        self.notices.append(SessionOpened(done.session))
        session = done.session
        over_ms = min(session.expires_at_ms, session.login_at_ms + session.idle_timeout_s * 1000)
        self._wheel.put(_second(over_ms), session.login_id)

    def logged_out(self, ended: Iterable[Session]) -> None:
        """A logout made here."""
        if self._wheel is not None:
            self.notices.extend(SessionEnded(each, "logged_out") for each in ended)

    def merged(self, merged: Merged, now: Now) -> None:
        """What others said has been taken in."""
        if self._wheel is None:
            return
        now_ms = self._cache.clock.now_ms(now)
        for record, state in merged.closed:
            view = self._cache.table.view(record.login.key, now_ms)
            stays = state == State.SUPERSEDED and view is not None and view.login.user == record.login.user
            if state in END_REASONS and not stays:
                self._tell_end(record, END_REASONS[state])
        for login_id in merged.opened:
            opened = self._cache.table.record(login_id)
            if opened is not None and now_ms < deadline_ms(opened):
                self.notices.append(SessionOpened(session_of(self._cache.public(opened.login.key), opened)))
                self._watch(opened)

    def look_after(self, now: Now) -> None:
        """Tell of those whose time is over."""
        if self._wheel is None:
            return
        now_ms = self._cache.clock.now_ms(now)
        for login_id in self._wheel.turn(now_ms / 1000):
            record = self._cache.table.record(login_id)
            if record is None or record.state != State.ALIVE:
                continue
            if now_ms < deadline_ms(record) + GRACE_MS:
                self._watch(record)
            else:
                self._tell_end(record, "expired" if now_ms >= record.login.expires_at else "idle")

    def _watch(self, record: Record) -> None:
        assert self._wheel is not None, "nobody listens"
        self._wheel.put(_second(deadline_ms(record)), record.login_id)

    def _tell_end(self, record: Record, reason: EndReason) -> None:
        self.notices.append(SessionEnded(session_of(self._cache.public(record.login.key), record), reason))


def _second(at_ms: int) -> float:
    return (at_ms + GRACE_MS) / 1000
