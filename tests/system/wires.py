"""Wires between the processes of a system test, and how they are cut.

Rules of this file:

- As root: one network namespace per node on one bridge, and nft rules for the cuts, which every real link passes.
- Else: loopback, with the demo's relay in front of each agent; every link is dialled to an agent, so that is enough.
- A cut is silent (`drop`), as a pulled cable, or says so (`reset`), as a firewall does; it may be one-way.
- Whoever breaks something mends it: each fault of the network gives what takes it back, and `heal` ends them all.
- Loss is drawn by nft, rates are kept by tc's token bucket, delay is made by tests.system.delay_line: few kernels
  without modules have netem.
"""

import contextlib
import functools
import itertools
import os
import shutil
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Literal

import attrs
import trio

from authagent.demo.relay import Caller, Relay
from tests.ports import free_port
from tests.system.processes import ROOT

Kind = Literal["drop", "reset"]
Mend = Callable[[], Awaitable[None]]

_RUN = itertools.count()


@attrs.frozen
class Address:
    """Where an agent is dialled, and where it listens when that differs."""

    host: str
    port: int
    listen: str | None = None


class Wires(ABC):
    """What the harness needs of a network."""

    loopback: bool

    @abstractmethod
    def prefix(self, node: str) -> list[str]:
        """What stands before a command that runs at `node`."""

    @abstractmethod
    def address(self, agent: str) -> Address:
        """Where `agent` is found."""

    @abstractmethod
    async def cut(self, a: str, b: str, kind: Kind = "drop", *, one_way: bool = False) -> Mend:
        """Let nothing pass between two nodes; with `one_way` only nothing from `b` to `a`."""

    @abstractmethod
    async def heal(self) -> None:
        """Let everything pass again."""


class Namespaces(Wires):
    """Every node has its own network namespace, address and firewall."""

    loopback = False

    def __init__(self, nodes: tuple[str, ...]) -> None:
        self._name = f"aa{os.getpid():x}{next(_RUN)}"
        self._hosts = {node: f"10.99.0.{number}" for number, node in enumerate(nodes, start=1)}
        self._denied: dict[str, list[str]] = {node: [] for node in nodes}
        self._lines: list[subprocess.Popen[bytes]] = []

    def prefix(self, node: str) -> list[str]:
        return ["ip", "netns", "exec", self._space(node)]

    def address(self, agent: str) -> Address:
        return Address(self._hosts[agent], 9023)

    async def cut(self, a: str, b: str, kind: Kind = "drop", *, one_way: bool = False) -> Mend:
        verdict = "drop" if kind == "drop" else "meta l4proto tcp reject with tcp reset"
        mends = [await self._deny(a, f"ip saddr {self._hosts[b]} {verdict}")]
        if not one_way:
            mends.append(await self._deny(b, f"ip saddr {self._hosts[a]} {verdict}"))

        async def mend() -> None:
            for each in mends:
                await each()

        return mend

    async def unplug(self, node: str) -> Mend:
        """Pull the cable of `node` out of the switch: nobody is told, and nothing comes or goes."""
        port = f"p{list(self._hosts).index(node)}"
        command = ["ip", "-n", self._space("hub"), "link", "set", port]
        await _run([*command, "down"])

        async def mend() -> None:
            await _run([*command, "up"])

        return mend

    async def lose(self, node: str, percent: int) -> Mend:
        """Lose so many packets of a hundred that come to `node`."""
        return await self._deny(node, f"numgen random mod 100 < {percent} drop")

    async def slow(self, node: str, rate: str) -> Mend:
        """Let `node` send no faster than `rate`, in the words of tc."""
        device = ["tc", "-n", self._space(node), "qdisc"]
        await _run([*device, *f"replace dev eth0 root tbf rate {rate} burst 32kb latency 300ms".split()])

        async def mend() -> None:
            await _run([*device, "del", "dev", "eth0", "root"], check=False)

        return mend

    async def delay(self, node: str, seconds: float, jitter_s: float) -> Mend:
        """Have what `node` sends arrive so much later, and up to `jitter_s` more; the order is kept."""
        command = [*self.prefix(node), sys.executable, "-m", "tests.system.delay_line", self._hosts[node]]
        line = subprocess.Popen([*command, str(seconds), str(jitter_s)], cwd=ROOT, stdin=subprocess.PIPE)
        self._lines.append(line)

        async def mend() -> None:
            self._lines.remove(line)
            _end(line)

        return mend

    async def heal(self) -> None:
        for node, rules in self._denied.items():
            if rules:
                rules.clear()
                await self._apply(node)

    async def _deny(self, node: str, rule: str) -> Mend:
        rules = self._denied[node]
        rules.append(rule)
        await self._apply(node)

        async def mend() -> None:
            if rule in rules:  # else all was healed meanwhile
                rules.remove(rule)
                await self._apply(node)

        return mend

    async def _apply(self, node: str) -> None:
        """All rules of a node, in one transaction."""
        lines = ["flush chain inet cut input", *(f"add rule inet cut input {rule}" for rule in self._denied[node])]
        await self._nft(node, "\n".join(lines))

    def _space(self, node: str) -> str:
        return f"{self._name}-{node}"

    async def _nft(self, node: str, rules: str) -> None:
        await _run([*self.prefix(node), "nft", "-f", "-"], rules)

    async def build(self) -> None:
        """Make the namespaces, the bridge between them, and empty firewalls."""
        hub = self._space("hub")
        await _run(["ip", "netns", "add", hub])
        await _run(["ip", "-n", hub, "link", "add", "hub", "type", "bridge"])
        await _run(["ip", "-n", hub, "link", "set", "hub", "up"])
        for number, (node, host) in enumerate(self._hosts.items()):
            space = self._space(node)
            await _run(["ip", "netns", "add", space])
            commands = (
                f"link add eth0 type veth peer name p{number} netns {hub}",
                f"address add {host}/24 dev eth0",
                "link set eth0 up",
                "link set lo up",
            )
            await _run(["ip", "-n", space, "-batch", "-"], "\n".join(commands))
            await _run(["ip", "-n", hub, "link", "set", f"p{number}", "master", "hub", "up"])
            await self._nft(node, "add table inet cut; add chain inet cut input { type filter hook input priority 0; }")

    async def remove(self) -> None:
        """Delete what `build` made; whatever of it is missing does not matter."""
        for line in self._lines:
            _end(line)
        for node in ("hub", *self._hosts):
            await _run(["ip", "netns", "del", self._space(node)], check=False)


