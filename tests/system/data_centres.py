"""Two data centres of real processes: the files of examples/data_centres, on one machine.

Rules of this file:

- The files are those of the example, to the line; only addresses, ports and paths are put in their places.
- Both configurations run at once, each with two switches of its own, before the same four servers.
"""

import contextlib
import http.client
import json
import secrets
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import attrs

from tests.ports import free_port
from tests.system.fronts import EXAMPLES, put
from tests.system.processes import Process

EXAMPLE = EXAMPLES / "data_centres"
SERVERS = {"svr1": "10.1.0.21", "svr2": "10.1.0.22", "svr3": "10.2.0.23", "svr4": "10.2.0.24"}
AGENTS = {"dc1-1": "10.1.0.11", "dc1-2": "10.1.0.12", "dc2-1": "10.2.0.11", "dc2-2": "10.2.0.12"}
TIMEOUT_S = 10.0
PATIENCE_S = 40.0


class Answer(NamedTuple):
    """What a client got, and from whom: `switch` says which switch it came through."""

    status: int
    switch: str
    told: dict[str, str]


@attrs.define
class Client:
    """A client with the source's site monitor: it asks each switch whether anybody is there, in order of preference,
    and sends what it wants to the first where somebody is. It keeps cookies.
    """

    switches: tuple[int, ...]
    jar: dict[str, str] = attrs.field(factory=dict)

    def ask(self, method: str, path: str) -> Answer:
        """Ask the data centre that the monitor names."""
        return self._send(self._monitor(), method, path)

    def is_there(self) -> bool:
        """Whether any data centre answers the monitor."""
        return self._alive() is not None

    def _monitor(self) -> int:
        port = self._alive()
        assert port is not None, "no data centre is there"
        return port

    def _alive(self) -> int | None:
        for port in self.switches:
            with contextlib.suppress(OSError, http.client.HTTPException):
                if self._send(port, "GET", "/alive").status == 200:
                    return port
        return None

    def _send(self, port: int, method: str, path: str) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_S)
        with contextlib.closing(connection):
            cookies = "; ".join(f"{name}={value}" for name, value in self.jar.items())
            connection.request(method, path, headers={"Cookie": cookies} if cookies else {})
            answer = connection.getresponse()
            text = answer.read()
        if path != "/alive":  # the monitor's own questions are nobody's session
            for each in answer.headers.get_all("Set-Cookie", []):
                name, _, value = each.partition(";")[0].partition("=")
                self.jar[name] = value
        told = json.loads(text) if answer.status in (200, 401) else {}
        return Answer(answer.status, answer.headers.get("X-Switch", ""), told)


@attrs.define
class Switch:
    """One HAProxy."""

    process: Process
    port: int
    socket: str

    def up(self) -> set[str]:
        """The servers to which it sends requests; nobody where it does not run."""
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as control:
            control.settimeout(TIMEOUT_S)
            control.connect(self.socket)
            control.sendall(b"show stat -1 4 -1\n")
            text = b"".join(iter(lambda: control.recv(65536), b"")).decode()
            rows = [line.split(",") for line in text.splitlines()]
            return {row[1] for row in rows if len(row) > 17 and row[17] == "UP"}
        return set()


@attrs.define
class DataCentres:
    """All processes. Switches are named by configuration and name: ("1", "lb1")."""

    folder: Path
    agents: dict[str, Process]
    servers: dict[str, Process]
    switches: dict[tuple[str, str], Switch]
    ports: dict[str, int]

    def client(self, configuration: str) -> Client:
        """One that prefers the first data centre."""
        return Client(tuple(self.switches[configuration, name].port for name in ("lb1", "lb2")))

    def known_to(self, configuration: str, switch: str) -> set[str]:
        """The servers that a switch knows."""
        own = {"lb1": {"svr1", "svr2"}, "lb2": {"svr3", "svr4"}}[switch]
        return own if configuration == "1" else set(SERVERS)

    def wait_known(self, client: Client) -> None:
        """Wait until every server knows this client's session: one that is as old as it takes to cross the WAN."""
        deadline_s = time.monotonic() + PATIENCE_S
        for name, port in self.ports.items():
            while Client((port,), dict(client.jar)).ask("GET", "/session").status != 200:
                assert time.monotonic() < deadline_s, f"{name} does not know the session"
                time.sleep(0.02)

    def break_down(self, lost: Iterable[str]) -> None:
        """Kill these servers and switches; every switch that is left has noticed."""
        for name in lost:
            for process in self._named(name):
                process.kill()
        self.wait_noticed()

    def repair(self) -> None:
        """Everything runs, and every switch knows it.

        Servers answer before a switch is started: until it has checked them, HAProxy takes all of them for up.
        """
        _start_all((*self.agents.values(), *self.servers.values()))
        for name, port in self.ports.items():
            self._wait_answers(name, Client((port,)))
        _start_all(switch.process for switch in self.switches.values())
        self.wait_noticed()

    def _wait_answers(self, name: str, client: Client) -> None:
        deadline_s = time.monotonic() + PATIENCE_S
        while not client.is_there():
            assert time.monotonic() < deadline_s, f"{name} does not answer: {self.servers[name].log_end(2)}"
            time.sleep(0.02)

    def wait_noticed(self) -> None:
        """Wait until each switch that runs sends requests to those of its servers that run, and to no others."""
        running = {name for name, server in self.servers.items() if server.running}
        for (configuration, name), switch in self.switches.items():
            if switch.process.running:
                _wait(switch, running & self.known_to(configuration, name), self._all())

    def _named(self, name: str) -> list[Process]:
        if name in self.servers:
            return [self.servers[name]]
        return [switch.process for (_, each), switch in self.switches.items() if each == name]

    def _all(self) -> list[Process]:
        switches = (switch.process for switch in self.switches.values())
        return [*self.agents.values(), *self.servers.values(), *switches]

    def end(self) -> None:
        """End what runs."""
        for process in self._all():
            process.kill()


