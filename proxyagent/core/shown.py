"""The sessions at hand: those whose keys were asked for lately, each with what a look-up needs.

Rules of this file:

- `sessions` is a shortcut and never a fact: what a session is, the table says. Whoever learns that the view of a key
  may have changed takes its quiet away (`unsettle`); the next look-up judges it anew.
- A session is quiet until `quiet_until_s`: until then it is surely alive, and a look-up only notes `seen_s`. So a
  touch is reported at once, then at most once an interval, and the wheel brings each session back for the last one.
- Times here are monotonic seconds, since a look-up reads only that clock; the table's are cluster time. The one slews
  by at most 5 ms a second against the other, and a session is judged anew at least once an interval. Only the other
  counts a suspended machine's time: whoever notices that says so (`slept`).

A session that falls idle by what is known here becomes a question, asked once: somebody else may have seen activity
that has not got here (DESIGN section 3, idle death).
"""

import itertools
from collections.abc import Collection

from protocol.session import LoginId, Origin, Record, State
from protocol.stamp import Now
from protocol.table import Table
from protocol.wheel import Wheel
from proxyagent.core.outbox import Outbox
from proxyagent.session import Session

TOUCH_INTERVAL_S_MIN = 5.0
"""One session's activity is reported at most once in a 20th of its idle timeout, and never more often than this."""

SUSPENDED_S_MIN = 0.1
"""Less is the rounding of clocks: the boot clock counts suspend, the monotonic one does not."""

SESSIONS_MAX = 262_144
"""Sessions at hand. Beyond it those that came first make room; the table still knows them."""


class Shown:
    """What one proxy has at hand, and its reporting of activity."""

    def __init__(self, table: Table, outbox: Outbox) -> None:
        self.sessions: dict[str, Session] = {}
        self.questions: list[tuple[LoginId, int]] = []
        self._table = table
        self._outbox = outbox
        self._wheel: Wheel[Session] = Wheel()

    def keep(self, session: Session) -> None:
        """Have a session at hand; without a touch it stays unquiet."""
        if len(self.sessions) >= SESSIONS_MAX:
            self._make_room()
        self.sessions[session.key] = session

    def settle(self, session: Session, now: Now, now_ms: int) -> None:
        """Activity of a session was reported just now: it is quiet for an interval, and comes round after it.

        Not beyond its expiry; idle it cannot be before, since an interval is a 20th of that.
        """
        now_s = now.monotonic_s
        due_s = now_s + touch_interval_s(session.idle_timeout_s)
        expires_s = now_s + (session.expires_at_ms - now_ms) / 1000
        session.touched_s = now_s
        session.due_s = due_s
        session.quiet_until_s = due_s if due_s < expires_s else expires_s
        self._wheel.put(due_s, session)

    def touch(self, session: Session, now: Now, now_ms: int) -> None:
        """Activity now: reported at once, or, within an interval of the last report, when that is over."""
        next_s = session.touched_s + touch_interval_s(session.idle_timeout_s)
        if now.monotonic_s < next_s:
            session.seen_s = now.monotonic_s
            expires_s = now.monotonic_s + (session.expires_at_ms - now_ms) / 1000
            session.quiet_until_s = min(next_s, expires_s)
            return
        self._table.touch(session.login_id, now_ms)
        self._outbox.put_touch(session.origin, session.sequence, now_ms)
        session.seen_s = 0.0
        self.settle(session, now, now_ms)

    def settle_seen(self, session: Session, now: Now, now_ms: int) -> None:
        """Let the table know of activity seen in a quiet time, before it is asked about the session.

        It is reported with it unless the interval is not over: then the wheel does so.
        """
        if not session.seen_s:
            return
        seen_ms = now_ms - max(0, int((now.monotonic_s - session.seen_s) * 1000))
        self._table.touch(session.login_id, seen_ms)
        if now.monotonic_s >= session.due_s:
            unsettled = not session.quiet_until_s
            self._outbox.put_touch(session.origin, session.sequence, seen_ms)
            session.seen_s = 0.0
            self.settle(session, now, now_ms)
            if unsettled:  # it may have ended since it was seen: the next look-up judges it
                session.quiet_until_s = 0.0

    def slept(self, before: Now, now: Now) -> None:
        """Between two readings the machine may have been suspended: what was seen by then is older than it looks."""
        suspended_s = (now.boot_ms - before.boot_ms) / 1000 - (now.monotonic_s - before.monotonic_s)
        if suspended_s < SUSPENDED_S_MIN:
            return
        for session in self.sessions.values():
            if session.seen_s:
                session.seen_s -= suspended_s

    def hide(self, session: Session, now_ms: int) -> None:
        """The table shows this session no more; when it is for its idleness, that is worth a question."""
        self.sessions.pop(session.key, None)
        record = self._table.record(session.login_id)
        if record is not None and record.state == State.ALIVE and now_ms < record.login.expires_at:
            if now_ms >= deadline_ms(record):
                self.questions.append((record.login_id, record.active_at))

    def unsettle(self, keys: Collection[str]) -> None:
        """The view of these keys may have changed. Safe beside look-ups in other threads: nothing is taken away."""
        sessions = self.sessions
        if not sessions or sessions.keys().isdisjoint(keys):
            return
        for key in keys:
            session = sessions.get(key)
            if session is not None:
                session.quiet_until_s = 0.0

    def unsettle_all(self) -> None:
        for session in self.sessions.values():
            session.quiet_until_s = 0.0

    def forget_all(self) -> None:
        """What the sessions at hand say is no longer so (their times have moved): make them anew when asked."""
        self.sessions.clear()

    def look_after(self, now: Now, now_ms: int) -> None:
        """Report what was seen in quiet times that are over, and notice who has fallen idle."""
        for session in self._wheel.turn(now.monotonic_s):
            if session.due_s > now.monotonic_s or self.sessions.get(session.key) is not session:
                continue
            if session.seen_s:
                self.settle_seen(session, now, now_ms)
                continue
            record = self._table.record(session.login_id)
            left_ms = 0 if record is None or record.state != State.ALIVE else deadline_ms(record) - now_ms
            if left_ms <= 0:
                self.hide(session, now_ms)
                continue
            session.due_s = now.monotonic_s + left_ms / 1000  # nobody came for an interval: watch its end
            self._wheel.put(session.due_s, session)

    def flush(self, now: Now, now_ms: int) -> None:
        """Report everything that was seen: this process is leaving."""
        for session in self.sessions.values():
            if session.seen_s:
                session.due_s = 0.0
                self.settle_seen(session, now, now_ms)

    def _make_room(self) -> None:
        for key in list(itertools.islice(self.sessions, SESSIONS_MAX // 8)):
            self.sessions.pop(key)


def touch_interval_s(idle_timeout_s: float) -> float:
    """How long activity may go unreported, and a browser's cookie unrenewed."""
    return max(TOUCH_INTERVAL_S_MIN, idle_timeout_s / 20)


def deadline_ms(record: Record) -> int:
    """When a record that has not ended is over, in cluster time."""
    return min(record.login.expires_at, record.active_at + record.login.idle_timeout_s * 1000)


def session_of(key: str, record: Record) -> Session:
    """The session that stands for a record; `key` is what a host program calls its key."""
    return Session(Origin(record.login_id.proxy, record.login_id.epoch), record.login_id.sequence, key, record.login)
