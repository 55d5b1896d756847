"""Several sites of real processes under one oracle, and the WAN between them, which can be cut and slowed down.

Rules of this file:

- As root each site has a network namespace. What stays in a site passes its loopback, so that cuts and rates of the
  namespace are those of the WAN. Else everything is on loopback, with a relay before each agent, and no rates.
- Each site has a file of its own, as its machines would; a test may give one site another file or secret.
"""

import contextlib
import itertools
import secrets
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import attrs
import trio

from authagent.demo.relay import Caller
from tests.authagent.running import write_secret
from tests.system.clocks import Clocks
from tests.system.crew import Crew, Proxy, Server
from tests.system.disks import open_disks
from tests.system.ground import Ground
from tests.system.harness import Agent, make_agent
from tests.system.wires import Address, Mend, Namespaces, Relays, Wires, laid

_HEAD = """\
site = "{site}"
state_dir = "{folder}/state"

[security]
secret_file = "{secret}"

[tls]
mode = "{tls}"

[control]
folder = "{folder}/c"

[timing]
wan_suspect_after = "3s"
"""

_AGENT = """
[[authagent]]
id = {number}
site = "{site}"
host = "{host}"
port = {port}
"""

_PROXY = """
[[proxyagent]]
id = "{id}"
site = "{site}"
"""


@attrs.frozen
class Size:
    """How many agents and proxies a site has."""

    agents: int = 1
    proxies: int = 1


class SiteRelays(Relays):
    """Relays before agents that are named with their site."""

    def _is_severed(self, agent: str, caller: Caller) -> bool:
        return caller.kind == "agent" and (agent, _agent_name(caller.site, int(caller.id))) in self._severed


@attrs.define
class Sites(Crew):
    """The processes of all sites. `agents` are named by site and number, proxies are numbered through all sites."""

    sizes: Mapping[str, Size] = attrs.field(factory=dict)
    agents: dict[tuple[str, int], Agent] = attrs.field(factory=dict)
    homes: dict[int, str] = attrs.field(factory=dict)  # which site a proxy is of

    def proxies_of(self, site: str) -> list[Proxy]:
        """The proxies of one site."""
        return [proxy for number, proxy in self.proxies.items() if self.homes[number] == site]

    def agents_of(self, site: str) -> list[Agent]:
        """The agents of one site."""
        return [agent for (home, _), agent in self.agents.items() if home == site]

    # -- the WAN --------------------------------------------------------------------------------------------------

    async def cut(self, here: str, there: str) -> None:
        """Nothing passes between two sites any more, and nobody is told."""
        if isinstance(self.wires, Namespaces):
            await self.wires.cut(here, there)
            return
        ends = [[_agent_name(site, number + 1) for number in range(self.sizes[site].agents)] for site in (here, there)]
        for one, other in itertools.product(*ends):
            await self.wires.cut(one, other)

    async def slow(self, rate: str) -> list[Mend]:
        """Let each site send no faster than this across, in the words of tc; needs namespaces."""
        assert isinstance(self.wires, Namespaces), "rates need namespaces"
        return [await self.wires.slow(site, rate) for site in self.sizes]

    # -- how it is ------------------------------------------------------------------------------------------------

    async def settled(self, *, equal: bool = True) -> object:
        served = {site for (site, _), agent in self.agents.items() if agent.running}
        for site in sorted(served):
            seen = await self._site_settled(site, served, equal=equal)
            if seen is not True:
                return f"{site}: {seen}; " + "; ".join(agent.log_end(2) for agent in self.agents_of(site))
        return True

    async def _site_settled(self, site: str, served: set[str], *, equal: bool) -> object:
        states = [await agent.status() for agent in self.agents_of(site) if agent.running]
        roles = sorted(str(state.get("role")) for state in states)
        if roles != ["master", "slave"][: len(roles)]:
            return f"roles {roles}"
        (master,) = (state for state in states if state["role"] == "master")
        partner = master["partner"] if len(states) == 2 else None
        links = {each["id"]: each for each in master["proxies"]} | ({} if partner is None else {"partner": partner})
        links |= {each["site"]: each for each in master["remotes"] if each["site"] in served}
        running = {proxy.name for proxy in self.proxies_of(site) if proxy.running}
        wanted = running | (served - {site}) | ({"partner"} if partner is not None else set())
        lacking = [name for name in sorted(wanted) if not links.get(name, {}).get("connected")]
        unequal = [name for name in sorted(wanted) if equal and not links.get(name, {}).get("digest_equal")]
        return True if not lacking and not unequal else f"not linked {lacking}, not equal {unequal}"

    async def serving(self) -> str:
        for agent in self.agents.values():
            if agent.running and (await agent.status()).get("role") == "master":
                return agent.name
        return ""

    async def master(self, site: str) -> Agent:
        """The agent that serves a site, as it says."""
        for agent in self.agents_of(site):
            if agent.running and (await agent.status()).get("role") == "master":
                return agent
        raise AssertionError(f"no agent of {site} says that it is master")

    async def remote(self, site: str, other: str) -> dict[str, Any]:
        """What the master of one site says of another one."""
        status = await (await self.master(site)).status()
        return next(dict(each) for each in status["remotes"] if each["site"] == other)


