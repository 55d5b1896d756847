"""The local copy: what a look-up, a login, a logout and a touch mean here. No I/O, no waiting.

Rules of this file:

- The table holds the facts, Shown what is at hand of them.
- What must be told the master goes into the outbox; when it leaves is the machine's business (client.py).
- Keys and users come checked and in the form of the table (inputs.py, protocol.key); here a key may only get the
  mark of its site (key_scope = "site").
- Before the first master's time is known all stamps are provisional. `fix_times` moves them, once, before anybody
  else has seen them. Barriers wait outside the table until then, since a barrier can only rise; a
  login is stamped later than one that waits, too.
"""

from collections.abc import Collection, Iterable
from typing import NamedTuple

import attrs

from protocol import acts, addresses
from protocol import session as sessions
from protocol.changes import Barrier, Changes
from protocol.session import Attributes, Login, LoginId, Origin, Record
from protocol.stamp import ClusterClock, Now
from protocol.table import Merged, Table
from proxyagent.core import inputs
from proxyagent.core.columns import changes_of, shifted
from proxyagent.core.outbox import Outbox
from proxyagent.core.questions import Questions
from proxyagent.core.settings import Settings
from proxyagent.core.shown import Shown, session_of
from proxyagent.errors import LimitExceeded
from proxyagent.session import Ended, Session

GONE_AFTER_S = 2.0
"""With keep_sessions = "drop": no agent at all means none for longer than a failover may take (promise 6)."""


class LoggedIn(NamedTuple):
    """What a login did: the session shown now, whether it is new, and whose sessions ended by it."""

    session: Session
    fresh: bool
    superseded: tuple[Session, ...] = ()


class NotHonoured(Exception):
    """A session that its user brought along is not let in; the text says why, for the log and for nobody else."""


