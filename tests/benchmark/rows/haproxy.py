"""HAProxy that lets through who is in the map that `proxyagent run` pushes, beside the same HAProxy without any of it.

The configuration is that of examples/haproxy, without TLS. HAProxy and the application have one thread each; a single
client program has 32 connections. HAProxy asks nobody: what is measured is its look-up, its log, and the ProxyAgent
that takes a line of the log as activity.
"""

import re
import socket
import time
from collections.abc import Callable
from pathlib import Path

from protocol.io.control_client import ask
from protocol.key import key
from tests.benchmark.children import ROOT, Child, RowFailed
from tests.benchmark.farm import PLAIN, SITE, Farm, open_farm
from tests.benchmark.figures import Figure, failed, median
from tests.benchmark.job import Bench
from tests.benchmark.rows.nginx import APPLICATION, NGINX, daemon_of, load, path_of, wait_served
from tests.ports import free_port, free_ports

WHAT = "HAProxy with our map, 32 clients"
WHAT_LOGIN = "login -> let through by HAProxy"
RATIO_MIN, LOGIN_MS_MAX = 0.4, 20.0
USERS, ROUNDS, LOGINS = 1_000, 5, 50
WITHIN_S = 30


def measure(bench: Bench) -> list[Figure]:
    """Both are asked by turns: others share the machine."""
    budgets = f">= {RATIO_MIN:g} x the same without", f"<= {LOGIN_MS_MAX:g}"
    missing = [name for name in ("haproxy", "nginx", "wrk") if not path_of(name)]
    if missing:
        why = f"{' and '.join(missing)} not installed"
        return [failed(WHAT, budgets[0], why), failed(WHAT_LOGIN, budgets[1], why)]
    folder, seconds = bench.place("haproxy"), bench.scaled(4, 1)
    log = f"127.0.0.1:{free_port()}"
    with open_farm(folder / "farm", more=_section(folder, log)) as farm:
        farm.start_agent(1)
        daemon = daemon_of(farm)
        ports = _haproxy(farm, folder, log)
        _log_in_users(farm)
        wait_served(ports["map"], farm.children[-1])
        began_s = daemon.cpu_s()
        rates: dict[str, list[float]] = {name: [] for name in ports}
        for _ in range(ROUNDS):
            for name, port in ports.items():
                rates[name].append(load(port, seconds))
        processor_us = (daemon.cpu_s() - began_s) / (sum(rates["map"]) * seconds) * 1e6
        login_ms = median([_login_ms(farm, folder, number) for number in range(bench.scaled(LOGINS, 5))])
    ours, peer = median(rates["map"]), median(rates["plain"])
    told = f"{ROUNDS} rounds of {seconds} s; the ProxyAgent takes {processor_us:.0f} us of processor time for a line"
    return [
        Figure(WHAT, "1/s", ours, budgets[0], ours >= RATIO_MIN * peer, peer, "the same without", told),
        Figure(WHAT_LOGIN, "ms, p50", login_ms, budgets[1], login_ms <= LOGIN_MS_MAX, note=f"{USERS:,} users in it"),
    ]


def _section(folder: Path, log: str) -> str:
    """What the ProxyAgent's file says of HAProxy."""
    places = f'runtime = "{folder}/a.sock"\nmap = "{folder}/sessions.map"\nactivity = "{log}"\n'
    return f'{PLAIN}[client]\nkey = "cookie"\n[haproxy]\n{places}'


def _haproxy(farm: Farm, folder: Path, log: str) -> dict[str, int]:
    """Ports of the HAProxy with the map and of the one without; both before one application."""
    ports = dict(zip(("map", "plain", "application"), free_ports(3), strict=True))
    (folder / "sessions.map").touch()
    text = (ROOT / "examples" / "haproxy" / "haproxy.cfg").read_text()
    for old, new in (
        ("    user haproxy\n    group haproxy\n", ""),
        ("stats socket /run/haproxy/admin.sock mode 660 group authagent", "nbthread 1\n    stats socket SOCKET"),
        ("/etc/haproxy/sessions.map", f"{folder}/sessions.map"),
        ("127.0.0.1:9514", log),
        (":443 ssl crt /etc/haproxy/example.pem", "127.0.0.1:LISTEN"),
        ("127.0.0.1:8000", f"127.0.0.1:{ports['application']}"),
    ):
        assert old in text, "the example has changed"
        text = text.replace(old, new)
    unasked = re.sub(r"^ *(http-request|log |log-format|acl|use_backend).*\n", "", text, flags=re.MULTILINE)
    page = APPLICATION.format(port=ports["application"], page="x" * 100)
    nginx = folder / "application.conf"
    nginx.write_text(NGINX.format(folder=folder, name="application", sites=page))
    command = [path_of("nginx"), "-p", str(folder), "-c", str(nginx), "-e", "stderr", "-g", "daemon off;"]
    farm.children.append(Child("application", command, folder))
    for name, config, runtime in (("map", text, "a.sock"), ("plain", unasked, "b.sock")):
        path = folder / f"{name}.cfg"
        path.write_text(config.replace("SOCKET", f"{folder}/{runtime}").replace("LISTEN", str(ports[name])))
        farm.children.append(Child(name, [path_of("haproxy"), "-db", "-f", str(path)], folder))
    del ports["application"]
    return ports


def _control(farm: Farm) -> str:
    return str(farm.folder / f"{SITE}-proxyagent-p0.sock")


def _log_in_users(farm: Farm) -> None:
    """So many that a look-up has something to search."""
    for number in range(USERS):
        ask(_control(farm), "login", key=key(cookie=f"user {number}"), user=f"user{number}")


def _login_ms(farm: Farm, folder: Path, number: int) -> float:
    """From the call until HAProxy's map has it."""
    made = key(cookie=f"late user {number}")
    began = time.perf_counter()
    ask(_control(farm), "login", key=made, user="late")
    _wait(lambda: _shown(folder, made))
    return (time.perf_counter() - began) * 1000


def _shown(folder: Path, made: str) -> bool:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(f"{folder}/a.sock")
        connection.sendall(f"get map {folder}/sessions.map {made}\n".encode())
        return b"found=yes" in connection.makefile("rb").read()


def _wait(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WITHIN_S
    while not holds():
        if time.monotonic() > deadline:
            raise RowFailed("a login does not get into HAProxy's map")
        time.sleep(0.0005)
