"""A farm of real Squids: two agents, a `proxyagent run` beside each Squid, HAProxy in front, and users with addresses.

Rules of this file:

- The configuration is that of examples/squid, to the line; only addresses, ports and paths are put in their places, and
  each of those must be found there.
- Squid runs as the user `proxy`, as Debian has it, and may read what the tests' own folders hide from others.
- Everybody's address is a loopback address of this process's own block.
"""

import contextlib
import itertools
import os
import re
import secrets
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import attrs

from protocol.io.control_client import ControlError, ask
from tests.ports import free_port
from tests.system.fronts import put
from tests.system.processes import ROOT, Process, until

EXAMPLE = ROOT / "examples" / "squid"

PATIENCE_S = 30.0
"""For what must happen at all, on a machine that does much else."""

PASSWORDS = {"alice": "wonderland", "bob": "builder"}
_HASHES = "alice:$apr1$oFXsgiRt$9c7pik.GoNldNnE491fnl/\nbob:$apr1$i17eME8M$lkyWkFJTaQzdWXfbqEuo9/\n"

_MAIN = """\
# What Debian's squid.conf has, where it matters; then what a test needs.
acl SSL_ports port 443 1025-65535
acl Safe_ports port 80 443 1025-65535
http_access deny !Safe_ports
http_access deny CONNECT !SSL_ports
http_access allow localhost manager
http_access deny manager
include {folder}/conf.d/*.conf
http_access allow localhost
http_access deny all
http_port 127.0.0.1:{port}
coredump_dir {folder}
pid_filename none
cache_log {folder}/cache.log
cache deny all
cache_mem 8 MB
pinger_enable off
netdb_filename none
logfile_rotate 0
max_filedescriptors 16384
shutdown_lifetime 0 seconds
visible_hostname {name}
dns_nameservers 127.0.0.1
"""

AS_PROXY = ["setpriv", "--reuid=proxy", "--regid=proxy", "--init-groups"]
AS_PROXY += ["--inh-caps=+dac_override", "--ambient-caps=+dac_override"]

_users = itertools.count(1)
_names = itertools.count(1)
_block = 64 + int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 128


def client_address() -> str:
    """A loopback address that no other test of this process or of another worker has."""
    number = next(_users)
    return f"127.{_block}.{number // 250}.{number % 250 + 1}"


@attrs.define
class Machine:
    """One machine of the farm: a Squid and the ProxyAgent beside it."""

    name: str
    folder: Path
    port: int
    """Where browsers reach Squid."""
    switch_port: int
    """Where the switch does."""
    config: Path
    control: str
    squid: Process
    daemon: Process

    def start_squid(self) -> None:
        """Start Squid; what it says of an earlier life is forgotten."""
        (self.folder / "cache.log").unlink(missing_ok=True)
        self.squid.start()

    def cache_log(self) -> str:
        """What Squid has said since its start."""
        path = self.folder / "cache.log"
        return path.read_text(errors="replace") if path.exists() else ""

    async def wait_squid(self) -> float:
        """Wait until Squid takes connections."""
        return await until(
            lambda: "Accepting HTTP Socket" in self.cache_log() or self.cache_log()[-2_000:], PATIENCE_S, self.name
        )

    async def wait_served(self) -> float:
        """Wait until the ProxyAgent is served by an agent, has compared its copy, and answers helpers."""
        return await until(self._served, PATIENCE_S, f"{self.name} is served")

    def _served(self) -> object:
        helpers = Path(self.control.replace(".sock", ".squid"))
        try:
            status = ask(self.control, "status", timeout_s=2.0)
        except (ControlError, OSError) as error:
            return str(error)
        return (helpers.exists() and status["digest_equal"] is True and not status["problems"]) or str(status)

    def ask(self, verb: str, **arguments: object) -> dict[str, object]:
        """A verb at this machine's control socket."""
        return ask(self.control, verb, **arguments)

    def user_of(self, address: str) -> str | None:
        """Who is logged in from there, as this machine knows."""
        session = self.ask("lookup", key=address)["session"]
        return None if session is None else session["user"]  # type: ignore[index,no-any-return]


@attrs.define
class Farm:
    """Everything, running."""

    folder: Path
    agents: list[Process]
    machines: list[Machine]
    haproxy: Process | None = None
    switch_port: int = 0

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
                await until(
                    lambda machine=machine: machine.user_of(address) == user or machine.user_of(address),  # type: ignore[misc]
                    PATIENCE_S,
                    f"{machine.name} knows that {user} is at {address}",
                )

    def end(self) -> None:
        """End what runs."""
        for process in self.processes:
            process.kill()
        for machine in self.machines:
            for left in Path("/dev/shm").glob(f"{machine.squid.name}-*.shm"):
                left.unlink()