def _start_all(processes: Iterable[Process]) -> None:
    for process in processes:
        if not process.running:
            process.start()


def _wait(switch: Switch, wanted: set[str], processes: list[Process]) -> None:
    deadline_s = time.monotonic() + PATIENCE_S
    while (up := switch.up()) != wanted:
        if time.monotonic() > deadline_s:
            logs = "\n".join(f"{process.name}: {process.log_end(2)}" for process in processes)
            raise AssertionError(f"{switch.process.name} sends to {sorted(up)}, not to {sorted(wanted)}; {logs}")
        time.sleep(0.02)


@contextlib.contextmanager
def open_data_centres(haproxy: str) -> Iterator[DataCentres]:
    """Four agents, four servers, two switches for each configuration; all started and noticed."""
    folder = Path(tempfile.mkdtemp(prefix="aa-", dir="/tmp"))  # the path of a Unix socket has at most 107 bytes
    (folder / "secret").touch(mode=0o600)
    (folder / "secret").write_text(secrets.token_urlsafe(32) + "\n")
    config = folder / "authagent.toml"
    config.write_text(_configuration(folder, {name: free_port() for name in AGENTS}))
    places = {name: free_port() for name in SERVERS}
    made = DataCentres(
        folder,
        {name: _agent(folder, config, name) for name in AGENTS},
        {name: _server(folder, config, name, port) for name, port in places.items()},
        {(number, name): _switch(haproxy, folder, number, name, places) for number in "12" for name in ("lb1", "lb2")},
        places,
    )
    try:
        made.repair()
        yield made
    finally:
        made.end()
        shutil.rmtree(folder)


def _configuration(folder: Path, ports: dict[str, int]) -> str:
    text = (EXAMPLE / "authagent.toml").read_text()
    agents = {f'host = "{host}"\n': f'host = "127.0.0.1"\nport = {ports[name]}\n' for name, host in AGENTS.items()}
    servers = {f'host = "{host}"\n': 'host = "127.0.0.1"\n' for host in SERVERS.values()}
    text = put(text, {'"/var/lib/authagent"': f'"{folder}/state"', **agents, **servers})
    return f'{text}\n[control]\nfolder = "{folder}/c"\n\n[tls]\nmode = "off"\n'


def _agent(folder: Path, config: Path, name: str) -> Process:
    site, _, number = name.partition("-")
    command = [sys.executable, "-m", "authagent", number, "--site", site, "--config", str(config)]
    return Process(name, [*command, "--state-dir", str(folder / name)], folder / f"{name}.log")


def _server(folder: Path, config: Path, name: str, port: int) -> Process:
    command = [sys.executable, str(EXAMPLE / "server.py"), "--id", name, "--config", str(config)]
    return Process(name, [*command, "--listen", f"127.0.0.1:{port}"], folder / f"{name}.log")


def _switch(haproxy: str, folder: Path, configuration: str, name: str, places: dict[str, int]) -> Switch:
    port, control = free_port(), str(folder / f"{name}-{configuration}.sock")
    text = (EXAMPLE / f"configuration-{configuration}.cfg").read_text()
    here = {"/run/haproxy/lb1.sock": control, "bind :80": f"bind 127.0.0.1:{port}", "X-Switch lb1": f"X-Switch {name}"}
    text = put(text, here)
    swapped = {"svr1": "svr3", "svr2": "svr4", "svr3": "svr1", "svr4": "svr2"} if name == "lb2" else {}
    for server, host in SERVERS.items():
        there = swapped.get(server, server)
        line = f"server @{there} 127.0.0.1:{places[there]} cookie @{there}"
        text = text.replace(f"server {server} {host}:8080 cookie {server}", line)
    path = folder / f"{name}-{configuration}.cfg"
    path.write_text(text.replace("@", ""))
    command = [haproxy, "-db", "-f", str(path)]
    return Switch(Process(f"{name}-{configuration}", command, folder / f"{name}-{configuration}.log"), port, control)
