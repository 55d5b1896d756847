"""Who plays: processes of this machine, each with its own log, on free loopback ports, in one temporary folder.

Rules of this file:

- A process is ended by its own handle, never by name, and every one is ended however the play ends.
- What is asked of an agent is asked as an operator would: `authagent status --json` at its own control socket.
"""

import json
import os
import random
import secrets
import signal
import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import attrs
import trio

from authagent.demo.narrate import StepFailed

SITE = "demo"

_POLL_S = 0.02

_CONFIGURATION = """\
# Written by `authagent demo`: two agents, three proxies, all on this machine.
# An agent's port here is that of a relay in the demo, so that its wire can be cut; the agent itself listens elsewhere.
site = "{site}"

[session]
idle_timeout = "30m"
max_lifetime = "12h"

[tls]
mode = "off"    # loopback only; and the relay reads who calls

[control]
folder = "{folder}/control"

[logging]
level = 1

[[authagent]]
id = 1
site = "{site}"
host = "127.0.0.1"
port = {port_1}

[[authagent]]
id = 2
site = "{site}"
host = "127.0.0.1"
port = {port_2}

[[proxyagent]]
id = "proxy*"
site = "{site}"
"""


def environment() -> dict[str, str]:
    """What processes of the demo are given: they find the packages where this process found them."""
    here = str(Path(__file__).resolve().parents[2])
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, (here, os.environ.get("PYTHONPATH"))))}


def free_port() -> int:
    """A loopback port that nobody listens on, outside the range from which the kernel gives out its own."""
    while True:
        port = random.randrange(20_000, 32_000)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


def proxy_program() -> Path:
    """The example that plays the proxies: beside this file in an installation, in examples/ in a checkout."""
    here = Path(__file__).resolve().parent
    for path in (here / "minimal_proxy.py", here.parent.parent / "examples" / "minimal_proxy.py"):
        if path.exists():
            return path
    raise FileNotFoundError(f"minimal_proxy.py is neither in {here} nor in examples/: install again")


async def until(holds: Callable[[], Awaitable[object]] | Callable[[], object], within_s: float, expected: str) -> float:
    """Wait until `holds` returns True and tell how many seconds that took; what else it returns is what was seen.

    Raises StepFailed with the last thing seen when `within_s` seconds pass.
    """
    began = trio.current_time()
    while True:
        seen = holds()
        if isinstance(seen, Awaitable):
            seen = await seen
        if seen is True:
            return trio.current_time() - began
        if trio.current_time() - began > within_s:
            raise StepFailed(f"{expected} within {within_s:g} s", str(seen))
        await trio.sleep(_POLL_S)


@attrs.define
class Program:
    """One process that may be started, killed and started again; what it writes goes to one log."""

    name: str
    command: list[str]
    log: Path
    _process: "subprocess.Popen[bytes] | None" = None

    def start(self) -> None:
        """Start it; its output is added to its log."""
        assert not self.running, f"{self.name} runs already"
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment(),
            )

    @property
    def running(self) -> bool:
        """Whether the process is there (a stopped one is)."""
        return self._process is not None and self._process.poll() is None

    def kill(self) -> None:
        """kill -9, and wait until it is gone, which the kernel does at once."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()

    async def stop(self, within_s: float) -> float:
        """SIGTERM; returns the seconds until it was gone with exit code 0, else StepFailed."""
        process = self._process
        assert process is not None
        process.send_signal(signal.SIGTERM)
        seconds = await until(lambda: process.poll() is not None, within_s, f"{self.name} ends after SIGTERM")
        if process.returncode != 0:
            raise StepFailed(f"{self.name} ends with exit code 0", f"{process.returncode}; {self.last_line()}")
        return seconds

    def last_line(self) -> str:
        """The end of its log, for a step that did not hold."""
        lines = self.log.read_text(errors="replace").strip().splitlines() if self.log.exists() else []
        return f"{self.name}: {lines[-1]}" if lines else f"{self.name} wrote nothing"


@attrs.define
class Agent(Program):
    """AuthAgent 1 or 2 of a site, with its own state directory."""

    id: int = 0
    site: str = SITE
    port: int = 0
    config: Path = Path()
    state_dir: Path = Path()

    async def status(self) -> dict[str, Any] | None:
        """Its `authagent status --json`, or None while it does not answer."""
        done = await trio.run_process(
            [*ctl(self.config), "status", "--json", "--id", str(self.id), "--site", self.site],
            capture_stdout=True,
            capture_stderr=True,
            check=False,
            env=environment(),
        )
        try:
            answer = json.loads(done.stdout)
        except ValueError:
            return None
        return answer if isinstance(answer, dict) and str(answer.get("id")) == str(self.id) else None


@attrs.define
class Proxy(Program):
    """One HTTP proxy with a ProxyAgent inside."""

    port: int = 0

    async def listens(self) -> bool:
        """Whether it accepts connections."""
        try:
            stream = await trio.open_tcp_stream("127.0.0.1", self.port)
        except OSError:
            return False
        await stream.aclose()
        return True


def ctl(config: Path) -> list[str]:
    """The beginning of an `authagent` command that reads `config`."""
    return [sys.executable, "-m", "authagent", "--config", str(config)]


def write_configuration(folder: Path, relay_ports: tuple[int, int], users: Mapping[str, str]) -> Path:
    """Write authagent.toml and what belongs to it into `folder`; returns its path."""
    text = _CONFIGURATION.format(site=SITE, folder=folder, port_1=relay_ports[0], port_2=relay_ports[1])
    return write_files(folder, text, users)


def write_files(folder: Path, configuration: str, users: Mapping[str, str]) -> Path:
    """Write authagent.toml, its secret and the users' toy password file into `folder`; returns the first's path."""
    path = folder / "authagent.toml"
    path.write_text(configuration, encoding="utf-8")
    (folder / "control").mkdir(mode=0o700)
    _private(folder / "secret", secrets.token_urlsafe(32) + "\n")
    _private(folder / "users.txt", "".join(f"{name}:{password}\n" for name, password in users.items()))
    return path


def _private(path: Path, text: str) -> None:
    """Write a file that only its owner may read, from its first moment on."""
    path.touch(mode=0o600)
    path.write_text(text, encoding="utf-8")


def make_agent(folder: Path, config: Path, number: int) -> Agent:
    """Agent `number`, not yet started."""
    port = free_port()
    state_dir = folder / f"agent{number}"
    return Agent(
        name=f"agent {number}",
        command=[*ctl(config), str(number), "--listen", f"127.0.0.1:{port}", "--state-dir", str(state_dir)],
        log=folder / f"agent{number}.log",
        id=number,
        port=port,
        config=config,
        state_dir=state_dir,
    )


def make_proxy(folder: Path, config: Path, number: int) -> Proxy:
    """Proxy `number`, not yet started; it believes the switch's PROXY lines."""
    port = free_port()
    name = f"proxy{number}"
    arguments = ["--id", name, "--config", str(config), "--users", str(folder / "users.txt")]
    return Proxy(
        name=f"proxy {number}",
        command=[
            *(sys.executable, str(proxy_program())),
            *arguments,
            *("--listen", f"127.0.0.1:{port}", "--switch", "127.0.0.1"),
        ],
        log=folder / f"{name}.log",
        port=port,
    )
