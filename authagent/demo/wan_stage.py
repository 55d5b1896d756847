"""The stage of `authagent demo --wan`: two sites of two agents and two proxies each, and a WAN that can be cut.

Rules of this file:

- What other sites dial is another address of this machine than what the own site dials (`wan_host`). Behind it stands a
  relay for each agent; so what is in a site goes direct, and the cut is that of the WAN.
- Agents 3 and 4 of the stage are agents 1 and 2 of the second site; proxies 3 and 4 are there too.
"""

import contextlib
import functools
import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import attrs
import trio

from authagent.demo.cast import Agent, Program, ctl, free_port, make_proxy, until, write_files
from authagent.demo.client import User
from authagent.demo.page import serve_page
from authagent.demo.relay import Relay
from authagent.demo.stage import Stage

SITES = ("lan1", "lan2")
EACH = 2
"""Agents of a site, and proxies of a site."""

NAMES = ("alice", "bob", "carol", "dave", "erin")

WAN_HOST = "127.0.0.2"

EQUAL_WITHIN_S = 5.0
"""Promise 4: after faults stop, all tables are equal within this over a WAN."""

_CONFIGURATION = """\
# Written by `authagent demo --wan`: two sites of two agents and two proxies each, all on this machine.
# What other sites dial (wan_host) are relays of the demo, so that the WAN can be cut.

[tls]
mode = "off"    # loopback only; and the relay reads who calls

[control]
folder = "{folder}/control"

[timing]
wan_suspect_after = "2s"     # so that you need not wait; 5s by default

[failover]
other_sites = ["lan1", "lan2"]
after = "2s"                 # 5s by default
return_after = "2s"          # 10s by default
"""

_AGENT = """
[[authagent]]
id = {id}
site = "{site}"
host = "127.0.0.1"
wan_host = "{wan_host}"
port = {port}
"""

_PROXY = """
[[proxyagent]]
id = "proxy{number}"
site = "{site}"
"""


@attrs.define
class WanStage(Stage):
    """Two sites. How they are is asked of their masters."""

    def cut_wan(self) -> None:
        """Nothing crosses any more, and nobody is told."""
        for relay in self.relays.values():
            relay.cut(lambda caller: True)

    def heal_wan(self) -> None:
        """Everything crosses again."""
        for relay in self.relays.values():
            relay.heal()

    async def master(self, site: str) -> dict[str, Any]:
        """The status of a site's master; empty while there is none."""
        for number, agent in self.agents.items():
            if agent.site == site and agent.running:
                status = await self.status_of(number)
                if status.get("role") == "master":
                    return status
        return {}

    async def wait_apart(self, within_s: float) -> float:
        """Wait until both masters say that the other site is not linked; returns the seconds it took."""

        async def apart() -> object:
            seen = {site: _remote(await self.master(site)) for site in SITES}
            return not any(remote.get("connected", True) for remote in seen.values()) or str(seen)

        return await until(apart, within_s, "each site misses the other")

    async def wait_whole(self, within_s: float) -> float:
        """Wait until all that runs is linked and all tables are equal; returns the seconds it took."""

        async def whole() -> object:
            for site in SITES:
                status = await self.master(site)
                if not status.get("healthy") or not _all_equal(status):
                    return f"{site}: {status.get('sentence') or 'no master'}; {_links(status)}"
            return True

        return await until(whole, within_s, "both sites linked, everything equal")

    async def wait_served_by(self, site: str, proxies: int, within_s: float) -> float:
        """Wait until so many proxies are linked with a site's master; returns the seconds it took."""

        async def served() -> object:
            linked = [each["id"] for each in (await self.master(site)).get("proxies", ()) if each["connected"]]
            return len(linked) == proxies or f"linked with {site}: {linked}"

        return await until(served, within_s, f"{site} serves {proxies} proxies")


def _remote(status: dict[str, Any]) -> dict[str, Any]:
    return next(iter(status.get("remotes", ())), {})


def _links(status: dict[str, Any]) -> dict[str, Any]:
    """Whether each link of a master is known to be equal."""
    links = {each["id"]: each["digest_equal"] for each in status.get("proxies", ())}
    others = {"partner": status.get("partner") or {}, "site": _remote(status)}
    return links | {name: link.get("digest_equal") for name, link in others.items()}


def _all_equal(status: dict[str, Any]) -> bool:
    return all(_links(status).values())


@contextlib.asynccontextmanager
async def open_wan_stage(folder: Path) -> AsyncIterator[WanStage]:
    """Set everything up in `folder` and start the wires and the page; the acts start the rest."""
    users = {name: User(name, f"127.0.2.{number}", secrets.token_urlsafe(9)) for number, name in enumerate(NAMES, 1)}
    numbers = range(1, len(SITES) * EACH + 1)
    ports = {number: free_port() for number in numbers}
    text = _CONFIGURATION.format(folder=folder)
    for number, port in ports.items():
        site, own = SITES[(number - 1) // EACH], (number - 1) % EACH + 1
        text += _AGENT.format(id=own, site=site, wan_host=WAN_HOST, port=port)
        text += _PROXY.format(number=number, site=site)
    config = write_files(folder, text, {user.name: user.password for user in users.values()})
    agents = {number: _make_agent(folder, config, number) for number in numbers}
    proxies = {number: make_proxy(folder, config, number) for number in numbers}
    relays = {number: Relay(port) for number, port in ports.items()}
    programs: list[Program] = [*agents.values(), *proxies.values()]
    try:
        async with trio.open_nursery() as nursery:
            for number, relay in relays.items():
                await nursery.start(functools.partial(trio.serve_tcp, relay.serve, ports[number], host=WAN_HOST))
            listeners = await nursery.start(functools.partial(trio.serve_tcp, serve_page, 0, host="127.0.0.1"))
            page_url = f"http://127.0.0.1:{listeners[0].socket.getsockname()[1]}/"
            yield WanStage(folder, config, users, agents, proxies, relays, page_url, equal_within_s=EQUAL_WITHIN_S)
            nursery.cancel_scope.cancel()
    finally:
        for program in programs:
            program.kill()


def _make_agent(folder: Path, config: Path, number: int) -> Agent:
    """Agent `number` of the stage, not yet started."""
    site, own = SITES[(number - 1) // EACH], (number - 1) % EACH + 1
    name = f"{site}-agent{own}"
    return Agent(
        name=name,
        command=[*ctl(config), "--site", site, str(own), "--state-dir", str(folder / name)],
        log=folder / f"{name}.log",
        id=own,
        site=site,
        config=config,
        state_dir=folder / name,
    )
