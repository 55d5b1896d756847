"""A site of real processes: two agents and some proxies, that are started, killed, stopped, cut off and asked.

Rules of this file:

- Nobody sleeps for luck: every wait is for a condition, with a deadline, and tells what was last seen.
- Every process is ended by its own handle, whatever happens.
- The oracle hears every event of every proxy, in order.
"""

import contextlib
import functools
import itertools
import json
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import attrs
import trio

from tests.system.oracle import Oracle
from tests.system.wires import Wires, open_wires

ROOT = Path(__file__).resolve().parents[2]
SITE = "lan1"

_POLL_S = 0.02

_ENTRY = """
[[authagent]]
id = {id}
site = "{site}"
host = "{host}"
port = {port}
"""

_CONFIGURATION = """\
site = "{site}"
state_dir = "{folder}/state"

[tls]
mode = "{tls}"

[control]
folder = "{folder}/c"

[logging]
level = 1
{entries}
[[proxyagent]]
id = "proxy*"
site = "{site}"
"""


async def until(holds: Callable[[], Awaitable[Any] | Any], within_s: float, what: str) -> float:
    """Wait until `holds` returns True; returns the seconds it took, fails with what was last seen."""
    began = trio.current_time()
    while True:
        seen = holds()
        if isinstance(seen, Awaitable):
            seen = await seen
        if seen is True:
            return trio.current_time() - began
        assert trio.current_time() - began < within_s, f"{what}: not within {within_s:g} s; last seen: {seen}"
        await trio.sleep(_POLL_S)


@attrs.define
class Process:
    """One program of the site, started any number of times; its diagnostics go to one log."""

    name: str
    command: list[str]
    log: Path
    piped: bool = False
    starts: int = 0
    _process: "subprocess.Popen[bytes] | None" = None

    def start(self) -> None:
        """Start it; it must not be running."""
        assert not self.running, f"{self.name} runs already"
        self.starts += 1
        pipe = subprocess.PIPE if self.piped else subprocess.DEVNULL
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self.command, stdin=pipe, stdout=pipe if self.piped else log, stderr=log, cwd=ROOT, bufsize=0
            )

    @property
    def running(self) -> bool:
        """Whether the process exists (a stopped one does)."""
        return self._process is not None and self._process.poll() is None

    @property
    def returncode(self) -> int | None:
        """How it ended, None while it runs."""
        return self.process.poll()

    @property
    def process(self) -> "subprocess.Popen[bytes]":
        """The process of the last start."""
        assert self._process is not None, f"{self.name} was never started"
        return self._process

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal to this process."""
        self.process.send_signal(number)

    def pause(self) -> None:
        """SIGSTOP."""
        self.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        self.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """kill -9, and wait until it is gone."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            for pipe in (self._process.stdin, self._process.stdout):
                if pipe is not None:
                    pipe.close()

    async def terminate(self, within_s: float = 3.0) -> float:
        """SIGTERM; returns the seconds until it was gone."""
        self.send_signal(signal.SIGTERM)
        return await until(lambda: self.returncode is not None, within_s, f"{self.name} ends after SIGTERM")

    def log_end(self, lines: int = 5) -> str:
        """The end of its log, to be shown when a test fails."""
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return "\n".join(text.splitlines()[-lines:])


@attrs.define
class Agent(Process):
    """One AuthAgent."""

    id: int = 0
    config: Path = Path()
    prefix: list[str] = attrs.field(factory=list)
    state_dir: Path = Path()

    async def ask(self, *arguments: str) -> "subprocess.CompletedProcess[bytes]":
        """Run an admin verb at this agent, as an operator would."""
        command = [*self.prefix, sys.executable, "-m", "authagent", "--config", str(self.config)]
        return await trio.run_process(
            [*command, *arguments, "--id", str(self.id)],
            capture_stdout=True,
            capture_stderr=True,
            check=False,
            cwd=ROOT,
        )

    async def status(self) -> dict[str, Any]:
        """Its status; empty while it does not answer."""
        done = await self.ask("status", "--json")
        try:
            answer: dict[str, Any] = json.loads(done.stdout)
        except ValueError:
            return {}
        return answer


@attrs.define
class Proxy(Process):
    """One tests.system.load_proxy, and what it said."""

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

    async def shown(self, within_s: float = 5.0) -> dict[str, str]:
        """Every session shown here: login id to key."""
        number = next(self._numbers)
        since = len(self.events)
        self.tell(do="dump", number=number)
        event = await self.wait_event(within_s, since, event="dump", number=number)
        shown: dict[str, str] = event["shown"]
        return shown

    async def state(self, within_s: float = 5.0) -> dict[str, Any]:
        """Whether it is synchronised, whether it is isolated."""
        number = next(self._numbers)
        since = len(self.events)
        self.tell(do="state", number=number)
        return await self.wait_event(within_s, since, event="state", number=number)

    def _said(self) -> str:
        return f"{self.events[-1] if self.events else 'nothing'}; log: {self.log_end()}"


