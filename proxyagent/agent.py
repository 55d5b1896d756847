"""The ProxyAgent that a host program embeds.

Rules of this file:

- The only file of the library that reads clocks and dice.
- lookup, login, logout and touch never wait, and raise for no network reason. A look-up of a session at hand touches
  one dictionary, one clock and one object.
- The body of open_proxy_agent gets its own exceptions back as they are. Nothing that happens to agents or links ends
  it; a broken invariant of ours closes the agent and raises InternalError at the next call.
- No signal handlers, no logging configured, nothing global but the hook that closes agents in a forked child: a copy
  of a process must not mint the same login ids.
"""

import os
import random
import threading
import time
import weakref
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

import attrs
import trio

from protocol.io.clock import read_clock
from protocol.io.log import StandardLogging, Write
from protocol.mistakes import MistakesFound
from proxyagent import __version__
from proxyagent import config as configs
from proxyagent.asking import Asking
from proxyagent.challenges import Challenges
from proxyagent.codes import Codes
from proxyagent.core import events
from proxyagent.core.client import Client
from proxyagent.core.inputs import GivenAttributes
from proxyagent.core.outbox import LEVELS, Level
from proxyagent.core.settings import Dice
from proxyagent.dialling import Site, ring_of, site_of
from proxyagent.errors import Closed, ConfigurationError, NotAcknowledged
from proxyagent.failover_cookies import FailoverCookies
from proxyagent.notices import Resynced
from proxyagent.session import Ended, Session
from proxyagent.shell import Clock, Shell
from proxyagent.statistics import Statistics, statistics_of
from proxyagent.subscriptions import Subscription

FLUSH_TIMEOUT_S = 1.0

SYSTEM_CLOCK = Clock(read_clock, time.monotonic)  # noqa: TID251 - the library's one reader of clocks

_opened: "weakref.WeakSet[ProxyAgent]" = weakref.WeakSet()


