"""A farm of real Squids: agents, a `proxyagent run` beside each Squid, HAProxy in front, and users with addresses.

Rules of this file:

- Whatever is waited for has a deadline; whatever runs is ended.
- Everybody's address is a loopback address of this process's own block.
"""

import contextlib
import itertools
import os
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import attrs

from protocol.io.control_client import ask
from tests.ports import free_port
from tests.system import daemons
from tests.system.daemons import PATIENCE_S
from tests.system.processes import Process, until
from tests.system.squid_files import Files, MachineFiles

_users = itertools.count(1)
_block = 64 + int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 128


def client_address() -> str:
    """A loopback address that no other test of this process or of another worker has."""
    number = next(_users)
    return f"127.{_block}.{number // 250}.{number % 250 + 1}"


@attrs.define
class Machine(daemons.Machine):
    """One machine of the farm: a Squid and the ProxyAgent beside it."""

    files: MachineFiles
    squid: Process

    @property
    def port(self) -> int:
        """Where browsers reach Squid."""
        return self.files.port

    @property
    def folder(self) -> Path:
        """Of Squid's files and logs."""
        return self.files.home

    @property
    def access_log(self) -> str:
        """What Squid has logged of requests; nothing while it does not run."""
        path = self.folder / "access.log"
        return path.read_text() if self.squid.running and path.exists() else ""

    def start_squid(self) -> None:
        """Start Squid; what it says of an earlier life is forgotten."""
        (self.folder / "cache.log").unlink(missing_ok=True)
        self.squid.start()

    def cache_log(self) -> str:
        """What Squid has said since its start."""
        path = self.folder / "cache.log"
        return path.read_text(errors="replace") if path.exists() else ""

    async def wait_squid(self) -> float:
        """Wait until Squid takes connections where browsers come; it opens its ports one after the other."""
        return await until(lambda: self._squid_accepts() or self.cache_log()[-2_000:], PATIENCE_S, self.id)

    def _squid_accepts(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), 1.0).close()
        except OSError:
            return False
        return "Accepting HTTP Socket" in self.cache_log()

    def _served(self) -> object:
        """Helpers are answered too."""
        return super()._served() if Path(self.helpers).exists() else self.daemon.log_end()

    def ask(self, verb: str, **arguments: object) -> dict[str, object]:
        """A verb at this machine's control socket."""
        return ask(self.control, verb, **arguments)


@attrs.define
class Farm:
    """Everything, running."""

    folder: Path
    agents: list[Process]
    machines: list[Machine]
    haproxy: Process | None
    switch_port: int
    """Where browsers reach HAProxy."""

    @property
    def processes(self) -> Iterator[Process]:
        """All of them."""
        yield from self.agents
        for machine in self.machines:
            yield from (machine.squid, machine.daemon)
        if self.haproxy is not None:
            yield self.haproxy

    async def wait_known(self, address: str, user: str | None) -> None:
        """Wait until every machine that runs knows who is there."""
        for machine in self.machines:
            if machine.daemon.running:
                await machine.wait_knows(address, user)

    def end(self) -> None:
        """End what runs."""
        for process in self.processes:
            process.kill()
        for machine in self.machines:
            for left in Path("/dev/shm").glob(f"{machine.squid.name}-*.shm"):
                left.unlink()


@contextlib.asynccontextmanager
async def open_farm(
    folder: Path, *, squids: int = 1, agents: int = 1, switch: bool = False, key: str = "address"
) -> AsyncIterator[Farm]:
    """A farm with everything started and settled, ended on leaving. `key` is that of [client]."""
    files = Files(folder, agents, free_port() if switch else 0, key)
    made = [files.machine(number) for number in range(1, squids + 1)]
    farm = Farm(
        folder,
        [files.agent(number, made[0].config) for number in range(1, agents + 1)],
        [Machine(each.id, each.control, files.daemon(each), each, files.squid(each)) for each in made],
        files.haproxy(made) if switch else None,
        files.switch_port,
    )
    try:
        await _start(farm)
        yield farm
    finally:
        farm.end()


async def _start(farm: Farm) -> None:
    for process in (*farm.agents, *(each.daemon for each in farm.machines)):
        process.start()
    for machine in farm.machines:
        await machine.wait_served()
        machine.start_squid()
    for machine in farm.machines:
        await machine.wait_squid()
    haproxy = farm.haproxy
    if haproxy is not None:
        haproxy.start()
        await until((farm.folder / "haproxy.sock").exists, PATIENCE_S, "the switch")
