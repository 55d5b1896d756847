"""Nodes: the real shell of an agent or a proxy, started and killed any number of times.

Rules of this file:

- A kill cancels all tasks of the shell after its streams have died, so that it can say and write nothing more.
- A disk takes what it was given after a while, in order, and keeps only what it had taken when its agent died.
- Clocks are the virtual one plus what is wrong with them here; dice are drawn from the history's.
"""

import random
from collections.abc import AsyncIterator, Callable, Mapping
from functools import partial
from pathlib import Path

import attrs
import trio

from authagent import setup, wiring
from authagent.config import Flags
from authagent.listener import Network as Ways
from authagent.server import Server
from authagent.store import StoreStatus
from authagent.tally import Tally
from protocol.io.dial import dial
from protocol.io.log import Log, Severity
from protocol.messages import Role
from protocol.stamp import Now
from protocol.table import Table
from proxyagent import config as proxy_config
from proxyagent.agent import ProxyAgent
from proxyagent.dialling import site_of
from proxyagent.shell import Clock
from tests.virtual.network import Network

EPOCH_MS = 1_767_225_600_000
DISK_S = (0.0005, 0.004, 0.03)


def clock(ahead_ms: int = 0) -> Callable[[], Now]:
    """Trio's clock as the source of all time; the wall clock is so far ahead."""

    def read() -> Now:
        passed_ms = int((trio.current_time() + 1_000.0) * 1000)
        return Now(trio.current_time(), passed_ms, EPOCH_MS + passed_ms + ahead_ms)

    return read


@attrs.define
class Disk:
    """What outlives an agent."""

    term: int = 0
    clock: str = ""
    payloads: list[bytes] = attrs.field(factory=list)


@attrs.define
class Store:
    """What a server asks of its store, on a disk that takes its time."""

    disk: Disk
    stored: Callable[[int], None]
    latency_s: float
    term: int = 0
    clock: str = ""
    status: StoreStatus = attrs.field(factory=lambda: StoreStatus(True, ""))
    loaded_fraction: float = 1.0
    _waiting: list[tuple[int, bytes]] = attrs.field(factory=list)
    _news: trio.Event = attrs.field(factory=trio.Event)

    async def load(self, expired_before_ms: int = 0) -> AsyncIterator[bytes]:
        self.term, self.clock = self.disk.term, self.disk.clock
        for payload in list(self.disk.payloads):
            yield payload

    def write(self, position: int, payload: bytes) -> None:
        self._waiting.append((position, payload))
        self._news.set()

    def write_term(self, term: int, done: Callable[[bool], None]) -> None:
        self.term = self.disk.term = max(self.disk.term, term)

    def write_clock(self, text: str) -> None:
        self.clock = self.disk.clock = text

    def doubt(self, why: str) -> None:
        raise AssertionError(f"a sound disk is doubted: {why}")

    async def run(self) -> None:
        """Commit groups until cancelled."""
        while True:
            await self._news.wait()
            self._news = trio.Event()
            await trio.sleep(self.latency_s)
            group, self._waiting = self._waiting, []
            self.disk.payloads += [payload for _, payload in group]
            if group:
                self.stored(group[-1][0])


class Node:
    """One process."""

    def __init__(self, name: str, network: Network, path: Path, ahead_ms: int) -> None:
        self.name = name
        self.network = network
        self.path = path
        self.read = clock(ahead_ms)
        self.starts = 0
        self.lines: list[tuple[float, str, Mapping[str, object]]] = []
        self._life: trio.CancelScope | None = None

    @property
    def running(self) -> bool:
        return self._life is not None

    async def live(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """One life, from its start to its kill."""
        assert not self.running, f"{self.name} runs already"
        self.starts += 1
        with trio.CancelScope() as self._life:
            await self._run(task_status)

    async def _run(self, task_status: trio.TaskStatus[None]) -> None:
        raise NotImplementedError

    def kill(self) -> None:
        """kill -9: nothing more is said or written."""
        assert self._life is not None, f"{self.name} does not run"
        self.network.die(self.name)
        self._life.cancel()
        self._life = None

    def _dice(self) -> random.Random:
        return random.Random(self.network.dice.getrandbits(64))

    def _line(self, severity: Severity, event: str, values: Mapping[str, object]) -> None:
        self.lines.append((trio.current_time(), event, dict(values)))


class AgentNode(Node):
    """An AuthAgent."""

    def __init__(self, number: int, network: Network, path: Path, ahead_ms: int) -> None:
        super().__init__(f"agent{number}", network, path, ahead_ms)
        self.number = number
        self.disk = Disk()
        self.server: Server

    @property
    def role(self) -> Role | None:
        return self.server.agent.election.role if self.running else None

    @property
    def table(self) -> Table:
        return self.server.agent.table

    async def _run(self, task_status: trio.TaskStatus[None]) -> None:
        dice, name = self._dice(), self.name
        made = setup.read(Flags(config=str(self.path), number=str(self.number)), dice.getrandbits(64))
        log = Log(self._line, level=1, monotonic_s=trio.current_time)
        ways = Ways(partial(self.network.connect, name), partial(self.network.listen, name))
        server = Server(wiring.make_agent(made, dice), made, log, self.read, dice, Tally(log), ways, boot_id=self.name)
        store = Store(self.disk, server.stored, dice.choice(DISK_S))
        self.server = server
        await server.load(store)  # type: ignore[arg-type]  # what a server asks of it is there
        async with trio.open_nursery() as nursery:
            nursery.start_soon(store.run)
            await server.run(task_status)
            nursery.cancel_scope.cancel()


class ProxyNode(Node):
    """A ProxyAgent."""

    def __init__(self, number: int, network: Network, path: Path, ahead_ms: int) -> None:
        super().__init__(f"proxy{number}", network, path, ahead_ms)
        self.agent: ProxyAgent

    @property
    def table(self) -> Table:
        return self.agent.shell.client.cache.table

    async def _run(self, task_status: trio.TaskStatus[None]) -> None:
        dice = self._dice()
        made = proxy_config.load(str(self.path), id=self.name)
        make_link = partial(dial, clock=self.read, connect=partial(self.network.connect, self.name))
        site = site_of(made, proxy_config.read_secret(made), dice.getrandbits(64), "virtual", make_link)
        times = Clock(self.read, trio.current_time)
        self.agent = ProxyAgent(site, clock=times, dice=dice, write=self._line)
        await self.agent.shell.run(task_status)
