"""Agents whose shell runs in the test's own loop: real sockets on loopback, a store that is only a list."""

import random
import secrets
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import attrs
import trio

from authagent import setup, wiring
from authagent.admin.handler import Handler
from authagent.admin.problems import Facts
from authagent.config import Flags
from authagent.server import Server
from authagent.store import StoreStatus
from authagent.tally import Tally
from protocol.io.clock import read_clock
from protocol.io.control import Request
from protocol.io.log import Log, Severity
from protocol.messages import Role
from protocol.stamp import Now
from tests.ports import free_ports

TIMEOUT_S = 10.0
SITE = "lan1"


def clock() -> Now:
    """As the program has it: trio's clock for deadlines."""
    return read_clock()._replace(monotonic_s=trio.current_time())


async def until(condition: Callable[[], object], timeout_s: float = TIMEOUT_S) -> None:
    """Wait for a condition that other tasks bring about."""
    with trio.fail_after(timeout_s):
        while not condition():
            await trio.sleep(0.005)


def write_files(folder: Path, *, agents: int = 1, proxies: tuple[str, ...] = ("p*",), more: str = "") -> Path:
    """A configuration for this machine, with a secret beside it."""
    entries = "".join(
        f'[[authagent]]\nid = {number}\nhost = "127.0.0.1"\nport = {port}\n'
        for number, port in enumerate(free_ports(agents), 1)
    )
    entries += "".join(f'[[proxyagent]]\nid = "{each}"\n' for each in proxies)
    head = f'site = "{SITE}"\nstate_dir = "{folder}/state"\n[tls]\nmode = "off"\n[control]\nfolder = "{folder}"\n'
    path = folder / "authagent.toml"
    path.write_text(head + more + entries)
    write_secret(folder)
    return path


def write_secret(folder: Path, *lines: str) -> tuple[str, ...]:
    """The lines of the secret file, by default a fresh one; returns them."""
    lines = lines or (secrets.token_urlsafe(32),)
    path = folder / "secret"
    path.unlink(missing_ok=True)
    path.touch(mode=0o600)
    path.write_text("".join(f"{line}\n" for line in lines))
    return lines


@attrs.define
class ListStore:
    """What a server asks of its store; everything is stored at once."""

    stored: Callable[[int], None] = lambda position: None
    status: StoreStatus = attrs.field(factory=lambda: StoreStatus(True, ""))
    term: int = 0
    clock: str = ""
    loaded_fraction: float = 1.0
    errors_total: int = 0
    queued_bytes: int = 0
    payloads: list[bytes] = attrs.field(factory=list)
    doubts: list[str] = attrs.field(factory=list)

    async def load(self, expired_before_ms: int = 0) -> AsyncIterator[bytes]:
        for payload in list(self.payloads):
            yield payload

    def write(self, position: int, payload: bytes) -> None:
        self.payloads.append(payload)
        trio.lowlevel.current_trio_token().run_sync_soon(self.stored, position)

    def write_term(self, term: int, done: Callable[[bool], None]) -> None:
        self.term = max(self.term, term)

    def write_clock(self, text: str) -> None:
        self.clock = text

    def doubt(self, why: str) -> None:
        self.doubts.append(why)


@attrs.define(eq=False)
class Running:
    """One agent of the test's loop."""

    path: Path
    number: int
    site: str
    server: Server
    store: ListStore
    lines: list[tuple[Severity, str, Mapping[str, object]]]
    handler: Handler
    reloads: int = 0

    @property
    def role(self) -> Role:
        return self.server.agent.election.role

    def logged(self, event: str) -> list[Mapping[str, object]]:
        """The values of every line of this event."""
        return [values for _, name, values in self.lines if name == event]

    def read(self) -> setup.Setup:
        """The files as they are now."""
        flags = Flags(config=str(self.path), number=str(self.number), site=self.site)
        return setup.read(flags, self.server.setup.identity.incarnation)

    def facts(self) -> Facts:
        made, now = self.server.setup, clock()
        return Facts(
            configuration=made.configuration,
            site=made.site,
            id=made.id,
            version="test",
            store_ok=self.store.status.ok,
            store_error=self.store.status.error,
            loaded_fraction=self.store.loaded_fraction,
            certificate_ending="",
            refused=self.server.refusals.lately(now.monotonic_s),
            refused_total=self.server.refusals.total,
            uptime_s=1.0,
        )

    async def ask(self, verb: str, *, administrator: bool = True, **arguments: Any) -> Any:
        """What the control socket would answer; the lines of a stream as a list."""
        answer = await self.handler(Request(verb, arguments, administrator, 0))
        return answer if isinstance(answer, Mapping) else [each async for each in answer]


def make(path: Path, number: int = 1, site: str = "") -> Running:
    """An agent by this file, not started; of this site, where the file lists several."""
    dice = random.SystemRandom()
    made = setup.read(Flags(config=str(path), number=str(number), site=site), dice.getrandbits(64))
    lines: list[tuple[Severity, str, Mapping[str, object]]] = []
    log = Log(lambda *line: lines.append(line), level=2, monotonic_s=lambda: read_clock().monotonic_s)
    server = Server(wiring.make_agent(made, dice), made, log, clock, dice, Tally(log))
    store = ListStore(server.stored)

    async def reload() -> dict[str, Any]:
        running.reloads += 1
        return {"reloaded": True, "text": "reloaded"}

    handler = Handler(server, lambda: running.facts(), lambda ago_s: f"{ago_s:.0f} s ago", reload)
    server.carry_out = handler.for_partner
    running = Running(path, number, site, server, store, lines, handler)
    return running


async def serve(running: Running, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
    """Run it to its end."""
    await running.server.load(running.store)  # type: ignore[arg-type]  # what a server asks of it is there
    await running.server.run(task_status)


@asynccontextmanager
async def run_agents(path: Path, *numbers: int) -> AsyncIterator[list[Running]]:
    """Agents that serve, or stand by, until the end of the body."""
    agents = [make(path, number) for number in numbers or (1,)]
    async with trio.open_nursery() as nursery:
        for each in agents:
            await nursery.start(serve, each)
        await until(lambda: sorted(each.role for each in agents) in ([Role.MASTER], [Role.MASTER, Role.SLAVE]))
        yield agents
        nursery.cancel_scope.cancel()