class Cache:
    """One proxy's copy of the table, and what is done with it here."""

    def __init__(self, settings: Settings, outbox: Outbox, epoch: int) -> None:
        self.settings = settings
        self.table = Table(
            digest_key=settings.digest_key,
            max_clock_offset_ms=settings.max_clock_offset_ms,
            records_max=settings.sessions_max,
        )
        self.outbox = outbox
        self.questions = Questions()
        self.clock = ClusterClock()
        self.shown = Shown(self.table, outbox)
        self.origin = Origin(settings.id, epoch)
        self._origins = {self.origin}  # of this process: one, and one more for each pause
        self._sequence = 0
        self._mark = f"@{settings.site}" if settings.key_scope == "site" else ""
        self._silent_since_ms: int | None = None
        self._provisional_barriers: dict[str, int] = {}
        self._brought: dict[LoginId, int] = {}  # the activity that sessions brought along, while stamps are provisional

    # -- asking ----------------------------------------------------------------------------------------------------

    def lookup(self, key: str, now: Now, *, touch: bool) -> Session | None:
        """The session shown under `key`, as given or else in canonical form; with `touch` this is activity of it."""
        found = self._lookup(key, now, touch)
        if found is None:
            canonical = inputs.other_key(key)
            if canonical is not None:
                found = self._lookup(canonical, now, touch)
        return found

    def _lookup(self, key: str, now: Now, touch: bool) -> Session | None:
        now_ms = self.clock.now_ms(now)
        session = self.shown.sessions.get(key)
        if session is not None:
            self.shown.settle_seen(session, now, now_ms)
        record = self._view(key, now_ms)
        if record is None:
            if session is not None:
                self.shown.hide(session, now_ms)
            return None
        if session is None or session.login_id != record.login_id:
            session = session_of(key, record)
            self.shown.keep(session)
        if touch:
            self.shown.touch(session, now, now_ms)
        return session

    def sessions(self, now: Now, user: str | None = None) -> tuple[Session, ...]:
        """Every session that is shown under its key now; those of one user where given."""
        now_ms = self.clock.now_ms(now)
        for session in self.shown.sessions.values():
            self.shown.settle_seen(session, now, now_ms)
        records: Iterable[Record] = self.table.sessions(now_ms) if user is None else self.table.held_of(user)
        out = []
        for record in records:
            view = self._view(self.public(record.login.key), now_ms)
            if view is not None and view.login_id == record.login_id:
                out.append(self._known(record))
        return tuple(out)

    def active_at_ms(self, session: Session, now: Now) -> int | None:
        """The last activity of a session that is known here, or None when it is forgotten."""
        now_ms = self.clock.now_ms(now)
        shown = self.shown.sessions.get(session.key)
        if shown is not None:
            self.shown.settle_seen(shown, now, now_ms)
        record = self.table.record(session.login_id)
        return None if record is None else record.active_at

    # -- acting ----------------------------------------------------------------------------------------------------

    def login(
        self, key: str, user: str, attributes: Attributes, idle_timeout_s: int, lifetime_ms: int, now: Now
    ) -> LoggedIn:
        """Log `user` in under `key`; a repeated login is a touch. Raises LimitExceeded when the table is full."""
        now_ms = self.clock.now_ms(now)
        table_key = self._table_key(key)
        if self.table.holds(table_key):
            return self._login_over(key, table_key, user, attributes, idle_timeout_s, lifetime_ms, now, now_ms)
        if self.table.full:
            raise LimitExceeded("the session table is full: raise [limits] sessions, or wait for expiry")
        login_at = max(now_ms, self.table.barrier(user) + 1, self._provisional_barriers.get(user, -1) + 1)
        login = Login(table_key, user, self.settings.site, login_at, login_at + lifetime_ms, idle_timeout_s, attributes)
        self._sequence += 1
        self.table.add(self.origin, self._sequence, login)
        session = Session(self.origin, self._sequence, key, login)
        session.batch = self.outbox.put_login(self.origin, self._sequence, login)
        self.shown.keep(session)
        self.shown.settle(session, now, now_ms)
        return LoggedIn(session, True)

    def _login_over(
        self,
        key: str,
        table_key: str,
        user: str,
        attributes: Attributes,
        idle_timeout_s: int,
        lifetime_ms: int,
        now: Now,
        now_ms: int,
    ) -> LoggedIn:
        """A login under a key that holds something: the same session again, or one that supersedes all of it."""
        shown = self.shown.sessions.get(key)
        if shown is not None:
            self.shown.settle_seen(shown, now, now_ms)
        try:
            done = acts.login(
                self.table,
                table_key,
                user,
                site=self.settings.site,
                attributes=attributes,
                idle_timeout_s=idle_timeout_s,
                lifetime_ms=lifetime_ms,
                login_id=LoginId(*self.origin, self._sequence + 1),
                now_ms=max(now_ms, self._provisional_barriers.get(user, -1) + 1),
            )
        except acts.TableFull as error:
            raise LimitExceeded(str(error)) from None
        if done.touched is not None:
            session = self._known(done.touched)
            self.shown.keep(session)
            self.shown.touch(session, now, now_ms)
            return LoggedIn(session, False)
        assert done.record is not None, "a login is a touch or a new record"
        self._sequence += 1
        superseded = self._alive_of(done.changes, now_ms)
        self.merge(done.changes, now)
        session = session_of(key, done.record)
        session.batch = self.outbox.put(done.changes)
        self.shown.keep(session)
        self.shown.settle(session, now, now_ms)
        return LoggedIn(session, True, tuple(each for each in superseded if each.user != user))

    def honour(self, brought: Record, key: str, now: Now) -> LoggedIn:
        """Let a session go on that its user brought along, presented under `key`; that is activity of it.

        Raises NotHonoured when it is bound to another key, when anything known here speaks against it, when this proxy
        answers nobody (keep_sessions), or when it claims to be of this very process, which does not know it.
        """
        now_ms = self.clock.now_ms(now)
        if brought.login.key != self._table_key(key):
            raise NotHonoured("it was presented under another key")
        if not self.answering:
            raise NotHonoured("look-ups have stopped (keep_sessions)")
        if brought.login.user in self._provisional_barriers:
            raise NotHonoured("its user was logged out")
        known = self.table.record(brought.login_id)
        if known is None and brought.login_id[:2] in self._origins:
            raise NotHonoured("it is not known to the process that would have made it")
        shown = self.shown.sessions.get(key)
        if shown is not None:
            self.shown.settle_seen(shown, now, now_ms)
        done = acts.honour(self.table, brought, now_ms=now_ms)
        if done.refused:
            raise NotHonoured(done.refused)
        superseded = self._alive_of(done.changes, now_ms)
        self.merge(done.changes, now)
        record = self._view(key, now_ms)
        if record is None or record.login_id != brought.login_id:
            raise NotHonoured("the session table does not take it")
        session = self._known(record)
        if done.changes:
            session.batch = self.outbox.put(done.changes)
        if not self.clock.is_set:
            self._brought.setdefault(brought.login_id, brought.active_at)
        self.shown.keep(session)
        self.shown.touch(session, now, now_ms)
        return LoggedIn(session, known is None, tuple(each for each in superseded if each.user != session.user))

    def carried(self, session: Session, now: Now) -> Record | None:
        """A session as its user may carry it along: None where it is over, or its times are not fixed yet."""
        if not self.clock.is_set and session.origin in self._origins:
            return None
        now_ms = self.clock.now_ms(now)
        shown = self.shown.sessions.get(session.key)
        if shown is not None:
            self.shown.settle_seen(shown, now, now_ms)
        record = self._view(session.key, now_ms)
        return record if record is not None and record.login_id == session.login_id else None

    def logout_key(self, key: str, now: Now) -> Ended:
        """End everything held under `key`; returns the sessions that were alive."""
        now_ms = self.clock.now_ms(now)
        return self._end(acts.logout_key(self.table, self._table_key(key), now_ms=now_ms), now, now_ms)

    def logout_user(self, user: str, now: Now) -> Ended:
        """End everything of `user`, whichever site it is from; returns the sessions that were alive."""
        now_ms = self.clock.now_ms(now)
        return self._end(acts.logout_user(self.table, user, now_ms=now_ms), now, now_ms)

    def _end(self, changes: Changes, now: Now, now_ms: int) -> Ended:
        ended = self._alive_of(changes, now_ms)
        here = changes
        if not self.clock.is_set and changes.barriers:
            for user, at in changes.barriers:
                self._provisional_barriers[user] = max(at, self._provisional_barriers.get(user, at))
            here = attrs.evolve(changes, barriers=())
        self.merge(here, now)
        serial = self.outbox.put(changes)
        for session in ended:
            session.batch = serial
            session.quiet_until_s = 0.0
        return Ended(ended, serial)

    def report_again(self, session: Session) -> bool:
        """Put what is known of a session into the outbox once more; False where nothing is."""
        record = self.table.record(session.login_id)
        if record is None:
            return False
        session.batch = self.outbox.put(changes_of(record))
        return True

    # -- learning --------------------------------------------------------------------------------------------------

    def merge(self, changes: Changes, now: Now) -> Merged:
        """Take changes in. Stamps too old or too far ahead are refused by the table, and counted there."""
        merged = self.table.merge(changes, self.clock.now_ms(now))
        keys_changed: Collection[str] = merged.keys
        self.shown.unsettle([self.public(key) for key in keys_changed] if self._mark else keys_changed)
        return merged

    def fix_times(self, delta_ms: int) -> None:
        """The first master's time is known, and differs by so much from what was taken for it."""
        if delta_ms:
            for origin in self._origins:
                self.table.shift(origin, delta_ms)
            self.table.items.shift(delta_ms)
        for login_id, brought_ms in self._brought.items():
            record = self.table.record(login_id)
            if record is not None:
                self.table.restamp(login_id, max(brought_ms, record.active_at + delta_ms))
        self._brought.clear()
        self.outbox.release(lambda changes: shifted(changes, delta_ms, self._origins))
        for user, at in self._provisional_barriers.items():
            self.table.merge(Changes(barriers=(Barrier(user, at + delta_ms),)), at + delta_ms)
        self._provisional_barriers.clear()
        self.shown.forget_all()

    def reconfigure(self, settings: Settings) -> None:
        """Take over other settings; under another digest key only hashes are made anew."""
        if settings.digest_key != self.settings.digest_key:
            self.table.rekey(settings.digest_key)
        self.settings = settings

    def new_epoch(self, epoch: int) -> None:
        """This process stood still, or is a copy of one: login ids are minted under another epoch from now on."""
        self.origin = Origin(self.settings.id, epoch)
        self._origins.add(self.origin)
        self._sequence = 0
        self.shown.unsettle_all()

    def keep_sessions(self, since_s: float, since_ms: int, now: Now) -> None:
        """No agent has served since then, in monotonic seconds and cluster time: what [session] keep_sessions says.

        Told not to go on, the copy shows only who has logged in here since.
        """
        keep = self.settings.keep_sessions
        if keep == "until-expiry" or not self.answering:
            return
        if now.monotonic_s - since_s >= (GONE_AFTER_S if keep == "drop" else keep):
            self._silent_since_ms = since_ms
            self.shown.unsettle_all()

    def answer_again(self) -> None:
        self._silent_since_ms = None

    @property
    def answering(self) -> bool:
        return self._silent_since_ms is None

    @property
    def has_unsent(self) -> bool:
        """Whether anything waits to leave."""
        return self.outbox.has_unsent or self.questions.has_unsent

    # -- keys ------------------------------------------------------------------------------------------------------

    def _table_key(self, key: str) -> str:
        """The key as the table holds it: with key_scope = "site" an address bears the mark of its site."""
        return key + self._mark if self._mark and addresses.address(key) is not None else key

    def public(self, table_key: str) -> str:
        """The reverse of _table_key. A mark of another site stays: that key is nobody's here."""
        return table_key.removesuffix(self._mark) if self._mark else table_key

    # -- inside ----------------------------------------------------------------------------------------------------

    def _view(self, key: str, now_ms: int) -> Record | None:
        record = self.table.view(self._table_key(key), now_ms)
        if record is None or self._silent_since_ms is None:
            return record
        own = record.login_id[:2] in self._origins
        return record if own and record.login.login_at > self._silent_since_ms else None

    def _known(self, record: Record) -> Session:
        """The session of a record: the one at hand where there is one."""
        key = self.public(record.login.key)
        session = self.shown.sessions.get(key)
        return session if session is not None and session.login_id == record.login_id else session_of(key, record)

    def _alive_of(self, changes: Changes, now_ms: int) -> tuple[Session, ...]:
        """Those of the ended that are alive until then: only their end is news."""
        alive = []
        for run in changes.ends:
            for sequence in run.sequences:
                record = self.table.record(LoginId(*run.origin, sequence))
                if record is not None and sessions.alive(record, self.table.barrier(record.login.user), now_ms):
                    alive.append(self._known(record))
        return tuple(alive)
