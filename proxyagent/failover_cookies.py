"""Failover cookies of one ProxyAgent: its sessions sealed into them, and let in again by them.

Rules of this file:

- Without keys ([cookie] key_files) there are no cookies: nothing is sealed, nothing is honoured, nothing is said.
- Every refusal is the same None for the host program, and so for the browser. Why is for the log, a few lines a
  second at most: whoever may send cookies must not be able to fill a disk.
- Sealing and opening happen outside the machine; only what is known of a session is asked in it.

Theory. A cookie is a copy of a record in the hands of its user, and it is let in as any other copy: by the merge. So
it can bring back nothing that has ended, as soon as whoever knows of the end is heard. It is honoured only under the
key that the session is bound to: a cookie alone, stolen, opens nothing without the address or the cookie behind it.
"""

from collections.abc import Mapping

from protocol.io.log import Severity, Write
from protocol.io.log_limit import LineLimit
from protocol.session import Record
from protocol.stamp import Now
from proxyagent.core.cache import NotHonoured
from proxyagent.core.claims import claims_of, record_of
from proxyagent.core.client import Client
from proxyagent.core.shown import touch_interval_s
from proxyagent.errors import ConfigurationError
from proxyagent.session import Session
from proxyagent.shell import Shell

LINES_PER_SECOND_MAX = 10


class FailoverCookies:
    """The cookies of the sessions behind one shell."""

    def __init__(self, shell: Shell, write: Write) -> None:
        self._shell = shell
        self._write = write
        self._limit = LineLimit(LINES_PER_SECOND_MAX)
        for warning in () if shell.ring is None else shell.ring.warnings:
            self._write(Severity.WARNING, "cookie.key_doubtful", {"reason": warning})

    def seal(self, session: Session) -> str | None:
        """A cookie that carries a session as it is now; None where there is none to give."""
        record, _ = self._carried(session)
        return None if record is None else self._sealed(record)

    def renew(self, session: Session, held: str | None) -> str | None:
        """As `seal`, but None too where the cookie that the browser holds will do for another interval of touches."""
        record, now_ms = self._carried(session)
        if record is None:
            return None
        was = self._opened(held, now_ms)
        interval_ms = touch_interval_s(session.idle_timeout_s) * 1000
        if was is not None and was.login_id == record.login_id and record.active_at < was.active_at + interval_ms:
            return None
        return self._sealed(record)

    def honour(self, token: str | None, key: str) -> Session | None:
        """The session that a cookie carries, let in under the key that it is bound to; None where it is refused."""
        if not token or self._shell.ring is None:
            self._shell.check()
            return None
        now_ms = self._shell.call(_now_ms)
        brought = self._opened(token, now_ms)
        if brought is None:
            self._emit("cookie.refused", {"reason": "it is over, not under these keys, or carries no session"})
            return None

        def honour(client: Client, now: Now) -> Session | str:
            try:
                return client.service.honour(brought, key, now)
            except NotHonoured as refusal:
                return str(refusal)

        done = self._shell.call(honour)
        who = {"user": brought.login.user, "proxy": brought.login_id.proxy, "key": brought.login.key}
        if isinstance(done, str):
            self._emit("cookie.refused", {"reason": done, **who})
            return None
        self._emit("cookie.honoured", who)
        return done

    def _carried(self, session: Session) -> tuple[Record | None, int]:
        if self._shell.ring is None:
            self._shell.check()
            return None, 0
        return self._shell.call(lambda client, now: (client.service.carried(session, now), _now_ms(client, now)))

    def _sealed(self, record: Record) -> str | None:
        ring = self._shell.ring
        assert ring is not None, "only a session that may be carried is sealed"
        login = record.login
        try:
            return ring.seal(login.user, claims_of(record), expires_at_s=login.expires_at // 1000)
        except ConfigurationError:
            raise  # joserfc is missing; a fake, since otherwise reading the file would have told
        except ValueError as error:
            self._emit("cookie.not_sealed", {"reason": str(error), "user": login.user}, Severity.WARNING)
            return None

    def _opened(self, token: str | None, now_ms: int) -> Record | None:
        ring = self._shell.ring
        cookie = None if ring is None or not token else ring.open(token, now_s=now_ms / 1000)
        return None if cookie is None else record_of(cookie.user, cookie.claims)

    def _emit(self, event: str, values: Mapping[str, object], severity: Severity = Severity.INFO) -> None:
        now_s = self._shell.clock.monotonic_s()
        held_back = self._limit.settle(now_s)
        if held_back:
            self._write(Severity.INFO, "log.suppressed", {"count": held_back})
        if self._limit.admit(now_s):
            self._write(severity, event, values)


def _now_ms(client: Client, now: Now) -> int:
    return client.cache.clock.now_ms(now)