def _end(line: "subprocess.Popen[bytes]") -> None:
    """A delay line ends with its standard input, and is killed if it does not."""
    assert line.stdin is not None
    line.stdin.close()
    try:
        line.wait(2.0)
    except subprocess.TimeoutExpired:
        line.kill()
        line.wait()


class Relays(Wires):
    """Loopback; each agent is dialled through a relay that tells its callers apart."""

    loopback = True

    def __init__(self, agents: tuple[str, ...]) -> None:
        ports = {agent: free_port() for agent in agents}
        self._addresses = {
            agent: Address("127.0.0.1", free_port(), f"127.0.0.1:{port}") for agent, port in ports.items()
        }
        self._relays = {agent: Relay(port) for agent, port in ports.items()}
        self._severed: set[tuple[str, str]] = set()

    def prefix(self, node: str) -> list[str]:
        return []

    def address(self, agent: str) -> Address:
        return self._addresses[agent]

    async def cut(self, a: str, b: str, kind: Kind = "drop", *, one_way: bool = False) -> Mend:
        self._severed |= {(a, b), (b, a)}
        self._apply()

        async def mend() -> None:
            self._severed -= {(a, b), (b, a)}
            self._apply()

        return mend

    async def heal(self) -> None:
        self._severed.clear()
        self._apply()

    def _apply(self) -> None:
        for agent, relay in self._relays.items():
            relay.cut(functools.partial(self._is_severed, agent))

    def _is_severed(self, agent: str, caller: Caller) -> bool:
        return (agent, f"agent{caller.id}" if caller.kind == "agent" else caller.id) in self._severed

    async def serve(self, nursery: trio.Nursery) -> None:
        """Start the relays in `nursery`."""
        for agent, relay in self._relays.items():
            port = self._addresses[agent].port
            await nursery.start(functools.partial(trio.serve_tcp, relay.serve, port, host="127.0.0.1"))


@contextlib.asynccontextmanager
async def open_wires(
    agents: tuple[str, ...], proxies: tuple[str, ...], *, relayed: bool = False
) -> AsyncIterator[Wires]:
    """The best wires that this machine allows, or relays where these are asked for."""
    async with laid((*agents, *proxies), lambda: Relays(agents), relayed=relayed) as wires:
        yield wires


@contextlib.asynccontextmanager
async def laid(hosts: tuple[str, ...], make_relays: Callable[[], Relays], *, relayed: bool) -> AsyncIterator[Wires]:
    """A namespace for each host where this machine allows that and `relayed` does not forbid it; else relays."""
    if not relayed and await namespaces_work():
        spaces = Namespaces(hosts)
        try:
            await spaces.build()
            yield spaces
        finally:
            with trio.CancelScope(shield=True):
                await spaces.remove()
        return
    relays = make_relays()
    async with trio.open_nursery() as nursery:
        await relays.serve(nursery)
        yield relays
        nursery.cancel_scope.cancel()


async def namespaces_work() -> bool:
    """Whether this is root who may make a namespace with a firewall: in some containers it may not."""
    if os.geteuid() != 0 or shutil.which("nft") is None:
        return False
    name = f"aa{os.getpid():x}-try"
    made = f"ip netns add {name} && ip netns exec {name} nft add table inet cut"
    script = f"{made}; code=$?; ip netns del {name}; exit $code"
    done = await trio.run_process(["sh", "-c", script], check=False, capture_stdout=True, capture_stderr=True)
    return done.returncode == 0


async def _run(command: list[str], text: str = "", *, check: bool = True) -> None:
    await trio.run_process(command, stdin=text.encode(), check=check, capture_stdout=True, capture_stderr=True)