@attrs.define
class Site:
    """The processes of one site, its wires and its oracle."""

    folder: Path
    config: Path
    wires: Wires
    nursery: trio.Nursery
    agents: dict[int, Agent]
    proxies: dict[int, Proxy]
    oracle: Oracle = attrs.field(factory=Oracle)

    def start_proxy(self, number: int) -> None:
        """Start a proxy and listen to it."""
        proxy = self.proxies[number]
        proxy.start()
        self.nursery.start_soon(self._listen, proxy)

    async def _listen(self, proxy: Proxy) -> None:
        assert proxy.process.stdout is not None
        buffer = b""
        async with trio.lowlevel.FdStream(os.dup(proxy.process.stdout.fileno())) as stream:
            async for data in stream:
                *lines, buffer = (buffer + data).split(b"\n")
                for line in lines:
                    event = json.loads(line)
                    self.oracle.hear(event)
                    proxy.events.append(event)

    async def start(self, within_s: float = 15.0) -> float:
        """Start everything; returns the seconds until there is one master with a slave and every proxy."""
        for agent in self.agents.values():
            agent.start()
        for number in self.proxies:
            self.start_proxy(number)
        return await self.wait_settled(within_s)

    async def wait_settled(self, within_s: float = 10.0) -> float:
        """Wait until there is one master and one slave with equal tables, and every proxy linked and equal."""
        return await until(self._settled, within_s, "the site settles")

    async def _settled(self) -> object:
        states = {number: await agent.status() for number, agent in self.agents.items()}
        roles = {number: state.get("role") for number, state in states.items()}
        masters = [state for state in states.values() if state.get("role") == "master"]
        if sorted(str(role) for role in roles.values()) != ["master", "slave"]:
            return f"roles {roles}; " + "; ".join(agent.log_end(2) for agent in self.agents.values())
        master = masters[0]
        linked = {proxy["id"]: proxy.get("digest_equal") for proxy in master["proxies"] if proxy["connected"]}
        equal = (master.get("partner") or {}).get("digest_equal")
        wanted = {f"proxy{number}" for number, proxy in self.proxies.items() if proxy.running}
        if equal and wanted <= linked.keys() and all(linked[name] for name in wanted):
            return True
        return f"roles {roles}, partner equal {equal}, proxies linked and equal {linked}"

    async def master(self) -> int:
        """The number of the agent that is master, as it says."""
        for number, agent in self.agents.items():
            if agent.running and (await agent.status()).get("role") == "master":
                return number
        raise AssertionError("no agent says that it is master")

    async def wait_role(self, number: int, role: str, within_s: float = 8.0) -> float:
        """Wait until an agent says that it has this role."""

        async def has_role() -> object:
            said = (await self.agents[number].status()).get("role")
            return said == role or f"{said}; {self.agents[number].log_end(3)}"

        return await until(has_role, within_s, f"agent {number} is {role}")

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


@contextlib.asynccontextmanager
async def open_site(folder: Path, *, proxies: int = 3, relayed: bool = False) -> AsyncIterator[Site]:
    """Wires, files and processes, none of them started; every process is ended on leaving.

    `relayed` asks for relays on loopback even where there could be namespaces.
    """
    names = tuple(f"proxy{number}" for number in range(1, proxies + 1))
    folder = _short(folder)
    async with open_wires(("agent1", "agent2"), names, relayed=relayed) as wires, trio.open_nursery() as nursery:
        config = _write_files(folder, wires)
        agents = {number: _agent(folder, config, wires, number) for number in (1, 2)}
        site = Site(folder, config, wires, nursery, agents, _proxies(folder, config, wires, proxies))
        try:
            yield site
        finally:
            for process in (*site.agents.values(), *site.proxies.values()):
                process.kill()
            folder.unlink()
            nursery.cancel_scope.cancel()


def _short(folder: Path) -> Path:
    """The same folder under a short name: the path of a Unix socket has at most 107 bytes."""
    short = Path(f"/tmp/aa-{secrets.token_hex(4)}")
    short.symlink_to(folder)
    return short


def _write_files(folder: Path, wires: Wires) -> Path:
    entries = ""
    for number in (1, 2):
        address = wires.address(f"agent{number}")
        entries += _ENTRY.format(id=number, site=SITE, host=address.host, port=address.port)
    config = folder / "authagent.toml"
    config.write_text(
        _CONFIGURATION.format(site=SITE, folder=folder, entries=entries, tls="off" if wires.loopback else "auto")
    )
    secret = folder / "secret"
    secret.touch(mode=0o600)
    secret.write_text(secrets.token_urlsafe(32) + "\n")
    (folder / "c").mkdir(mode=0o700)
    return config


def _agent(folder: Path, config: Path, wires: Wires, number: int) -> Agent:
    prefix = wires.prefix(f"agent{number}")
    state_dir = folder / f"agent{number}"
    listen = wires.address(f"agent{number}").listen
    command = [*prefix, sys.executable, "-m", "authagent", str(number), "--config", str(config)]
    command += ["--state-dir", str(state_dir), *(["--listen", listen] if listen else [])]
    return Agent(
        name=f"agent{number}",
        command=command,
        log=folder / f"agent{number}.log",
        id=number,
        config=config,
        prefix=prefix,
        state_dir=state_dir,
    )


def _proxies(folder: Path, config: Path, wires: Wires, count: int) -> dict[int, Proxy]:
    program = [sys.executable, "-m", "tests.system.load_proxy", "--config", str(config)]
    make = functools.partial(Proxy, piped=True)
    return {
        number: make(
            name=f"proxy{number}",
            command=[*wires.prefix(f"proxy{number}"), *program, "--id", f"proxy{number}"],
            log=folder / f"proxy{number}.log",
        )
        for number in range(1, count + 1)
    }
