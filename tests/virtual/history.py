"""One random history of a site of real shells, and its judgement.

Two phases. In the first anything may be down: links are silent, one way or both, or reset, processes are killed with
and without what they had on disk, agents are split from each other and from proxies, while users log in and out at
every proxy. In the second all is mended, and the site must settle, be equal, and show what was acknowledged.

What the oracle demands is that of the tests with real processes (tests/system/oracle.py): nothing acknowledged is lost,
nobody who was logged out is back, and nobody known to a process is forgotten by it, at any time. A disk is lost only
while everybody else is well: whoever loses everything at once is promised nothing.
"""

import itertools
import random
from collections.abc import Awaitable, Callable
from pathlib import Path

import attrs
import trio

import proxyagent
from protocol.messages import Role
from tests.system.oracle import Oracle
from tests.virtual.network import Network
from tests.virtual.nodes import EPOCH_MS, AgentNode, Node, ProxyNode

PROXIES = 3
STEPS = 40
LATENCIES_S = (0.0002, 0.002, 0.02)
AHEAD_MS = (0, 0, 250, 900)
PROXY_AHEAD_MS = (0, 2_000, 3_600_000)

ACKNOWLEDGED_WITHIN_S = 8.0
SETTLED_WITHIN_S = 12.0
EQUAL_WITHIN_S = 2.0
"""Promise 4: after faults stop and the site has a master."""

START_WITHIN_S = 15.0


class Broken(AssertionError):
    """A promise was broken; the text tells which."""


