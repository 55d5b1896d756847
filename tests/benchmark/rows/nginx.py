"""nginx in front of an application, asking `proxyagent run` about each request, beside the same nginx without asking.

The configuration is that of examples/nginx, without TLS and with connections to the application kept, so that what is
measured is the asking. nginx and the application have one process each; a single client program has 32 connections.
"""

import os
import re
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

from protocol.io.control_client import ControlError, ask
from protocol.key import key
from tests.benchmark.children import ROOT, Child, RowFailed
from tests.benchmark.farm import PLAIN, SITE, Farm, open_farm
from tests.benchmark.figures import Figure, failed, median
from tests.benchmark.job import Bench
from tests.components import SYSTEM_FOLDERS
from tests.ports import free_ports

WHAT = "nginx auth_request, 32 clients"
PLAIN_RATE, RATE_MIN = 25_000, 8_000
"""The budget: so many a second where the same test without asking gives so many."""

CLIENTS, ROUNDS = 32, 5
COOKIE = "Zm9yIHRlc3RzIG9ubHksIG5vdGhpbmcgdG8ga2VlcCE"
WITHIN_S = 30

NGINX = """\
master_process off;
worker_processes 1;
pid {folder}/{name}.pid;
error_log stderr;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    keepalive_requests 1000000;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    {sites}
}}
"""

APPLICATION = "server {{ listen 127.0.0.1:{port}; location / {{ return 200 '{page}'; }} }}"

_KEPT = """
upstream application {{ server 127.0.0.1:{port}; keepalive 32; keepalive_requests 1000000; }}
"""


def measure(bench: Bench) -> list[Figure]:
    """Both are asked by turns: others share the machine."""
    budget = f">= {RATE_MIN / PLAIN_RATE:.2f} x ({RATE_MIN:,} of {PLAIN_RATE:,})"
    missing = [name for name in ("nginx", "wrk") if not path_of(name)]
    if missing:
        return [failed(WHAT, budget, f"{' and '.join(missing)} not installed")]
    folder, seconds = bench.place("nginx"), bench.scaled(4, 1)
    door = folder / "auth.sock"
    more = f'{PLAIN}[client]\nkey = "cookie"\n[forward_auth]\nlisten = "{door}"\nlogin_url = "/login/"\n'
    with open_farm(folder / "farm", more=more) as farm:
        farm.start_agent(1)
        daemon = daemon_of(farm)
        ports = _nginx(farm, folder, door)
        began_s = daemon.cpu_s()
        rates: dict[str, list[float]] = {name: [] for name in ports}
        for _ in range(ROUNDS):
            for name, port in ports.items():
                rates[name].append(load(port, seconds))
        processor_us = (daemon.cpu_s() - began_s) / (sum(rates["asking"]) * seconds) * 1e6
    ours, peer = median(rates["asking"]), median(rates["plain"])
    told = f"{ROUNDS} rounds of {seconds} s; the endpoint takes about {processor_us:.0f} us of processor time a request"
    met = ours >= peer * RATE_MIN / PLAIN_RATE
    return [Figure(WHAT, "1/s", ours, budget, met, peer, "the same without asking", told)]


def path_of(program: str) -> str:
    return shutil.which(program, path=f"{os.environ.get('PATH', '')}:{SYSTEM_FOLDERS}") or ""


def daemon_of(farm: Farm) -> Child:
    """A `proxyagent run` at which alice is logged in."""
    command = [sys.executable, "-m", "proxyagent", "run", "--id", "p0", "--config", str(farm.config)]
    child = Child("p0", command, farm.folder)
    farm.children.append(child)
    control = str(farm.folder / f"{SITE}-proxyagent-p0.sock")
    deadline = time.monotonic() + WITHIN_S
    while True:
        try:
            ask(control, "login", key=key(cookie=COOKIE), user="alice", attributes={"groups": ["staff"]})
            return child
        except (ControlError, OSError) as error:
            if time.monotonic() > deadline:
                raise RowFailed(f"p0: {error}; {child.log_end()}") from None
            time.sleep(0.05)


def _nginx(farm: Farm, folder: Path, door: Path) -> dict[str, int]:
    """Ports of the site that asks and of the one that does not; both before one application."""
    asking, plain, application = free_ports(3)
    text = (ROOT / "examples" / "nginx" / "one-login.conf").read_text()
    text = re.sub(r"^ *ssl_certificate.*\n", "", text, flags=re.MULTILINE)
    text = text.replace("/run/authagent/forward-auth.sock", str(door)).replace("listen 443 ssl", "listen LISTEN")
    kept = 'proxy_http_version 1.1; proxy_set_header Connection ""; proxy_pass http://application;'
    text = text.replace("proxy_pass http://127.0.0.1:8000;", kept)
    unasked = re.sub(r"^ *(auth_request|error_page).*\n", "", text[text.index("server {\n    listen") :], flags=re.M)
    unasked = re.sub(r"^ *(proxy_set_header Remote|add_header).*\n", "", unasked, flags=re.MULTILINE)
    sites = text.replace("LISTEN", f"127.0.0.1:{asking}") + unasked.replace("LISTEN", f"127.0.0.1:{plain}")
    page = APPLICATION.format(port=application, page="x" * 100)
    for name, config in (("application", page), ("front", _KEPT.format(port=application) + sites)):
        path = folder / f"{name}.conf"
        path.write_text(NGINX.format(folder=folder, name=name, sites=config))
        command = [path_of("nginx"), "-p", str(folder), "-c", str(path), "-e", "stderr", "-g", "daemon off;"]
        farm.children.append(Child(name, command, folder))
    ports = {"asking": asking, "plain": plain}
    for port in ports.values():
        wait_served(port, farm.children[-1])
    return ports


def wait_served(port: int, front: Child) -> None:
    request = urllib.request.Request(f"http://127.0.0.1:{port}/", headers={"Cookie": f"__Host-login={COOKIE}"})
    deadline = time.monotonic() + WITHIN_S
    while True:
        try:
            with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=5) as answer:
                if answer.read() == b"x" * 100:
                    return
        except OSError:
            pass
        if time.monotonic() > deadline:
            raise RowFailed(f"nginx does not let alice in at {port}: {front.log_end()}")
        time.sleep(0.05)


def load(port: int, seconds: int, *words: str) -> float:
    """Requests a second, all of them answered with the page; with alice's cookie, or with other words for wrk."""
    words = words or ("-H", f"Cookie: __Host-login={COOKIE}")
    command = [path_of("wrk"), "-t1", f"-c{CLIENTS}", f"-d{seconds}s", *words, f"http://127.0.0.1:{port}/"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    found = re.search(r"Requests/sec: *([\d.]+)", done.stdout)
    if not found or "Non-2xx" in done.stdout or "Socket errors" in done.stdout:
        raise RowFailed(f"wrk: {' | '.join((done.stdout + done.stderr).split(chr(10))[-6:])}")
    return float(found[1])