@contextlib.asynccontextmanager
async def open_sites(
    folder: Path, sizes: Mapping[str, Size], *, relayed: bool = False, shifted: bool = False
) -> AsyncIterator[Sites]:
    """Wires, files and processes, none of them started; every process is ended on leaving.

    `shifted` gives agents clocks that can be shifted, where this machine allows that.
    """
    agents = tuple(_agent_name(site, number + 1) for site, size in sizes.items() for number in range(size.agents))
    homes = dict(enumerate((site for site, size in sizes.items() for _ in range(size.proxies)), 1))
    proxies = tuple(f"proxy{number}" for number in homes)
    short = Path(f"/tmp/aa-{secrets.token_hex(4)}")  # the path of a Unix socket has at most 107 bytes
    short.symlink_to(folder)
    try:
        with open_disks(short, agents, small=False) as disks:
            clocks = Clocks(short, agents) if shifted else None
            async with open_wan(tuple(sizes), agents, relayed=relayed) as wires, trio.open_nursery() as nursery:
                ground = Ground(short, wires, disks, clocks, nursery, agents, proxies)
                sites = _make_sites(ground, sizes, homes)
                try:
                    yield sites
                finally:
                    sites.end()
                    nursery.cancel_scope.cancel()
    finally:
        short.unlink()


@contextlib.asynccontextmanager
async def open_wan(sites: tuple[str, ...], agents: tuple[str, ...], *, relayed: bool) -> AsyncIterator[Wires]:
    """A namespace for each site where this machine allows that, or a relay for each agent."""
    async with laid(sites, lambda: SiteRelays(agents), relayed=relayed) as wires:
        yield wires


def write_file(sites: Sites, site: str, *, listed: tuple[str, ...] = (), secret: str = "secret") -> Path:
    """The file of one site, listing these sites, by default all."""
    folder, wires = sites.folder, sites.wires
    tls = "off" if wires.loopback else "auto"
    text = _HEAD.format(site=site, folder=folder, secret=secret, tls=tls)
    for home in listed or tuple(sites.sizes):
        for number in range(1, sites.sizes[home].agents + 1):
            where = _address(wires, home, number)
            text += _AGENT.format(number=number, site=home, host=where.host, port=where.port)
    text += "".join(_PROXY.format(id=sites.proxies[number].name, site=home) for number, home in sites.homes.items())
    path = folder / f"{site}.toml"
    path.write_text(text)
    return path


def _make_sites(ground: Ground, sizes: Mapping[str, Size], homes: dict[int, str]) -> Sites:
    (ground.folder / "c").mkdir(mode=0o700)
    write_secret(ground.folder)
    agents = {
        (site, number): _agent(ground, site, number)
        for site, size in sizes.items()
        for number in range(1, size.agents + 1)
    }
    servers = {agent.name: Server(agent.name, (agent,), agent.state_dir) for agent in agents.values()}
    proxies = {number: _proxy(ground, number, site) for number, site in homes.items()}
    sites = Sites(ground, servers, proxies, sizes=sizes, agents=agents, homes=homes)
    for site in sizes:
        write_file(sites, site)
    return sites


def _agent(ground: Ground, site: str, number: int) -> Agent:
    listen = _address(ground.wires, site, number).listen
    config, prefix = ground.folder / f"{site}.toml", _prefix(ground.wires, site)
    name = _agent_name(site, number)
    return make_agent(ground, name, number, site=site, config=config, listen=listen, prefix=prefix)


def _proxy(ground: Ground, number: int, site: str) -> Proxy:
    name, config = f"proxy{number}", ground.folder / f"{site}.toml"
    program = [sys.executable, "-m", "tests.system.load_proxy", "--config", str(config), "--id", name]
    return Proxy(name, [*_prefix(ground.wires, site), *program], ground.folder / f"{name}.log", piped=True)


def _prefix(wires: Wires, site: str) -> list[str]:
    return wires.prefix(site) if isinstance(wires, Namespaces) else []


def _address(wires: Wires, site: str, number: int) -> Address:
    if isinstance(wires, Namespaces):
        return Address(wires.address(site).host, 9022 + number)
    return wires.address(_agent_name(site, number))


def _agent_name(site: str, number: int) -> str:
    return f"{site}-agent{number}"
