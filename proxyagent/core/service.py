"""What a host program asks of its ProxyAgent: arguments checked, done in the copy, put into the outbox, told.

Rules of this file: everything answers at once and raises for no network reason. What is over its bound or of the
wrong type is refused before anything has changed. Before each call the machine must have looked for a pause
(Client.notice_pause): a process that stood still mints no login ids under its old epoch.
"""

from protocol.session import Record
from protocol.stamp import Now
from proxyagent.core import inputs
from proxyagent.core.cache import Cache, NotHonoured
from proxyagent.core.endings import Endings
from proxyagent.core.item_service import ItemService
from proxyagent.core.outbox import Level, Outbox
from proxyagent.core.settings import Dice
from proxyagent.session import Ended, Session


class Service:
    """The host program's side of one client machine."""

    def __init__(self, cache: Cache, outbox: Outbox, endings: Endings, dice: Dice) -> None:
        self.items = ItemService(cache, outbox, dice)
        self._cache = cache
        self._outbox = outbox
        self._endings = endings

    def sessions(self, user: str | None, now: Now) -> tuple[Session, ...]:
        """All sessions shown now, or those of one user."""
        return self._cache.sessions(now, None if user is None else inputs.user(user, self._cache.settings.user_names))

    def idle_left_s(self, session: Session, now: Now) -> float:
        """How long a session may stay idle from now on."""
        active_at_ms = self._cache.active_at_ms(session, now)
        if active_at_ms is None:
            return 0.0
        return max(0.0, (active_at_ms - self._cache.clock.now_ms(now)) / 1000 + session.idle_timeout_s)

    def lifetime_left_s(self, session: Session, now: Now) -> float:
        """How long a session may live from now on."""
        return max(0.0, (session.expires_at_ms - self._cache.clock.now_ms(now)) / 1000)

    def flush(self, now: Now) -> None:
        """Put into the outbox whatever was seen and not reported yet: this process is leaving."""
        self._cache.shown.flush(now, self._cache.clock.now_ms(now))

    def login(
        self,
        key: str,
        user: str,
        attributes: inputs.GivenAttributes | None,
        idle_timeout_s: float | None,
        lifetime_s: float | None,
        now: Now,
    ) -> Session:
        """Log a user in. Raises LimitExceeded before anything has changed."""
        settings = self._cache.settings
        done = self._cache.login(
            inputs.key(key),
            inputs.user(user, settings.user_names),
            inputs.attributes(attributes),
            inputs.idle_timeout_s(idle_timeout_s, settings.idle_timeout_s),
            inputs.lifetime_ms(lifetime_s, settings.max_lifetime_ms),
            now,
        )
        self._endings.logged_in(done)
        return done.session

    def honour(self, brought: Record, key: str, now: Now) -> Session:
        """Let a session go on that its user brought along. Raises NotHonoured, and has changed nothing then."""
        user = brought.login.user
        if inputs.user(user, self._cache.settings.user_names) != user:
            raise NotHonoured("its user's name is written otherwise here (user_names)")
        done = self._cache.honour(brought, inputs.key(key), now)
        self._endings.logged_in(done)
        return done.session

    def carried(self, session: Session, now: Now) -> Record | None:
        """A session as its user may carry it along."""
        return self._cache.carried(session, now)

    def logout(self, key: str | None, user: str | None, now: Now) -> Ended:
        """Log out whoever is under a key, or a user everywhere."""
        if key is not None:
            ended = self._cache.logout_key(inputs.key(key), now)
        else:
            assert user is not None, "a logout names a key or a user"
            ended = self._cache.logout_user(inputs.user(user, self._cache.settings.user_names), now)
        self._endings.logged_out(ended)
        return ended

    def reached(self, what: Session | Ended) -> Level:
        """How far the changes that made `what` have got. A session that no report carries any more gets a new one."""
        reached = self._outbox.reached(what.batch) if what.batch else None
        if reached is not None:
            return reached
        again = [each for each in ((what,) if isinstance(what, Session) else what) if self._cache.report_again(each)]
        what.batch = again[-1].batch if again else 0
        return "local"
