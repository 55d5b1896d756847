"""Who is let in: what a guess costs, and what becomes of a right one.

Rules of this file:

- A wrong password is told a second after it came, whatever was wrong: unknown users and known ones look the same.
- Ten wrong ones lock for a minute, under each address (a /64 of IPv6) and for each user name in all its spellings,
  known or not. While locked not even the right one is looked at. Who is signed in is not touched by any of it.
- Few passwords are checked at a time, each with a deadline, and few wait; the others are told to come again.
- The password goes to the back end and nowhere else. No log line has what was typed: users write their password into
  the other field. What a back end raises unforeseen is named by its type alone.
- A cookie has a new value at each login, and the session under the old one ends: nobody can prepare one for somebody
  else (session fixation).
"""

import ipaddress
import unicodedata
from collections.abc import Callable, Iterable

import attrs
import trio

from protocol import addresses, limits
from protocol.io.http.attempts import DELAY_S, Counts
from protocol.io.log import Log
from proxyagent.agent import ProxyAgent
from proxyagent.errors import LimitExceeded, NotAcknowledged
from proxyagent.login.identity import Backend, Identity, Unavailable
from proxyagent.login.visitor import Keys, Trouble, Visitor
from proxyagent.session import Session

CHECKS_AT_A_TIME = 16
CHECKS_WAITING_MAX = 64
CHECK_TIMEOUT_S = 8.5
"""Within the time that a request has; back ends have shorter deadlines of their own."""

NAMES_MAX = 10_000
"""Addresses and users whose wrong passwords are counted, each."""

PASSWORD_LETTERS_MAX = 1_024
ACKNOWLEDGED_WITHIN_S = 1.0


@attrs.frozen
class SignedIn:
    """A login at the page. `cookie` is what the browser shall hold, None where it is recognised by its address."""

    session: Session
    cookie: str | None = attrs.field(repr=False)


@attrs.define
class Gate:
    """Signs in and out. `draw` makes 32 random bytes or more, as text."""

    agent: ProxyAgent
    keys: Keys
    backend: Backend
    draw: Callable[[], str]
    log: Log
    addresses: Counts = attrs.field(factory=lambda: Counts(NAMES_MAX))
    users: Counts = attrs.field(factory=lambda: Counts(NAMES_MAX))
    _turns: trio.CapacityLimiter = attrs.field(factory=lambda: trio.CapacityLimiter(CHECKS_AT_A_TIME))
    _unavailable: str = ""

    async def sign_in(self, visitor: Visitor, user: str, password: str) -> SignedIn:
        """Check a password and log its user in. Raises Trouble with what to tell."""
        began_s = trio.current_time()
        user = user.strip()
        counted = _network(visitor.address), _letters(user)
        self._refuse_locked(*counted)
        if self._turns.statistics().tasks_waiting >= CHECKS_WAITING_MAX:
            raise Trouble("busy", 429, 1.0)
        async with self._turns:
            self._refuse_locked(*counted)
            identity = await self._check(user, password, visitor.address)
        if identity is None:
            self._count_wrong(visitor, *counted)
            await trio.sleep_until(began_s + DELAY_S)
            raise Trouble("wrong", 403)
        self.addresses.right(counted[0])
        self.users.right(counted[1])
        return await self._let_in(visitor, identity)

    async def end(self, sessions: Iterable[Session]) -> None:
        """Log out whoever is under the keys of these sessions, here at once and, if that can be, everywhere."""
        for session in sessions:
            await self._wait(self.agent.logout(session.key))

    async def end_all(self, user: str) -> None:
        """Log a user out everywhere."""
        await self._wait(self.agent.logout(user=user))

    async def _check(self, user: str, password: str, address: str) -> Identity | None:
        if not _can_be_name(user) or not _can_be_password(password):
            return None
        why = f"no answer within {CHECK_TIMEOUT_S:g} s"
        with trio.move_on_after(CHECK_TIMEOUT_S):
            try:
                found = await self.backend.check(user, password, address)
            except Unavailable as error:
                why = str(error)
            except Exception as error:  # noqa: BLE001 - a mistake of a back end lets nobody in, and stops nobody else
                why = f"{type(self.backend).__name__} raised {type(error).__name__}"
            else:
                self._unavailable = ""
                return found
        if why != self._unavailable:
            self.log.alarm("login.unavailable", error=why)
        self._unavailable = why
        raise Trouble("unavailable", 503)

    async def _let_in(self, visitor: Visitor, identity: Identity) -> SignedIn:
        cookie = None if self.keys.settings.key == "address" else self.draw()
        key = self.keys.key(visitor.address, cookie)
        assert key is not None, "an address and a fresh cookie make a key"
        try:
            session = self.agent.login(key, identity.user, identity.attributes)
        except LimitExceeded as error:
            self.log.alarm("login.refused", error=str(error))
            raise Trouble("refused", 503) from None
        if visitor.session is not None and visitor.session.key != key:
            self.agent.logout(visitor.session.key)
        await self._wait(session)
        return SignedIn(session, cookie)

    async def _wait(self, what: Session | tuple[Session, ...]) -> None:
        """Until it would survive this proxy; the browser may be at another one in a moment."""
        if self.agent.isolated:
            return
        try:
            await self.agent.wait_acknowledged(what, "site", ACKNOWLEDGED_WITHIN_S)
        except NotAcknowledged:
            pass  # it holds here, and is on its way

    def _refuse_locked(self, address: str, user: str) -> None:
        now_s = trio.current_time()
        locked_s = max(self.addresses.locked_s(address, now_s), self.users.locked_s(user, now_s))
        if locked_s:
            raise Trouble("locked", 429, locked_s)

    def _count_wrong(self, visitor: Visitor, address: str, user: str) -> None:
        now_s = trio.current_time()
        self.log.session("login.wrong", address=visitor.address)
        if self.addresses.wrong(address, now_s):
            self.log.warning("login.locked", what="address", address=address)
        if self.users.wrong(user, now_s):
            self.log.warning("login.locked", what="user", address=visitor.address)


def _network(address: str) -> str:
    """What is counted as one address: whoever has one of IPv6 has all of its /64."""
    found = addresses.address(address)
    return str(ipaddress.ip_network((found, 64), strict=False)) if found and found.version == 6 else address


def _letters(user: str) -> str:
    """What is counted as one name: directories find a user by many spellings (RFC 4518), each with ten guesses else."""
    plain = unicodedata.normalize("NFKD", user[: limits.USER_BYTES_MAX]).casefold()
    return "".join(filter(str.isalnum, plain))


def _can_be_name(user: str) -> bool:
    return 0 < len(user.encode(errors="replace")) <= limits.USER_BYTES_MAX and user.isprintable()


def _can_be_password(password: str) -> bool:
    return 0 < len(password) <= PASSWORD_LETTERS_MAX and "\0" not in password
