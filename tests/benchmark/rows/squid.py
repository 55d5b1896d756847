"""Squid with our helper, asked about every request, beside the same Squid without one, and beside one with the least
that a helper can be, which says OK to everything: what asking costs Squid itself.

The configuration is that of examples/squid, without its logs. 32 connections of one client program ask for a small
page, each request for another of 1,000 users: Squid merges questions about one client that are under way at a time, and
here there are none to merge. Squid, the page's server, the helper and the ProxyAgent have one process each.
"""

import os
import re
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

from protocol.io.control_client import ControlError, ask
from tests.benchmark.children import ROOT, Child, RowFailed
from tests.benchmark.farm import PLAIN, SITE, Farm, open_farm
from tests.benchmark.figures import Figure, failed
from tests.benchmark.job import Bench
from tests.benchmark.rows.nginx import APPLICATION, CLIENTS, NGINX, WITHIN_S, load, path_of
from tests.ports import free_ports
from tests.system.squid_files import AS_PROXY

WHAT = f"squid with our helper, {CLIENTS} clients"
OF_ASKING = f"squid with our helper, beside one that asks nobody, {CLIENTS} clients"
RATIO_MIN = 0.9
SURE_HELPER = Path(__file__).parents[1] / "sure_helper.py"
USERS, TURN_S = 1_000, 1

_PREFIX = f"bench{os.getpid()}"

_SQUID = """\
http_port 127.0.0.1:{port}
follow_x_forwarded_for allow localhost
acl_uses_indirect_client on
log_uses_indirect_client on
http_access allow localhost manager
{access}
pid_filename none
cache_log {folder}/{name}.log
access_log none
coredump_dir {folder}
cache deny all
cache_mem 8 MB
pinger_enable off
netdb_filename none
shutdown_lifetime 0 seconds
visible_hostname {name}
"""

_LOAD = """\
local requests, turn = {{}}, 0
init = function()
    for user = 0, {users} - 1 do
        local address = "10.5." .. math.floor(user / 250) .. "." .. user % 250 + 1
        local headers = {{["Host"] = "127.0.0.1:{port}", ["X-Forwarded-For"] = address}}
        requests[user] = wrk.format("GET", "http://127.0.0.1:{port}/", headers)
    end
end
request = function()
    turn = (turn + 1) % {users}
    return requests[turn]
end
"""


def measure(bench: Bench) -> list[Figure]:
    """Both are asked by turns, and the best turn of each counts: others share the machine."""
    budget = f">= {RATIO_MIN:g} x the same without"
    missing = [name for name in ("squid", "nginx", "wrk") if not path_of(name)]
    if missing:
        return [failed(WHAT, budget, f"not installed: {' and '.join(missing)}")]
    try:
        return _measured(bench.place("squid"), bench.scaled(25, 5), budget)
    finally:
        for left in Path("/dev/shm").glob(f"{_PREFIX}*"):  # squid's, which is killed
            left.unlink()


def _measured(folder: Path, rounds: int, budget: str) -> list[Figure]:
    with open_farm(folder / "farm", more=f"{PLAIN}[squid]\nhelpers = true\n") as farm:
        farm.start_agent(1)
        daemon = _daemon(farm)
        page, ours, plain, sure = free_ports(4)
        script = folder / "load.lua"
        script.write_text(_LOAD.format(users=USERS, port=page))
        farm.children.append(_page(folder, page))
        asking = _squid(farm, folder, "asking", ours, _asking(_our_helper(farm)))
        _wait_served(ours, page, asking)
        for name, port, access in (
            ("plain", plain, "http_access allow all"),
            ("sure", sure, _asking(f"/usr/bin/env {sys.executable} -IS {SURE_HELPER}")),
        ):
            _wait_served(port, page, _squid(farm, folder, name, port, access))
        before_s = daemon.cpu_s() + _cpu_s_of_children(asking)
        rates: dict[int, list[float]] = {plain: [], ours: [], sure: []}
        for _ in range(rounds):
            for port, found in rates.items():
                found.append(load(port, TURN_S, "-s", str(script)))
        requests = sum(rates[ours]) * TURN_S
        questions = _questions(ours) / requests
        processor_us = (daemon.cpu_s() + _cpu_s_of_children(asking) - before_s) / requests * 1e6
    told = (
        f"the best of {rounds} turns of {TURN_S} s each; {questions:.2f} questions a request; helper and ProxyAgent "
        f"take {processor_us:.0f} us of processor time for each"
    )
    rate, without, at_once = (max(rates[port]) for port in (ours, plain, sure))
    least = f">= {RATIO_MIN:g} x the least that a helper costs"
    bound = f"a helper that says OK at once reaches {at_once / without:.2f} x the rate without any"
    return [
        Figure(WHAT, "1/s", rate, budget, rate >= RATIO_MIN * without, without, "squid without a helper", told),
        Figure(OF_ASKING, "1/s", rate, least, rate >= RATIO_MIN * at_once, at_once, "one that says OK at once", bound),
    ]


