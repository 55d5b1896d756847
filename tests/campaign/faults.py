"""What goes wrong with real processes, and how it is mended: one coroutine for each kind of fault.

Rules of this file:

- A fault lasts from the call of its coroutine to its end, which mends it.
- Nodes whose processes are broken are `busy` until they are mended; faults of the network fall on anybody.
- What is broken, where and for how long is drawn from the dice alone, whatever product is under it: the same seed
  breaks the same things in the same order, as far as the nodes are the same.
- A fault that cannot be had on this ground is not among `kinds`.
"""

import random
from collections.abc import Awaitable, Callable, Sequence

import attrs
import trio

from tests.system.crew import Crew
from tests.system.processes import Process
from tests.system.wires import Mend, Namespaces

Fault = Callable[[], Awaitable[None]]


@attrs.define
class Faults:
    """Breaks the nodes of one crew and mends them, and counts. `restarted` is told of each proxy started anew."""

    crew: Crew
    dice: random.Random
    restarted: Callable[[int], None]
    counts: dict[str, int] = attrs.field(factory=dict)
    busy: set[str] = attrs.field(factory=set)

    @property
    def total(self) -> int:
        """Faults so far."""
        return sum(self.counts.values())

    @property
    def kinds(self) -> dict[Fault, int]:
        """What can be broken here, each with its weight."""
        kinds: dict[Fault, int] = {
            self.kill_server: 4,
            self.kill_proxy: 3,
            self.stop_server: 3,
            self.stop_proxy: 1,
            self.cut: 4,
            self.isolate: 2,
        }
        ground = self.crew.ground
        if isinstance(self.crew.wires, Namespaces):
            kinds |= {self.slow: 1, self.lose: 2, self.delay: 2}
        if ground.disks.possible and any(server.disk is not None for server in self.crew.servers.values()):
            kinds[self.fill_disk] = 2
        if self._shiftable():
            kinds[self.shift_clock] = 2
        return kinds

    async def any(self) -> None:
        """One fault of any kind."""
        kinds = self.kinds
        await self.dice.choices(list(kinds), list(kinds.values()))[0]()

    # -- processes -------------------------------------------------------------------------------------------------

    async def kill_server(self, name: str = "") -> None:
        """kill -9 of the process that holds the sessions; its disk stays."""
        server = self.crew.servers[name or self._server()]
        down_s = self._longer_at_times(0.0, 1.5, 6.0)
        process = server.processes[0]
        if self._take(server.name, "server killed"):
            process.kill()
            await trio.sleep(down_s)
            process.start()
            await self._rest(server.name)

    async def kill_proxy(self) -> None:
        """kill -9 of one proxy; it starts empty."""
        number = self.dice.choice(tuple(self.crew.proxies))
        proxy, down_s = self.crew.proxies[number], self.dice.uniform(0.0, 1.5)
        if self._take(proxy.name, "proxy killed"):
            proxy.kill()
            await trio.sleep(down_s)
            self.crew.start_proxy(number)
            self.restarted(number)
            await self._rest(proxy.name)

    async def stop_server(self, name: str = "") -> None:
        """SIGSTOP of all that runs on one server, and SIGCONT later: a paused virtual machine."""
        server = self.crew.servers[name or self._server()]
        await self._stop(server.name, server.processes, "server stopped")

    async def stop_proxy(self) -> None:
        """SIGSTOP of one proxy, and SIGCONT later."""
        proxy = self.crew.proxies[self.dice.choice(tuple(self.crew.proxies))]
        await self._stop(proxy.name, (proxy,), "proxy stopped")

    async def _stop(self, name: str, processes: Sequence[Process], kind: str) -> None:
        stopped_s = self._longer_at_times(0.1, 2.0, 6.0)
        if self._take(name, kind):
            for process in processes:
                process.pause()
            await trio.sleep(stopped_s)
            for process in processes:
                process.resume()
            self.busy.discard(name)

    # -- the network -----------------------------------------------------------------------------------------------

    async def cut(self) -> None:
        """One link falls silent, or is reset, in one direction or both."""
        servers = tuple(self.crew.servers)
        one = self.dice.choice(servers)
        other = self.dice.choice([name for name in (*servers, *self._proxies()) if name != one])
        kind, one_way = self._how_cut(), self.dice.random() < 0.3
        pair = self.dice.sample((one, other), 2)
        lasts_s = self._longer_at_times(0.2, 2.0, 6.0)
        name = "link reset" if kind == "reset" else "link silent"
        await self._mended_after(f"{name}, one way" if one_way else name, lasts_s, self._cuts([pair], kind, one_way))

    async def isolate(self, name: str = "") -> None:
        """One server reaches nobody."""
        name = name or self._server()
        others = [node for node in (*self.crew.servers, *self._proxies()) if node != name]
        kind = self._how_cut()
        lasts_s = self._longer_at_times(0.5, 2.0, 6.0)
        await self._mended_after("server cut off", lasts_s, self._cuts([[name, other] for other in others], kind))

    async def slow(self) -> None:
        """One node sends slowly."""
        node, rate = self._node(), self.dice.choice(("256kbit", "1mbit", "4mbit"))
        await self._mended_after("rate limited", self.dice.uniform(1.0, 4.0), self._spaces.slow(node, rate))

    async def lose(self) -> None:
        """One node loses some of what comes."""
        node, percent = self._node(), self.dice.choice((1, 5, 20, 40))
        await self._mended_after("packets lost", self.dice.uniform(1.0, 4.0), self._spaces.lose(node, percent))

    async def delay(self) -> None:
        """What one node sends arrives late."""
        node, late_s = self._node(), self.dice.choice((0.01, 0.05, 0.2, 0.4))
        lasts_s = self.dice.uniform(1.5, 4.0)
        if self._take(f"{node}'s delay", "packets delayed"):
            await self._mend_later(lasts_s, self._spaces.delay(node, late_s, late_s / 2))
            self.busy.discard(f"{node}'s delay")

    async def _cuts(self, pairs: Sequence[Sequence[str]], kind: str, one_way: bool = False) -> Mend:
        mends = [
            await self.crew.wires.cut(a, b, "reset" if kind == "reset" else "drop", one_way=one_way) for a, b in pairs
        ]

        async def mend() -> None:
            for each in mends:
                await each()

        return mend

    async def _mended_after(self, kind: str, seconds: float, breaking: Awaitable[Mend]) -> None:
        self._count(kind)
        await self._mend_later(seconds, breaking)

    async def _mend_later(self, seconds: float, breaking: Awaitable[Mend]) -> None:
        mend = await breaking
        await trio.sleep(seconds)
        await mend()

    @property
    def _spaces(self) -> Namespaces:
        assert isinstance(self.crew.wires, Namespaces), "only namespaces can be shaped"
        return self.crew.wires

    # -- disks and clocks ------------------------------------------------------------------------------------------

    async def fill_disk(self) -> None:
        """The disk of one server is full for a while."""
        name = self.dice.choice([server.name for server in self.crew.servers.values() if server.disk is not None])
        disks = self.crew.ground.disks
        full_s = self.dice.uniform(0.5, 3.0)
        if self._take(f"{name}'s disk", "disk full"):
            await trio.to_thread.run_sync(disks.fill, name)
            await trio.sleep(full_s)
            disks.free(name)
            self.busy.discard(f"{name}'s disk")

    async def shift_clock(self) -> None:
        """The wall clock of one node is wrong for a while: by what must not matter, or by far more."""
        node = self.dice.choice(self._shiftable())
        clocks = self.crew.ground.clocks
        assert clocks is not None, "these clocks belong to the machine"
        far = self.dice.random() < 0.4
        ahead_s = self.dice.choice((-1, 1)) * (self.dice.uniform(5.0, 3600.0) if far else self.dice.uniform(0.2, 1.5))
        wrong_s = self.dice.uniform(1.5, 5.0)
        if self._take(node, "clock shifted far" if far else "clock shifted"):
            clocks.shift(node, ahead_s)
            await trio.sleep(wrong_s)
            clocks.shift(node, 0.0)
            await self._rest(node)

    # -- drawing and counting --------------------------------------------------------------------------------------

    def _server(self) -> str:
        return self.dice.choice(tuple(self.crew.servers))

    def _proxies(self) -> list[str]:
        return [proxy.name for proxy in self.crew.proxies.values()]

    def _node(self) -> str:
        return self.dice.choice((*self.crew.servers, *self._proxies()))

    def _shiftable(self) -> list[str]:
        """Nodes whose programs have clocks of their own."""
        servers = [server.name for server in self.crew.servers.values() if server.processes[0].environment]
        return servers + [proxy.name for proxy in self.crew.proxies.values() if proxy.environment]

    def _how_cut(self) -> str:
        return "reset" if self.dice.random() < 0.3 else "drop"

    def _longer_at_times(self, least: float, most: float, most_at_times: float) -> float:
        """Mostly short, and in one of four long enough for a peer's failover too."""
        lasts, at_times = self.dice.uniform(least, most), self.dice.uniform(most, most_at_times)
        return at_times if self.dice.random() < 0.25 else lasts

    def _take(self, node: str, kind: str) -> bool:
        """Whether this node may be broken now; then it is busy, and the fault counts."""
        if node in self.busy:
            return False
        self.busy.add(node)
        self._count(kind)
        return True

    async def _rest(self, node: str) -> None:
        """Leave a started node alone for long enough to come up."""
        await trio.sleep(self.dice.uniform(0.5, 1.5))
        self.busy.discard(node)

    def _count(self, kind: str) -> None:
        self.counts[kind] = self.counts.get(kind, 0) + 1
