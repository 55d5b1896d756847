"""A site of real processes: two agents and some proxies, that are started, killed, stopped, cut off and asked."""

import contextlib
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import attrs
import trio

from protocol.io.control_client import ControlError, ask
from tests.authagent.running import write_secret
from tests.system.crew import Crew, Server, make_proxies
from tests.system.ground import Ground, open_ground
from tests.system.processes import ROOT, Process, until
from tests.system.wires import Wires

__all__ = ["ROOT", "Agent", "Process", "Site", "open_site", "until"]

SITE = "lan1"

STATUS_WITHIN_S = 2.0
"""A stopped agent does not answer at all."""

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


@attrs.define
class Agent(Process):
    """One AuthAgent."""

    id: int = 0
    control: Path = Path()
    state_dir: Path = Path()

    async def status(self) -> dict[str, Any]:
        """Its status; empty while it does not answer."""
        return await trio.to_thread.run_sync(self._ask)

    def _ask(self) -> dict[str, Any]:
        try:
            return ask(str(self.control), "status", timeout_s=STATUS_WITHIN_S)
        except (ControlError, OSError):
            return {}


@attrs.define
class Site(Crew):
    """The processes of one site."""

    config: Path = Path()
    agents: dict[int, Agent] = attrs.field(factory=dict)

    async def settled(self, *, equal: bool = True) -> object:
        states = {number: await agent.status() for number, agent in self.agents.items()}
        roles = {number: state.get("role") for number, state in states.items()}
        masters = [state for state in states.values() if state.get("role") == "master"]
        if sorted(str(role) for role in roles.values()) != ["master", "slave"]:
            return f"roles {roles}; " + "; ".join(agent.log_end(2) for agent in self.agents.values())
        master = masters[0]
        linked = {proxy["id"]: proxy.get("digest_equal") for proxy in master["proxies"] if proxy["connected"]}
        partner = master.get("partner") or {}
        wanted = {f"proxy{number}" for number, proxy in self.proxies.items() if proxy.running}
        if partner.get("connected") and wanted <= linked.keys():
            if not equal or (partner.get("digest_equal") and all(linked[name] for name in wanted)):
                return True
        return f"roles {roles}, partner {partner}, proxies linked and equal {linked}"

    async def serving(self) -> str:
        for agent in self.agents.values():
            if agent.running and (await agent.status()).get("role") == "master":
                return agent.name
        return ""

    async def master(self) -> int:
        """The number of the agent that is master, as it says."""
        name = await self.serving()
        assert name, "no agent says that it is master"
        return int(name.removeprefix("agent"))

    async def wait_role(self, number: int, role: str, within_s: float = 8.0) -> float:
        """Wait until an agent says that it has this role."""

        async def has_role() -> object:
            said = (await self.agents[number].status()).get("role")
            return said == role or f"{said}; {self.agents[number].log_end(3)}"

        return await until(has_role, within_s, f"agent {number} is {role}")


@contextlib.asynccontextmanager
async def open_site(
    folder: Path, *, proxies: int = 3, relayed: bool = False, rough: bool = False
) -> AsyncIterator[Site]:
    """Wires, files and processes, none of them started; every process is ended on leaving. See open_ground."""
    names = tuple(f"proxy{number}" for number in range(1, proxies + 1))
    async with open_ground(folder, ("agent1", "agent2"), names, relayed=relayed, rough=rough) as ground:
        site = make_site(ground)
        try:
            yield site
        finally:
            site.end()


def make_site(ground: Ground) -> Site:
    """A pair of agents and the proxies of this ground; nothing is started."""
    config = _write_files(ground.folder, ground.wires)
    agents = {number: _agent(ground, config, number) for number in (1, 2)}
    servers = {agent.name: Server(agent.name, (agent,), agent.state_dir) for agent in agents.values()}
    program = [sys.executable, "-m", "tests.system.load_proxy", "--config", str(config)]
    made = make_proxies(ground, program)
    return Site(ground, servers, made, config=config, agents=agents)


def _write_files(folder: Path, wires: Wires) -> Path:
    entries = ""
    for number in (1, 2):
        address = wires.address(f"agent{number}")
        entries += _ENTRY.format(id=number, site=SITE, host=address.host, port=address.port)
    config = folder / "authagent.toml"
    config.write_text(
        _CONFIGURATION.format(site=SITE, folder=folder, entries=entries, tls="off" if wires.loopback else "auto")
    )
    write_secret(folder)
    (folder / "c").mkdir(mode=0o700)
    return config


def _agent(ground: Ground, config: Path, number: int) -> Agent:
    name = f"agent{number}"
    listen = ground.wires.address(name).listen
    return make_agent(ground, name, number, site=SITE, config=config, listen=listen, prefix=ground.wires.prefix(name))


def make_agent(
    ground: Ground, name: str, number: int, *, site: str, config: Path, listen: str, prefix: list[str]
) -> Agent:
    """Agent `number` of a site, not started; `prefix` is what starts it where it runs."""
    state_dir = ground.disks.folders[name]
    command = [*prefix, sys.executable, "-m", "authagent", str(number), "--config", str(config)]
    command += ["--state-dir", str(state_dir), *(["--listen", listen] if listen else [])]
    return Agent(
        name=name,
        command=command,
        log=ground.folder / f"{name}.log",
        environment=ground.environment(name),
        id=number,
        control=ground.folder / "c" / f"{site}-agent-{number}.sock",
        state_dir=state_dir,
    )