class ProxyAgent:
    """The local copy of all sessions, kept current by the site's AuthAgents. Made by open_proxy_agent."""

    def __init__(
        self, site: Site, *, clock: Clock = SYSTEM_CLOCK, dice: Dice | None = None, write: Write | None = None
    ) -> None:
        client = Client(site.settings, random.SystemRandom() if dice is None else dice, clock.read())
        write = StandardLogging("proxyagent") if write is None else write
        self._shell = Shell(client, site, clock, write)
        self._cookies = FailoverCookies(self._shell, write)
        asking = self._asking()
        self._codes, self._challenges = Codes(asking), Challenges(asking, write)
        self._monotonic_s = clock.monotonic_s
        self._at_hand = client.cache.shown.sessions
        _opened.add(self)

    # -- asking ----------------------------------------------------------------------------------------------------

    def lookup(self, key: str, *, touch: bool = True) -> Session | None:
        """The session of whoever is logged in under `key`, or None. Never blocks; under a microsecond at best.

        The key is tried as given, then in canonical form. A look-up counts as activity unless `touch` is False.
        Raises Closed after the agent was left.
        """
        session = self._at_hand.get(key)
        if session is not None:
            now_s = self._monotonic_s()
            if now_s < session.quiet_until_s:
                if touch:
                    session.seen_s = now_s
                return session
        return self._shell.call(lambda client, now: client.cache.lookup(key, now, touch=touch))

    def sessions(self, user: str | None = None) -> tuple[Session, ...]:
        """All sessions that are logged in now, or those of one user. Takes seconds for a million."""
        return self._shell.call(lambda client, now: client.service.sessions(user, now))

    def idle_left_s(self, session: Session) -> float:
        """How long a session may stay idle from now on; 0 when it is over. Its lifetime may end earlier."""
        return self._shell.call(lambda client, now: client.service.idle_left_s(session, now))

    def lifetime_left_s(self, session: Session) -> float:
        """How long a session may live from now on, whatever its user does; 0 when it is over."""
        return self._shell.call(lambda client, now: client.service.lifetime_left_s(session, now))

    def notices(self) -> Subscription:
        """What happens from now on, as an asynchronous iterator; each call is a subscription of its own.

        1,000 notices wait for a slow reader; then one NoticesLost stands for the rest. `close()` it when done early.
        """
        self._shell.call(lambda client, now: client.endings.start(now))
        return self._shell.subscriptions.add()

    @property
    def synchronised(self) -> bool:
        """Whether the copy is full: compared with, or replayed from, the master that serves now."""
        return self._shell.client.synchronised

    @property
    def ever_synchronised(self) -> bool:
        """Whether the copy has ever been full since this agent was opened; links may have come and gone since."""
        return self._shell.client.progress.complete

    @property
    def answering(self) -> bool:
        """Whether look-ups are answered: always, but where keep_sessions ends that for a proxy that is isolated."""
        return self._shell.client.cache.answering

    @property
    def isolated(self) -> bool:
        """Whether no AuthAgent serves this proxy now; look-ups and logins go on from the copy."""
        return self._shell.client.isolated

    def statistics(self) -> Statistics:
        """Figures of this moment. Does not block."""
        return self._shell.call(statistics_of)

    # -- acting ----------------------------------------------------------------------------------------------------

    def login(
        self,
        key: str,
        user: str,
        attributes: GivenAttributes | None = None,
        *,
        idle_timeout: float | None = None,
        lifetime: float | None = None,
    ) -> Session:
        """Log `user` in under `key`, here at once and everywhere soon; times in seconds.

        The same user with the same attributes is a touch and gets the session that exists. Raises LimitExceeded when
        an argument is over its bound or the table is full, and nothing for the network.
        """
        return self._shell.call(
            lambda client, now: client.service.login(key, user, attributes, idle_timeout, lifetime, now)
        )

    def logout(self, key: str | None = None, *, user: str | None = None) -> tuple[Session, ...]:
        """Log out whoever is under `key`, or `user` everywhere; returns the sessions that ended here.

        Give exactly one of the two. Pass the answer to wait_acknowledged, even if it is empty: another proxy may hold
        what is not known here.
        """
        if (key is None) == (user is None):
            raise TypeError("logout takes a key or user=..., and not both")
        return self._shell.call(lambda client, now: client.service.logout(key, user, now))

    def touch(self, key: str) -> bool:
        """Note activity under `key`; returns whether anybody is logged in there."""
        return self.lookup(key) is not None

    async def wait_acknowledged(
        self, what: Session | Iterable[Session], level: Level = "site", timeout: float = 5.0
    ) -> None:
        """Wait until a login or logout has got as far as `level`: "local", "master" or "site".

        `what` is what login or logout returned. Raises NotAcknowledged after `timeout` seconds; the change stands all
        the same, and is still on its way.
        """
        if level not in LEVELS:
            raise ValueError(f'level is "local", "master" or "site", not {level!r}')
        await trio.lowlevel.checkpoint()
        reached: Level = level
        with trio.move_on_after(timeout):
            for each in [what] if isinstance(what, Session | Ended) else what:
                while LEVELS[reached := self._reached(each)] < LEVELS[level]:
                    await self._wait_moved(each, level)
            return
        why = "isolated: no AuthAgent serves this proxy" if self.isolated else f"reached {reached} only"
        raise NotAcknowledged(f"not acknowledged at level {level} within {timeout:g} s ({why})", reached)

    async def _wait_moved(self, what: Session | Ended, level: Level) -> None:
        if what.batch:
            await self._shell.waiters.wait(what.batch, level)
        else:  # it is forgotten here, and no report will ever carry it
            await self._shell.moved.wait()

    def _reached(self, what: Session | Ended) -> Level:
        return self._shell.call(lambda client, now: client.service.reached(what))

    async def resync(self, timeout: float = 10.0) -> Resynced:
        """Compare the copy with the master's table now, both ways; returns what was moved.

        Also accepts a master whose time is far from the one kept. Raises NotAcknowledged when no AuthAgent has
        answered within `timeout` seconds.
        """
        await trio.lowlevel.checkpoint()
        shell = self._shell
        shell.check()
        before = shell.client.resynced
        shell.step(events.ResyncAsked())
        with trio.move_on_after(timeout):
            while shell.client.resynced == before or shell.last_resync is None:
                shell.check()
                await shell.moved.wait()
            return shell.last_resync
        why = shell.client.last_refusal or ("no AuthAgent answers" if self.isolated else "the comparison goes on")
        raise NotAcknowledged(f"no resync within {timeout:g} s: {why}", "local")

    async def wait_synchronised(self) -> None:
        """Wait until the copy is full. Without any AuthAgent that is for ever: give it a deadline."""
        await trio.lowlevel.checkpoint()
        while not self.synchronised:
            self._shell.check()
            await self._shell.moved.wait()

    # -- failover cookies ------------------------------------------------------------------------------------------

    @property
    def cookie_name(self) -> str:
        """What the file calls the failover cookie; proxyagent.cookie.header makes a header of it."""
        return self._shell.cookie_name

    def seal_cookie(self, session: Session) -> str | None:
        """The failover cookie of a session: what its browser should hold in case every AuthAgent is lost.

        None where there is none to give: the file names no keys, the session is over, it would be longer than 4,000
        bytes (which is logged), or no AuthAgent was ever in reach, so that its times are not fixed yet. Does not block.
        """
        return self._cookies.seal(session)

    def renew_cookie(self, session: Session, held: str | None) -> str | None:
        """As seal_cookie, but None too while the cookie that the browser sent, `held`, is fresh enough.

        For every answer to a browser: activity must get into its cookie, or that will think it idle.
        """
        return self._cookies.renew(session, held)

    def honour_cookie(self, token: str | None, key: str) -> Session | None:
        """Let the session of a failover cookie go on, presented by whoever is under `key`; None where it is refused.

        For a key that `lookup` does not know. The session is the same login, and enters the copy here like any other
        report of it. It is refused, always in the same way, when it is bound to another key, idle, over, ended by
        anything known here, or no cookie of ours. Raises LimitExceeded for what cannot be a key. Does not block.
        """
        return self._cookies.honour(token, key)

    def _asking(self) -> Asking:
        return Asking(self._shell)

    # -- codes and challenges --------------------------------------------------------------------------------------

    @property
    def codes(self) -> Codes:
        """One-time provisioning codes: create, redeem, revoke, list."""
        return self._codes

    @property
    def challenges(self) -> Challenges:
        """Short-lived challenges: create at one node, get and consume at any."""
        return self._challenges

    # -- for the rest of the library -------------------------------------------------------------------------------

    @property
    def shell(self) -> Shell:
        """What runs around the machine; not part of the public interface."""
        return self._shell


