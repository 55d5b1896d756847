"""Proxies under load, the servers they use, and the oracle that hears every event of every proxy, in order.

Rules of this file:

- It knows no product: the pair and its peers are crews of the same kind (tests/campaign), so that the same script
  breaks all of them and the same oracle judges.
- What a proxy says by itself under load goes to the oracle only; what it answers is kept for whoever asked.
"""

import contextlib
import itertools
import json
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import attrs
import trio

from tests.system.ground import Ground
from tests.system.oracle import Oracle
from tests.system.processes import Process, until
from tests.system.wires import Wires

DUMP_WITHIN_S = 60.0
"""For the whole table of a proxy, on a machine that does much else."""


@attrs.define
class Proxy(Process):
    """One program of tests.system.load, and what it answered."""

    events: list[dict[str, Any]] = attrs.field(factory=list)
    _numbers: "itertools.count[int]" = attrs.field(factory=itertools.count)

    def tell(self, **command: Any) -> None:
        """Give it a command; nothing happens when it is gone."""
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError, ValueError):  # gone, or gone and closed
            self.process.stdin.write(json.dumps(command).encode() + b"\n")

    async def wait_event(self, within_s: float, since: int = 0, **wanted: Any) -> dict[str, Any]:
        """The first event from position `since` on that has all these fields."""

        def found() -> dict[str, Any] | None:
            return next((e for e in self.events[since:] if wanted.items() <= e.items()), None)

        await until(lambda: found() is not None or self._said(), within_s, f"{self.name} says {wanted}")
        event = found()
        assert event is not None
        return event

    async def log_in(self, key: str, user: str, within_s: float = 5.0) -> dict[str, Any]:
        """Log in here; returns the acknowledged login."""
        since = len(self.events)
        self.tell(do="login", key=key, user=user)
        return await self.wait_event(within_s, since, event="login", key=key, acknowledged=True)

    async def log_out(self, within_s: float = 5.0, **of: str) -> dict[str, Any]:
        """Log out here by key or user; returns the acknowledged logout."""
        since = len(self.events)
        self.tell(do="logout", **of)
        return await self.wait_event(within_s, since, event="logout", acknowledged=True, **of)

    async def shown(self, within_s: float = DUMP_WITHIN_S) -> dict[str, str]:
        """Every session shown here: login id to key."""
        number, since = next(self._numbers), len(self.events)
        self.tell(do="dump", number=number)
        last = await self.wait_event(within_s, since, event="dump", number=number, more=False)
        assert not last["error"], f"{self.name} cannot tell what it shows: {last['error']}"
        shown: dict[str, str] = {}
        for event in self.events[since:]:
            if event["event"] == "dump" and event["number"] == number:
                shown.update(event["shown"])
        return shown

    async def look(self, keys: Iterable[str], within_s: float = 30.0) -> dict[str, str] | None:
        """Who is shown under each of these keys: login id to key; None when it cannot tell."""
        number, since = next(self._numbers), len(self.events)
        self.tell(do="look", number=number, keys=list(keys))
        event = await self.wait_event(within_s, since, event="look", number=number)
        shown: dict[str, str] | None = event["shown"]
        return shown

    async def state(self, within_s: float = 5.0) -> dict[str, Any]:
        """Whether it is synchronised, whether it is isolated."""
        number, since = next(self._numbers), len(self.events)
        self.tell(do="state", number=number)
        return await self.wait_event(within_s, since, event="state", number=number)

    def _said(self) -> str:
        return f"{self.events[-1] if self.events else 'nothing'}; log: {self.log_end()}"


@attrs.frozen
class Server:
    """One machine that serves: what runs there, the one that holds the sessions first, and where its disk is."""

    name: str
    processes: tuple[Process, ...]
    disk: Path | None = None


def _nothing(proxy: Proxy, event: dict[str, Any]) -> None:
    """Nobody else listens."""


@attrs.define
class Crew(ABC):
    """Servers and proxies, their ground and their oracle. `hear` is told every event after the oracle."""

    ground: Ground
    servers: dict[str, Server]
    proxies: dict[int, Proxy]
    oracle: Oracle = attrs.field(factory=Oracle)
    hear: Callable[[Proxy, dict[str, Any]], None] = _nothing

    @property
    def wires(self) -> Wires:
        """How its nodes are connected."""
        return self.ground.wires

    @property
    def folder(self) -> Path:
        """Where its files are."""
        return self.ground.folder

    @abstractmethod
    async def settled(self, *, equal: bool = True) -> object:
        """True when somebody serves all and is followed, and with `equal` all have the same; else what is not so."""

    @abstractmethod
    async def serving(self) -> str:
        """The name of the server that takes logins now; empty when none says so."""

    async def start(self, within_s: float = 15.0) -> float:
        """Start everything; returns the seconds until all is settled."""
        for server in self.servers.values():
            for process in server.processes:
                process.start()
        for number in self.proxies:
            self.start_proxy(number)
        return await self.wait_settled(within_s)

    def start_proxy(self, number: int) -> None:
        """Start a proxy and listen to it."""
        proxy = self.proxies[number]
        proxy.start()
        self.ground.nursery.start_soon(self._listen, proxy)

    async def _listen(self, proxy: Proxy) -> None:
        assert proxy.process.stdout is not None
        buffer = b""
        async with trio.lowlevel.FdStream(os.dup(proxy.process.stdout.fileno())) as stream:
            async for data in stream:
                *lines, buffer = (buffer + data).split(b"\n")
                for line in lines:
                    event = json.loads(line)
                    self.oracle.hear(event)
                    self.hear(proxy, event)
                    if "load" not in event:
                        proxy.events.append(event)

    async def wait_settled(self, within_s: float = 10.0, *, equal: bool = True) -> float:
        """Wait until all is settled; returns the seconds it took."""
        return await until(lambda: self.settled(equal=equal), within_s, "all settles")

    async def verify(self, within_s: float = 5.0) -> None:
        """Every running proxy shows what the oracle demands: nothing lost, nothing back."""
        problems: dict[str, str] = {}

        async def right() -> object:
            problems.clear()
            for proxy in self.proxies.values():
                if proxy.running:
                    shown = await proxy.shown()
                    lost, back = self.oracle.lost(shown), self.oracle.back(shown)
                    if lost or back:
                        problems[proxy.name] = f"lost {sorted(lost)[:5]} of {len(lost)}, back {sorted(back)[:5]}"
            return problems if problems else True

        await until(right, within_s, "no login lost, no logout undone")
        assert not self.oracle.resurrected, f"came back while faults went on: {self.oracle.resurrected}"
        assert not self.oracle.forgotten, f"forgotten while faults went on: {self.oracle.forgotten}"

    def end(self) -> None:
        """End every process."""
        for server in self.servers.values():
            for process in server.processes:
                process.kill()
        for proxy in self.proxies.values():
            proxy.kill()


def make_proxies(ground: Ground, program: list[str], *, own_clocks: bool = True) -> dict[int, Proxy]:
    """The proxies of this ground, each running `program` with its own id and, if it bears that, its own clock."""
    return {
        number: Proxy(
            name=name,
            command=[*ground.wires.prefix(name), *program, "--id", name],
            log=ground.folder / f"{name}.log",
            environment=ground.environment(name) if own_clocks else {},
            piped=True,
        )
        for number, name in enumerate(ground.proxies, 1)
    }
