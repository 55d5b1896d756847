"""One AuthAgent and some `proxyagent run`, each beside a proxy of any kind that a test starts.

Rules of this file:

- The configuration is that of an example, to the line; only addresses, ports and paths are put in their places.
- Every machine has a file of its own, since all are this one and ports differ.
"""

import contextlib
import re
import secrets
import shutil
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path

import attrs

from protocol.io.control_client import ControlError, ask
from tests.ports import free_port
from tests.system.fronts import put
from tests.system.processes import Process, until

PATIENCE_S = 30.0
"""For what must happen at all, on a machine that does much else."""


@attrs.define
class Machine:
    """One machine: the ProxyAgent, and what else a test starts on it."""

    id: str
    control: str
    daemon: Process

    @property
    def helpers(self) -> str:
        """Where helpers ask."""
        return self.control.replace(".sock", ".squid")

    def status(self) -> dict[str, object]:
        """What the ProxyAgent says of itself; empty while it does not answer."""
        try:
            return ask(self.control, "status", timeout_s=2.0)
        except (ControlError, OSError):
            return {}

    def user_of(self, key: str) -> str | None:
        """Who is logged in there, as this machine knows."""
        session = ask(self.control, "lookup", key=key)["session"]
        return None if session is None else str(session["user"])

    async def wait_served(self) -> None:
        """Wait until it is served, its copy is compared, and all its adapters serve."""
        await until(self._served, PATIENCE_S, f"{self.id} is served")

    def _served(self) -> object:
        told = self.status()
        return (told.get("digest_equal") is True and not told["problems"]) or str(told or self.daemon.log_end())

    async def wait_knows(self, key: str, user: str | None) -> None:
        """Wait until it knows who is there."""
        await until(lambda: self.user_of(key) == user or self.user_of(key), PATIENCE_S, f"{self.id} knows {user}")


@attrs.define
class Machines:
    """The agent and the machines. `others` are a test's own processes, ended with the rest."""

    folder: Path
    agent: Process
    machines: dict[str, Machine]
    others: list[Process] = attrs.field(factory=list)

    def __getitem__(self, id: str) -> Machine:
        return self.machines[id]

    def process(self, name: str, command: Sequence[str], **environment: str) -> Process:
        """A process of the test's own; not started."""
        made = Process(name, list(command), self.folder / f"{name}.log", environment=environment)
        self.others.append(made)
        return made

    def end(self) -> None:
        """End what runs."""
        for process in (*self.others, *(each.daemon for each in self.machines.values()), self.agent):
            process.kill()


def connects(port: int, host: str = "127.0.0.1") -> bool:
    """Whether somebody listens there."""
    with contextlib.suppress(OSError), socket.create_connection((host, port), timeout=1):
        return True
    return False


def _nowhere(id: str) -> Mapping[str, str]:
    return {}


@contextlib.asynccontextmanager
async def open_machines(
    example: Path, ids: Sequence[str], places: Callable[[str], Mapping[str, str]] = _nowhere
) -> AsyncIterator[Machines]:
    """One agent and a ProxyAgent for each id, running and settled, all as this `authagent.toml` says.

    `places` tells what else is to be replaced in the file of one machine.
    """
    folder = Path(tempfile.mkdtemp(prefix="aa-", dir="/tmp"))  # the path of a Unix socket has at most 107 bytes
    folder.chmod(0o755)
    port = free_port()
    (folder / "secret").touch(mode=0o600)
    (folder / "secret").write_text(secrets.token_urlsafe(32) + "\n")
    configs = {each: folder / f"{each}.toml" for each in ids}
    for name, config in configs.items():
        config.write_text(_configuration(put(example.read_text(), places(name)), folder, port))
    run = [sys.executable, "-m", "authagent", "1", "--config", str(configs[ids[0]]), "--state-dir", str(folder / "a")]
    made = Machines(folder, Process("agent1", run, folder / "agent1.log"), {})
    for name, config in configs.items():
        command = [sys.executable, "-m", "proxyagent", "run", "--config", str(config), "--id", name]
        daemon = Process(name, command, folder / f"{name}.log")
        made.machines[name] = Machine(name, str(folder / "c" / f"lan1-proxyagent-{name}.sock"), daemon)
    try:
        made.agent.start()
        for machine in made.machines.values():
            machine.daemon.start()
        for machine in made.machines.values():
            await machine.wait_served()
        yield made
    finally:
        made.end()
        shutil.rmtree(folder)


def _configuration(text: str, folder: Path, port: int) -> str:
    """An example's file, for one agent at this port and proxies of this machine."""
    text = re.sub(r'^group = .*$', 'group = ""', put(text, {"/run/authagent": str(folder / "c")}), flags=re.MULTILINE)
    head, *entries = re.split(r"(?=^\[\[)", text, flags=re.MULTILINE)
    proxies = [re.sub(r'host = ".*"', 'host = "127.0.0.1"', each) for each in entries if "[[proxyagent]]" in each]
    agent = f'[[authagent]]\nid = 1\nhost = "127.0.0.1"\nport = {port}\n'
    state = f'state_dir = "{folder}/state"\n'
    return f'{state}{head}{agent}{"".join(proxies)}\n[security]\nsecret_file = "{folder}/secret"\n'
