"""What crosses between two sites, in bytes at the socket, TLS and both directions included; and a catch-up.

Two sites of an agent and a proxy each. What each dials at the other is a relay, a process that counts. First an idle
time is measured: heartbeats, which are taken off what is counted later. Then logins at 1,000/s at one site's proxy,
until the other's knows them all, and logouts of the same. For the catch-up the relays are silent until both sites
have noticed, users log in on both sides, and it is timed from the healing until both proxies know all.

The peer is the layout that the source warns of: REMOTE_PROXIES proxies of the other site linked across the WAN, each
directly, with the first site's agent; the same job, counted and cleared of heartbeats in the same way.
"""

import contextlib
import json
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs

from tests.benchmark.children import ROOT, Child, RowFailed, all_ended, worker
from tests.benchmark.figures import Figure
from tests.benchmark.job import Bench
from tests.benchmark.keys import block
from tests.ports import free_port

RATE = 1_000
SECONDS = 10
IDLE_S = 10
DIFFERENCES = 10_000
REMOTE_PROXIES = 4
"""Of the other site; every one more costs as much again."""

BYTES_MAX = {"address": 20, "cookie": 35}
LOGOUT_BYTES_MAX = 3
CATCH_UP_S_MAX = 5.0
WITHIN_S = 240.0

NEAR, FAR = "127.0.0.1", "127.0.0.2"
SITES = ("lan1", "lan2")

_HEAD = """\
site = "{site}"
[control]
folder = "{folder}"
[logging]
level = 0
[limits]
sessions = 2_500_000
"""

_AGENT = """
[[authagent]]
id = 1
site = "{site}"
host = "{host}"
wan_host = "{wan_host}"
port = {port}
[[proxyagent]]
id = "p*"
site = "{site}"
"""


def measure(bench: Bench) -> list[Figure]:
    """Bytes per login with both kinds of key, per logout, and the catch-up."""
    count = RATE * bench.scaled(SECONDS, 2)
    idle_s = bench.scaled(IDLE_S, 3)
    with open_sites(bench.place("wan"), 2) as farm:
        here, there = farm.proxy(0, "p0"), farm.proxy(1, "p1")
        farm.wait_linked()
        ours = _costs(farm, here, [there], count, idle_s)
        catch_up_s, catch_up_bytes = _catch_up(farm, here, there, bench.scaled(DIFFERENCES, 500))
    with open_sites(bench.place("wan-direct"), 1) as farm:
        here = farm.proxy(0, "p0")
        afar = [farm.remote_proxy(f"p{number}") for number in range(1, REMOTE_PROXIES + 1)]
        theirs = _costs(farm, here, afar, count, idle_s)
    name = f"{REMOTE_PROXIES} proxies of the other site linked across the WAN each by itself, ours too"
    return [
        *(_figure(what, ours[what], theirs[what], name) for what in ours),
        Figure(
            f"WAN, {DIFFERENCES:,} differences after a cut", "s", catch_up_s, f"<= {CATCH_UP_S_MAX:g} s",
            catch_up_s <= CATCH_UP_S_MAX, note=f"{catch_up_bytes:,} bytes; loopback, without a limit of its rate",
        ),
    ]  # fmt: skip


@attrs.frozen
class Cost:
    """Bytes of one login or logout, and at how many a second they were made."""

    bytes: float
    rate: float


def _figure(what: str, ours: Cost, theirs: Cost, name: str) -> Figure:
    most = LOGOUT_BYTES_MAX if "logout" in what else BYTES_MAX["cookie" if "cookie" in what else "address"]
    note = f"at {ours.rate:,.0f}/s, with TLS, both directions; heartbeats taken off"
    return Figure(f"WAN, {what}", "bytes", ours.bytes, f"<= {most} bytes", ours.bytes <= most, theirs.bytes, name, note)


