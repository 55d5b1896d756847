"""For the tests of programs that embed a ProxyAgent: one without any loop, and a whole site in memory.

    agent = FakeProxyAgent()                       # no trio, no agents; time moves when you say so
    agent.login("10.3.4.5", user="alice")
    agent.advance(31 * 60)
    assert agent.lookup("10.3.4.5") is None

    async with open_fake_site(proxies=2) as site:  # real ProxyAgents, one master in memory, no sockets
        site.proxies[0].login("10.3.4.5", user="alice")
        site.cut()

Rules of this file: what a session is and what a proxy does is the real thing; only the AuthAgent and the wire are
small stand-ins. Time in a fake site is trio's, so trio.testing.MockClock makes hours pass at once.
"""

import itertools
import random
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import attrs
import trio

from protocol.io.link import LinkFailed
from protocol.messages import Verdict
from protocol.stamp import Now
from proxyagent.agent import ProxyAgent, run_proxy_agent
from proxyagent.asking import Alone, Asking
from proxyagent.cookie import KeyRing
from proxyagent.core import events
from proxyagent.core.client import Client
from proxyagent.core.outbox import Level
from proxyagent.core.questions import Question
from proxyagent.core.settings import AgentName, Settings
from proxyagent.dialling import AgentLink, Site
from proxyagent.errors import NotAcknowledged, Undecided
from proxyagent.fake_master import FakeMaster, decide
from proxyagent.notices import Resynced
from proxyagent.session import Session
from proxyagent.shell import Clock

EPOCH_MS = 1_700_000_000_000
"""The wall clock of everything here at its beginning: some day in November 2023."""

_RING = KeyRing((bytes(range(64)),))
_opened = itertools.count()  # of fakes, so that two of one name, one after the other, mint different login ids
_DIGEST_KEY, _DIGEST_KEY_ID = b"for tests only, nothing to keep!", b"test"


def fake_settings(id: str, settings: dict[str, Any]) -> Settings:
    """Settings of one proxy of the site `site`, with a pair of agents."""
    agents = (AgentName("site", "1"), AgentName("site", "2"))
    return Settings(site="site", id=id, agents=agents, digest_key=_DIGEST_KEY, digest_key_id=_DIGEST_KEY_ID, **settings)


class FakeProxyAgent(ProxyAgent):
    """A ProxyAgent alone in the world, as if one AuthAgent always answered. Usable without trio.

    Keyword arguments are those of the machine's settings: `idle_timeout_s`, `max_lifetime_ms`, `keep_sessions` ...
    """

    def __init__(self, id: str = "proxy1", **settings: Any) -> None:
        self._passed_s = 0.0
        clock = Clock(self._read, lambda: self._read().monotonic_s)
        site = Site(fake_settings(id, settings), self._dial, ("nowhere:1", "nowhere:2"), _RING)
        super().__init__(site, clock=clock, dice=random.Random(next(_opened)))
        client = self.shell.client
        client.cache.clock.lead(self._read())
        client.cache.fix_times(0)
        self.isolate(False)

    def advance(self, seconds: float) -> None:
        """Let time pass, second by second, with everything that happens in it."""
        end_s = self._passed_s + seconds
        while self._passed_s < end_s:
            self._passed_s = min(end_s, self._passed_s + 1)
            self.shell.step(events.DeadlinePassed())

    def isolate(self, isolated: bool = True) -> None:
        """Let the AuthAgent be gone, or back again."""
        client, now = self.shell.client, self._read()
        client.isolated = isolated
        client.isolated_since = now.monotonic_s, client.cache.clock.now_ms(now)
        client.cache.answer_again()

    @property
    def synchronised(self) -> bool:
        return not self.isolated

    async def wait_acknowledged(
        self, what: Session | Iterable[Session], level: Level = "site", timeout: float = 5.0
    ) -> None:
        """Acknowledged at once, or never while isolated."""
        await trio.lowlevel.checkpoint()
        if self.isolated and level != "local":
            raise NotAcknowledged(f"not acknowledged at level {level} (isolated)", "local")

    async def resync(self, timeout: float = 10.0) -> Resynced:
        """There is nothing to compare with."""
        await trio.lowlevel.checkpoint()
        if self.isolated:
            raise NotAcknowledged("no resync: no AuthAgent answers", "local")
        return Resynced(0, 0, 0.0)

    def _asking(self) -> Asking:
        return _FakeAsking(self.shell)

    def _read(self) -> Now:
        return Now(1.0 + self._passed_s, 1_000 + int(self._passed_s * 1000), EPOCH_MS + int(self._passed_s * 1000))

    @staticmethod
    async def _dial(agent: int, timeout_s: float) -> AgentLink:
        raise LinkFailed("refused", "nobody is there")