class History:
    """One history. `play` raises Broken."""

    def __init__(self, seed: int, path: Path, tell: Callable[[str], None] = lambda line: None) -> None:
        self.dice = random.Random(seed)
        self.network = Network(self.dice, self.dice.choice(LATENCIES_S))
        self.agents = [AgentNode(number, self.network, path, self.dice.choice(AHEAD_MS)) for number in (1, 2)]
        self.proxies = [
            ProxyNode(number, self.network, path, self.dice.choice(PROXY_AHEAD_MS)) for number in range(1, PROXIES + 1)
        ]
        self.oracle = Oracle()
        self.faults = 0
        self._tell_line = tell
        self._keys = itertools.count(1)
        self._pool: list[tuple[str, str]] = []
        self._nursery: trio.Nursery

    def _tell(self, text: str) -> None:
        self._tell_line(f"{trio.current_time():9.4f}  {text}")

    async def play(self) -> None:
        """Everything, to the judgement."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            await nursery.start(self.network.serve)
            for node in self.dice.sample(self._nodes, len(self._nodes)):
                self._start(node)
            await self._wait(self._settled, START_WITHIN_S, "the site comes up")
            async with trio.open_nursery() as users:
                users.start_soon(self._use, users)
                await self._break()
                await self._judge_calm()
                users.cancel_scope.cancel()
            await self._judge()
            nursery.cancel_scope.cancel()

    @property
    def _nodes(self) -> list[Node]:
        return [*self.agents, *self.proxies]

    def _start(self, node: Node) -> None:
        self._nursery.start_soon(node.live)

    # -- users -----------------------------------------------------------------------------------------------------

    async def _use(self, nursery: trio.Nursery) -> None:
        """Log in and out at proxies that run, for ever; and see whom they show."""
        while True:
            await trio.sleep(self.dice.choice((0.001, 0.02, 0.1, 0.3)))
            proxy = self.dice.choice(self.proxies)
            if not proxy.running or not hasattr(proxy, "agent") or proxy.agent.shell.failure:
                continue
            if self._pool and self.dice.random() < 0.4:
                key, user = self._pool.pop(self.dice.randrange(len(self._pool)))
                nursery.start_soon(self._log_out, proxy, key, user)
            else:
                number = next(self._keys)
                nursery.start_soon(self._log_in, proxy, f"10.0.{number >> 8}.{number & 255}", f"user{number}")
            if self.dice.random() < 0.1:
                self._look(proxy)

    async def _log_in(self, proxy: ProxyNode, key: str, user: str) -> None:
        agent, start = proxy.agent, proxy.starts
        login_id = str((session := agent.login(key, user=user)).login_id)
        self._hear(event="logging_in", key=key, user=user, id=login_id)
        began_s = trio.current_time()
        done = await self._acknowledged(proxy, start, session)
        took_s = trio.current_time() - began_s
        self._hear(event="login", key=key, id=login_id, acknowledged=done, at=began_s, s=took_s)
        if done:
            self._pool.append((key, user))

    async def _log_out(self, proxy: ProxyNode, key: str, user: str) -> None:
        by_user = self.dice.random() < 1 / 3
        of = {"key": None, "user": user} if by_user else {"key": key, "user": None}
        self._hear(event="logging_out", **of)
        start, ended = proxy.starts, proxy.agent.logout(of["key"], user=of["user"])
        ids = [str(session.login_id) for session in ended]
        self._hear(event="logout", **of, ids=ids, acknowledged=await self._acknowledged(proxy, start, ended))
        if self.dice.random() < 1 / 3 and proxy.running and proxy.starts == start:
            await self._log_in(proxy, key, user)

    async def _acknowledged(self, proxy: ProxyNode, start: int, what: object) -> bool:
        """Whether it was, before the process died: of a dead process nothing is read any more."""
        try:
            await proxy.agent.wait_acknowledged(what, "site", ACKNOWLEDGED_WITHIN_S)  # type: ignore[arg-type]
        except proxyagent.NotAcknowledged:
            return False
        return proxy.running and proxy.starts == start

    def _hear(self, **event: object) -> None:
        self._tell(" ".join(f"{name}={value}" for name, value in event.items()))
        self.oracle.hear(event)

    def _look(self, proxy: ProxyNode) -> None:
        shown = self._shown(proxy)
        self.oracle.look(f"{proxy.name} start {proxy.starts}", self.oracle.acknowledged, shown)
        if self.oracle.resurrected or self.oracle.forgotten:
            raise Broken(f"{proxy.name}: back {self.oracle.resurrected}, forgotten {self.oracle.forgotten}")

    def _shown(self, proxy: ProxyNode) -> dict[str, str]:
        return {str(session.login_id): session.key for session in proxy.agent.sessions()}

    # -- faults ----------------------------------------------------------------------------------------------------

    async def _break(self) -> None:
        """One fault after another, at times with the next one on top of it."""
        kinds: list[Callable[[], Awaitable[None]]] = [self._kill, self._kill, self._cut, self._reset, self._split]
        async with trio.open_nursery() as faults:
            for _ in range(STEPS):
                self.faults += 1
                faults.start_soon(self.dice.choice(kinds))
                await trio.sleep(self.dice.choice((0.0, 0.05, 0.4, 1.5, 3.0)))
                if self.dice.random() < 0.1:
                    await self._lose_disk()

    async def _kill(self) -> None:
        node = self.dice.choice(self._nodes)
        if node.running:
            self._tell(f"kill {node.name}")
            node.kill()
            await trio.sleep(self.dice.choice((0.0, 0.1, 0.8, 4.0)))
            if not node.running:
                self._start(node)

    async def _lose_disk(self) -> None:
        """Kill an agent and bring it back empty, when all is well."""
        with trio.move_on_after(6.0):
            while not self._settled() or not self._equal():
                await trio.sleep(0.05)
            agent = self.dice.choice(self.agents)
            self._tell(f"lose the disk of {agent.name}")
            agent.kill()
            agent.disk.payloads.clear()
            agent.disk.term = 0
            self._start(agent)
            while not self._settled() or not self._equal():
                await trio.sleep(0.05)

    async def _cut(self) -> None:
        """A link is silent, in one direction or both."""
        one, other = self.dice.sample([node.name for node in self._nodes], 2)
        pairs = [(one, other)] if self.dice.random() < 0.3 else [(one, other), (other, one)]
        await self._silence(pairs)

    async def _split(self) -> None:
        """The agents do not hear each other, and each proxy only one of them."""
        sides = [["agent1"], ["agent2"]]
        for proxy in self.proxies:
            self.dice.choice(sides).append(proxy.name)
        await self._silence([pair for a in sides[0] for b in sides[1] for pair in ((a, b), (b, a))])

    async def _reset(self) -> None:
        one, other = self.dice.choice(self.agents), self.dice.choice(self._nodes)
        self._tell(f"reset {one.name} - {other.name}")
        self.network.reset(one.name, other.name)
        await trio.lowlevel.checkpoint()

    async def _silence(self, pairs: list[tuple[str, str]]) -> None:
        lasts_s = self.dice.choice((0.2, 0.9, 1.3, 3.0, 7.0))
        self._tell(f"silent for {lasts_s} s: {pairs}")
        for pair in pairs:
            self.network.silence(*pair)
        await trio.sleep(lasts_s)
        for pair in pairs:
            self.network.heal(*pair)

    # -- the judgement ---------------------------------------------------------------------------------------------

    async def _judge_calm(self) -> None:
        self._tell("-- all is mended")
        await self._wait(self._settled, SETTLED_WITHIN_S, "the site settles")
        await self._wait(self._equal, EQUAL_WITHIN_S, "tables are equal")

    async def _judge(self) -> None:
        """Nobody uses it any more: it stays settled, becomes equal for good, and shows what it must."""
        await trio.sleep(1.0)
        await self._wait(lambda: self._settled() and self._equal(), EQUAL_WITHIN_S, "calm lasts")
        for proxy in self.proxies:
            shown = self._shown(proxy)
            if lost := self.oracle.lost(shown):
                raise Broken(f"{proxy.name} has lost {sorted(lost)[:5]} of {len(lost)}")
            if back := self.oracle.back(shown):
                raise Broken(f"{proxy.name} shows again {sorted(back)[:5]} of {len(back)}")
            self._look(proxy)

    def _settled(self) -> bool:
        """One master, one slave that counts, and every proxy served."""
        if not all(node.running for node in self._nodes) or not all(hasattr(each, "agent") for each in self.proxies):
            return False
        if not all(hasattr(agent, "server") for agent in self.agents):
            return False
        masters = [agent for agent in self.agents if agent.role is Role.MASTER]
        slaves = [agent for agent in self.agents if agent.role is Role.SLAVE]
        if len(masters) != 1 or len(slaves) != 1 or masters[0].server.agent.service.slave is None:
            return False
        return all(proxy.agent.synchronised and not proxy.agent.isolated for proxy in self.proxies)

    def _equal(self) -> bool:
        cut_min = (EPOCH_MS + int((trio.current_time() + 1_000.0) * 1000)) // 60_000
        tables = [*(agent.table for agent in self.agents), *(proxy.table for proxy in self.proxies)]
        return len({table.root(cut_min) for table in tables}) == 1

    async def _wait(self, holds: Callable[[], bool], within_s: float, what: str) -> None:
        end_s = trio.current_time() + within_s
        while not holds():
            if trio.current_time() > end_s:
                raise Broken(f"{what}: not within {within_s:g} s; {self._picture()}")
            await trio.sleep(0.01)

    def _picture(self) -> str:
        agents = [f"{agent.name} {agent.role and agent.role.name}" for agent in self.agents]
        proxies = [f"{each.name} {'isolated' if each.agent.isolated else 'served'}" for each in self.proxies]
        return ", ".join([*agents, *proxies])


@attrs.frozen
class Outcome:
    """What one history came to."""

    faults: int
    logins: int
    logouts: int
    seconds: float