@contextlib.asynccontextmanager
async def open_farm(folder: Path, *, squids: int = 1, agents: int = 1, switch: bool = False) -> AsyncIterator[Farm]:
    """A farm with everything started and settled, ended on leaving."""
    ports = [free_port() for _ in range(agents)]
    (folder / "secret").touch(mode=0o600)
    (folder / "secret").write_text(secrets.token_urlsafe(32) + "\n")
    machines = [_machine(folder, number, ports, switch=switch) for number in range(1, squids + 1)]
    farm = Farm(folder, [_agent(folder, machines[0], number) for number in range(1, agents + 1)], machines)
    if switch:
        farm.switch_port = free_port()
        farm.haproxy = _switch(folder, machines, farm.switch_port)
    try:
        for agent in farm.agents:
            agent.start()
        for machine in machines:
            machine.daemon.start()
        for machine in machines:
            await machine.wait_served()
            machine.start_squid()
        for machine in machines:
            await machine.wait_squid()
        if farm.haproxy is not None:
            farm.haproxy.start()
            await until(lambda: _connects(farm.switch_port) or farm.haproxy.log_end(), PATIENCE_S, "the switch")  # type: ignore[union-attr]
        yield farm
    finally:
        farm.end()


def _connects(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


# -- files ---------------------------------------------------------------------------------------------------------


def _agent(folder: Path, machine: Machine, number: int) -> Process:
    name = f"agent{number}"
    command = [sys.executable, "-m", "authagent", str(number), "--config", str(machine.config)]
    return Process(name, [*command, "--state-dir", str(folder / name)], folder / f"{name}.log")


def _machine(folder: Path, number: int, agents: list[int], *, switch: bool) -> Machine:
    name = f"squid{os.getpid()}n{next(_names)}"  # of the segments that Squid makes under /dev/shm
    home = folder / f"m{number}"
    (home / "conf.d").mkdir(parents=True)
    port, switch_port, log_port = free_port(), free_port(), free_port()
    config = home / "authagent.toml"
    config.write_text(_configuration(folder, agents, log_port, port, switch=switch and number == 1))
    helper = f"/usr/bin/env PYTHONPATH={ROOT} {sys.executable} -m proxyagent"
    options = f"--config {config} --id squid-{number}"
    (home / "passwords").write_text(_HASHES)
    drop_in = put(
        (EXAMPLE / "one-login.conf").read_text(),
        {
            "/etc/squid/passwords": str(home / "passwords"),
            "/usr/local/bin/proxyagent squid-session": f"{helper} squid-session {options}",
            "/usr/local/bin/proxyagent squid-login": f"{helper} squid-login {options}",
            "daemon:/var/log/squid/access.log": f"stdio:{home}/access.log",
            "127.0.0.1:3130": f"127.0.0.1:{log_port}",
        },
    )
    (home / "conf.d" / "one-login.conf").write_text(drop_in)
    if switch:
        places = {"3129": f"127.0.0.1:{switch_port}", "10.1.0.10": "127.0.0.1"}
        text = put((EXAMPLE / "behind-a-switch.conf").read_text(), places)
        (home / "conf.d" / "behind-a-switch.conf").write_text(text)
    main = home / "squid.conf"
    main.write_text(_MAIN.format(folder=home, port=port, name=name))
    prefix = AS_PROXY if os.geteuid() == 0 else []
    squid = Process(name, [*prefix, "squid", "-N", "-n", name, "-f", str(main)], home / "squid.log")
    run = [sys.executable, "-m", "proxyagent", "run", "--config", str(config), "--id", f"squid-{number}"]
    control = str(folder / "c" / f"lan1-proxyagent-squid-{number}.sock")
    return Machine(
        f"squid-{number}", home, port, switch_port, config, control, squid, Process(name, run, home / "proxyagent.log")
    )


def _configuration(folder: Path, agents: list[int], log_port: int, port: int, *, switch: bool) -> str:
    """What `authagent init` would write for agents on these ports of this machine, and the example's lines."""
    entries = "".join(
        f'[[authagent]]\nid = {number}\nhost = "127.0.0.1"\nport = {agent}\n' for number, agent in enumerate(agents, 1)
    )
    head = f'site = "lan1"\nstate_dir = "{folder}/state"\n{entries}[[proxyagent]]\nid = "squid-*"\n'
    places = {"/run/authagent": str(folder / "c"), "127.0.0.1:3130": f"127.0.0.1:{log_port}", ":3128": f":{port}"}
    text = put((EXAMPLE / "authagent.toml").read_text(), places)
    if os.geteuid() != 0:
        text = put(text, {'group = "proxy"': 'group = ""'})
    if switch:
        text += put((EXAMPLE / "switch.toml").read_text(), {"/run/haproxy/admin.sock": str(folder / "haproxy.sock")})
    return f'{head}[security]\nsecret_file = "{folder}/secret"\n{text}'


def _switch(folder: Path, machines: list[Machine], port: int) -> Process:
    places = {"/run/haproxy/admin.sock": str(folder / "haproxy.sock"), ":3128": f"127.0.0.1:{port}"}
    places |= {" group authagent": "", "    user haproxy\n    group haproxy\n": ""}
    example = put((EXAMPLE / "haproxy.cfg").read_text(), places)
    head, *servers = re.split(r"(?=^    server )", example, flags=re.MULTILINE)
    assert len(servers) == 2, "the example has two"
    text = head + "".join(f"    server {each.name} 127.0.0.1:{each.switch_port}\n" for each in machines)
    (folder / "haproxy.cfg").write_text(text)
    return Process("haproxy", ["haproxy", "-db", "-f", str(folder / "haproxy.cfg")], folder / "haproxy.log")