def _daemon(farm: Farm) -> Child:
    """A `proxyagent run` at which all users are logged in."""
    command = [sys.executable, "-m", "proxyagent", "run", "--id", "p0", "--config", str(farm.config)]
    child = Child("p0", command, farm.folder)
    farm.children.append(child)
    control = farm.folder / f"{SITE}-proxyagent-p0.sock"
    _wait(lambda: control.with_suffix(".squid").exists(), child)
    try:
        for user in range(USERS):
            ask(str(control), "login", key=f"10.5.{user // 250}.{user % 250 + 1}", user=f"user{user}")
    except ControlError as error:
        raise RowFailed(f"p0: {error}; {child.log_end()}") from None
    return child


def _page(folder: Path, port: int) -> Child:
    path = folder / "nginx.conf"
    path.write_text(NGINX.format(folder=folder, name="nginx", sites=APPLICATION.format(port=port, page="x" * 100)))
    command = [path_of("nginx"), "-p", str(folder), "-c", str(path), "-e", "stderr", "-g", "daemon off;"]
    return Child("nginx", command, folder)


def _our_helper(farm: Farm) -> str:
    return f"/usr/bin/env PYTHONPATH={ROOT} {sys.executable} -m proxyagent squid-session --config {farm.config}"


def _asking(helper: str) -> str:
    """What examples/squid has to let in those whom a helper knows, and nobody else."""
    text = (ROOT / "examples" / "squid" / "one-login.conf").read_text()
    lines = re.findall(r"^(?:external_acl_type one_login |acl logged_in |http_access allow logged_in).*\n", text, re.M)
    assert len(lines) == 3, "the example has changed"
    return "".join(lines).replace("/usr/local/bin/proxyagent squid-session", helper) + "http_access deny all"


def _squid(farm: Farm, folder: Path, name: str, port: int, access: str) -> Child:
    path = folder / f"{name}.conf"
    path.write_text(_SQUID.format(folder=folder, name=name, port=port, access=access))
    prefix = AS_PROXY if os.geteuid() == 0 else []
    child = Child(name, [*prefix, path_of("squid"), "-N", "-n", f"{_PREFIX}{name}", "-f", str(path)], folder)
    farm.children.append(child)
    return child


def _wait_served(port: int, page: int, squid: Child) -> None:
    def served() -> bool:
        request = urllib.request.Request(f"http://127.0.0.1:{page}/", headers={"X-Forwarded-For": "10.5.0.1"})
        request.set_proxy(f"127.0.0.1:{port}", "http")
        try:
            with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=5) as answer:
                return bool(answer.read() == b"x" * 100)
        except OSError:
            return False

    _wait(served, squid)


def _wait(holds: Callable[[], bool], child: Child) -> None:
    deadline = time.monotonic() + WITHIN_S
    while not holds():
        if time.monotonic() > deadline or child.process.poll() is not None:
            raise RowFailed(f"{child.name} does not serve: {child.log_end()}")
        time.sleep(0.05)


def _questions(port: int) -> int:
    """How many questions this Squid has sent to its helper."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/squid-internal-mgr/external_acl", timeout=5) as answer:
        found = re.search(rb"requests sent: (\d+)", answer.read())
    if not found:
        raise RowFailed("squid's manager does not tell how often it has asked")
    return int(found[1])


def _cpu_s_of_children(child: Child) -> float:
    """Processor seconds of the processes that this one has started."""
    path = Path(f"/proc/{child.process.pid}/task/{child.process.pid}/children")
    fields = [Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split() for each in path.read_text().split()]
    return sum(int(each[11]) + int(each[12]) for each in fields) / os.sysconf("SC_CLK_TCK")