@attrs.define
class Sites:
    """One or two sites; `wire` is the WAN's."""

    folder: Path
    ports: dict[str, int]
    wire: Child
    children: list[Child]

    def proxy(self, site: int, name: str) -> Child:
        """Start a proxy at its site."""
        return self._start(self.folder / f"{SITES[site]}.toml", name)

    def remote_proxy(self, name: str) -> Child:
        """Start a proxy that reaches the first site's agent across the WAN."""
        config = self.folder / "afar.toml"
        config.write_text((self.folder / "lan1.toml").read_text().replace(f'host = "{NEAR}"', f'host = "{FAR}"'))
        return self._start(config, name)

    def _start(self, config: Path, name: str) -> Child:
        child = worker(name, "tests.benchmark.worker", self.folder, str(config), name)
        self.children.append(child)
        return child

    def remote(self, site: str) -> dict[str, Any]:
        """What a site's agent says of the other; empty while it does not answer."""
        command = [sys.executable, "-m", "authagent", "--config", str(self.folder / f"{site}.toml"), "status", "--json"]
        done = subprocess.run([*command, "--site", site], capture_output=True, cwd=ROOT, timeout=30)
        with contextlib.suppress(ValueError, IndexError):
            found: dict[str, Any] = json.loads(done.stdout)["remotes"][0]
            return found
        return {}

    def wait_linked(self, *, linked: bool = True) -> None:
        """Wait until both sites are linked and equal, or both miss each other."""
        deadline = time.monotonic() + WITHIN_S
        while True:
            seen = [self.remote(site) for site in SITES]
            if all(each.get("connected") is linked and (not linked or each["digest_equal"]) for each in seen):
                return
            if time.monotonic() > deadline:
                raise RowFailed(f"linked {linked} not within {WITHIN_S:g} s: {seen}")
            time.sleep(0.1)

    def bytes(self) -> int:
        """All that has crossed, both ways."""
        passed: int = self.wire.ask(do="all_bytes")["bytes"]
        return passed


@contextlib.contextmanager
def open_sites(folder: Path, count: int) -> Iterator[Sites]:
    """Agents of so many sites, started, and a WAN that counts."""
    ports = {site: free_port() for site in SITES[:count]}
    children: list[Child] = []
    secret = folder / "secret"
    secret.touch(mode=0o600)
    secret.write_text(secrets.token_urlsafe(32) + "\n")
    entries = "".join(_AGENT.format(site=site, host=NEAR, wan_host=FAR, port=port) for site, port in ports.items())
    with all_ended(children):
        wire = worker("wire", "tests.benchmark.wire", folder, *(f"{FAR}:{port}={port}" for port in ports.values()))
        children.append(wire)
        for site in ports:
            config = folder / f"{site}.toml"
            config.write_text(_HEAD.format(site=site, folder=folder) + entries)
            command = [sys.executable, "-m", "authagent", "1", "--config", str(config)]
            children.append(Child(site, [*command, "--state-dir", str(folder / f"{site}-state")], folder))
        yield Sites(folder, ports, wire, children)


def _costs(farm: Sites, here: Child, afar: list[Child], count: int, idle_s: float) -> dict[str, Cost]:
    """Of logins and logouts, what an idle WAN carries taken off."""
    time.sleep(2.0)
    before, began = farm.bytes(), time.monotonic()
    time.sleep(idle_s)
    idle_bytes_s = (farm.bytes() - before) / (time.monotonic() - began)
    costs: dict[str, Cost] = {}
    for kind in BYTES_MAX:
        first = block()
        for what, target in (("login", count), ("logout", 0)):
            before, began = farm.bytes(), time.monotonic()
            act = {"do": "act", "what": what, "kind": kind, "rate": RATE, "count": count, "first": first}
            took_s = _right(here.ask(WITHIN_S + count / RATE, **act))["took_s"]
            for proxy in afar:
                at_most = what == "logout"
                _right(proxy.ask(WITHIN_S, do="wait_count", count=target, within_s=WITHIN_S - 5, at_most=at_most))
            time.sleep(2.0)
            crossed = farm.bytes() - before - idle_bytes_s * (time.monotonic() - began)
            key = "an address" if kind == "address" else "a cookie"
            costs[f"a {what} with {key} key"] = Cost(crossed / count, count / took_s)
    return costs


def _catch_up(farm: Sites, here: Child, there: Child, count: int) -> tuple[float, int]:
    """Seconds from the healing until both know all, and the bytes of that."""
    farm.wire.ask(do="cut_all")
    farm.wait_linked(linked=False)
    for proxy in (here, there):
        _right(proxy.ask(WITHIN_S, do="burst", count=count // 2, first=block()))
    before, healed_ns = farm.bytes(), time.monotonic_ns()
    farm.wire.ask(do="heal")
    for proxy in (here, there):
        proxy.send(do="wait_count", count=count, within_s=WITHIN_S - 5)
    ends = [_right(proxy.answer(WITHIN_S))["at_ns"] for proxy in (here, there)]
    return (max(ends) - healed_ns) / 1e9, farm.bytes() - before


def _right(answer: dict[str, Any]) -> dict[str, Any]:
    if "error" in answer:
        raise RowFailed(str(answer["error"]))
    return answer