@asynccontextmanager
async def open_proxy_agent(
    config: str | os.PathLike[str] | None = None,
    *,
    id: str | None = None,
    site: str | None = None,
    start_timeout: float = 2.0,
) -> AsyncIterator[ProxyAgent]:
    """Open a ProxyAgent for the body of an `async with` on trio.

    `config` is the path of the file, by default where DESIGN section 7 looks for one. Entering waits at most
    `start_timeout` seconds for the first full copy and goes on without it: unreachable agents never raise. Leaving
    waits at most a second for what is not acknowledged. Raises ConfigurationError at once for a bad file or secret.
    """
    setup = await trio.to_thread.run_sync(_load, config, id, site)
    async with run_proxy_agent(ProxyAgent(setup), start_timeout=start_timeout) as agent:
        yield agent


def _load(config: str | os.PathLike[str] | None, id: str | None, site: str | None) -> Site:
    try:
        setup = configs.load(None if config is None else os.fspath(config), id=id, site=site)
        found = site_of(setup, configs.read_secret(setup), random.SystemRandom().getrandbits(64), __version__)
        return attrs.evolve(found, ring=ring_of(setup))
    except MistakesFound as found:
        raise ConfigurationError.of(found) from None


@asynccontextmanager
async def run_proxy_agent(agent: ProxyAgent, *, start_timeout: float = 2.0) -> AsyncIterator[ProxyAgent]:
    """Run an agent that is made already, for the body of an `async with`. See open_proxy_agent."""
    failure: BaseException | None = None
    async with trio.open_nursery() as nursery:
        await nursery.start(agent.shell.run)
        try:
            with trio.move_on_after(start_timeout):
                await agent.wait_synchronised()
            yield agent
        except BaseException as error:  # noqa: BLE001 - handed on below, not wrapped by the nursery
            failure = error
        with trio.CancelScope(shield=True):
            await agent.shell.leave(FLUSH_TIMEOUT_S)
        agent.shell.close(Closed("the ProxyAgent was left; open a new one"))
        nursery.cancel_scope.cancel()
    if failure is not None:
        raise failure


def _close_in_child() -> None:
    """In a forked child: the parent goes on with its agents, the child must open its own."""
    for agent in list(_opened):
        agent.shell.guard = threading.RLock()  # the parent's may be held by a thread that is not here
        agent.shell.abandon(Closed("this process is a fork of the one that opened the ProxyAgent; open a new one"))


os.register_at_fork(after_in_child=_close_in_child)