class _FakeAsking(Asking):
    """An AuthAgent that always answers, or none."""

    async def _decided(
        self, draw: Callable[[Client, Now], Question], timeout_s: float, alone: Alone | None, *, once: bool
    ) -> Verdict | bool:
        """Decided in the copy itself; while isolated, by `alone` or by nobody."""
        await trio.lowlevel.checkpoint()
        if self.shell.client.isolated:
            told = None if alone is None else self.shell.call(alone)
            if told is None:
                raise Undecided("Error Server Connection: not decided (isolated)")
            return told
        return self.shell.call(lambda client, now: self._decide(draw(client, now), client, now))

    @staticmethod
    def _decide(question: Question, client: Client, now: Now) -> Verdict:
        changes, verdict = decide(client.cache.table, question, client.cache.clock.now_ms(now))
        client.cache.merge(changes, now)
        return verdict

    async def wait_stored(self, serial: int, timeout_s: float) -> bool:
        """At once, or never while isolated."""
        await trio.lowlevel.checkpoint()
        return not self.shell.client.isolated


@attrs.define
class FakeSite:
    """A site in memory: `proxies` are real, the master is not. Made by open_fake_site."""

    proxies: tuple[ProxyAgent, ...]
    master: FakeMaster

    def cut(self, proxy: int | None = None) -> None:
        """Cut the links of one proxy, or of all, and let none come about."""
        self.master.cut(None if proxy is None else f"proxy{proxy + 1}")

    def heal(self) -> None:
        """Let links come about again; each proxy finds the master within about a second."""
        self.master.heal()

    async def wait_equal(self) -> None:
        """Wait until every proxy has the master's table and nothing is under way. Give it a deadline."""
        while not all(self._is_equal(proxy) for proxy in self.proxies):  # noqa: ASYNC110 - a digest has no event
            await trio.sleep(0.01)

    def _is_equal(self, proxy: ProxyAgent) -> bool:
        client = proxy.shell.client
        cut_min = self.master.now_ms() // 60_000
        same = client.cache.table.root(cut_min) == self.master.table.root(cut_min)
        return proxy.synchronised and not client.outbox.events and same


def trio_clock() -> Clock:
    """Trio's own clock as the source of all time; it may be a MockClock."""

    def read() -> Now:
        passed_s = trio.current_time() + 1_000.0
        return Now(passed_s, int(passed_s * 1000), EPOCH_MS + int(passed_s * 1000))

    return Clock(read, lambda: trio.current_time() + 1_000.0)


@asynccontextmanager
async def open_fake_site(proxies: int = 2, *, start_timeout: float = 2.0, **settings: Any) -> AsyncIterator[FakeSite]:
    """A site of so many ProxyAgents (`proxy1`, `proxy2` ...) and one master, in memory, on trio.

    Keyword arguments are those of the machine's settings, as for FakeProxyAgent.
    """
    clock = trio_clock()
    master = FakeMaster("site", _DIGEST_KEY, _DIGEST_KEY_ID, clock.read)
    agents = []
    failure: BaseException | None = None
    async with trio.open_nursery() as nursery:
        await nursery.start(master.run)
        try:
            async with AsyncExitStack() as stack:
                for number in range(1, proxies + 1):
                    name = f"proxy{number}"
                    site = Site(fake_settings(name, settings), master.dialler(name), ("memory:1", "memory:2"), _RING)
                    agent = ProxyAgent(site, clock=clock, dice=random.Random(number))
                    agents.append(await stack.enter_async_context(run_proxy_agent(agent, start_timeout=start_timeout)))
                yield FakeSite(tuple(agents), master)
        except BaseException as error:  # noqa: BLE001 - handed on below, not wrapped by the nursery
            failure = error
        nursery.cancel_scope.cancel()
    if failure is not None:
        raise failure
