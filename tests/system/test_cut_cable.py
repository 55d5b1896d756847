"""Proxies behind a switch, each machine in a network of its own, and cables that are pulled out."""

import base64
import secrets
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import attrs
import pytest
import trio

from authagent.demo.cast import proxy_program
from tests.proxyagent.integrations.haproxy.running import require_haproxy
from tests.system.processes import Process, until
from tests.system.wires import Namespaces, namespaces_work

NODES = ("agent1", "agent2", "proxy1", "proxy2", "switch", "user")
PASSWORDS = {"alice": "wonderland", "bob": "building"}
PATIENCE_S = 30.0
TIMEOUT_S = 15.0
OWN_PAGE = "http://login.internal/"
"""Of the proxy itself: who one is there."""

pytestmark = [pytest.mark.system, pytest.mark.slow, pytest.mark.root]

_ASK = """
import http.client, sys, time
host, port, url, credentials, count = sys.argv[1:]
for _ in range(int(count)):
    connection = http.client.HTTPConnection(host, int(port), timeout=%g)
    headers = {"Proxy-Authorization": "Basic " + credentials} if credentials else {}
    try:
        connection.request("GET", url, headers=headers)
        answer = connection.getresponse()
        print(answer.status, answer.read().decode().strip(), flush=True)
    except (OSError, http.client.HTTPException) as error:
        print(0, type(error).__name__, flush=True)
    connection.close()
    time.sleep(0.02)
"""

_PAGE = """
import http.server
class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.send_header("Content-Length", "0"); self.end_headers()
http.server.ThreadingHTTPServer(("0.0.0.0", 8000), Page).serve_forever()
"""

_SWITCH = """\
defaults
    mode tcp
    timeout connect 300ms
    timeout check 400ms
    timeout client 30s
    timeout server 30s
    retries 2
    option redispatch 1
frontend proxies
    bind :3128
    default_backend proxies
backend proxies
    balance roundrobin
    default-server check inter 200ms fall 2 rise 2 send-proxy
    server proxy1 {proxy1}:3128
    server proxy2 {proxy2}:3128
"""


@attrs.define
class Lan:
    """Six machines on one switch, and what runs on them."""

    folder: Path
    spaces: Namespaces
    processes: dict[str, Process] = attrs.field(factory=dict)

    def host(self, node: str) -> str:
        """The address of a machine."""
        return self.spaces.address(node).host

    def run(self, name: str, node: str, *command: str) -> None:
        """Start a program on a machine."""
        log = self.folder / f"{name}.log"
        self.processes[name] = Process(name, [*self.spaces.prefix(node), *command], log)
        self.processes[name].start()

    async def ask(self, node: str, user: str = "", count: int = 1, url: str = "") -> list[str]:
        """Status and text of a user's requests, one after another, through the switch or through one proxy."""
        password = base64.b64encode(f"{user}:{PASSWORDS[user]}".encode()).decode() if user else ""
        command = [*self.spaces.prefix("user"), sys.executable, "-c", _ASK % TIMEOUT_S]
        command += [self.host(node), "3128", url or f"http://{self.host('switch')}:8000/", password, str(count)]
        done = await trio.run_process(command, capture_stdout=True)
        return [line.strip() for line in done.stdout.decode().splitlines()]

    async def becomes(self, node: str, status: str, url: str = "") -> None:
        """Wait until a request is answered like this."""

        async def right() -> object:
            told = await self.ask(node, url=url)
            return told[0].startswith(status) or f"{told}; {[each.log_end(2) for each in self.processes.values()]}"

        await until(right, PATIENCE_S, f"{node} answers {status}")


@pytest.fixture
async def lan() -> AsyncIterator[Lan]:
    """Started; nobody is logged in."""
    if not await namespaces_work():
        pytest.skip("needs root and network namespaces with nft")
    folder, spaces = Path(tempfile.mkdtemp(prefix="aa-", dir="/tmp")), Namespaces(NODES)
    lan = Lan(folder, spaces)
    try:
        await spaces.build()
        _write(lan)
        config = ("--config", str(folder / "authagent.toml"))
        for number in ("1", "2"):
            state = ("--state-dir", str(folder / f"agent{number}"))
            lan.run(f"agent{number}", f"agent{number}", sys.executable, "-m", "authagent", number, *config, *state)
        for name in ("proxy1", "proxy2"):
            options = ("--users", str(folder / "users.txt"), "--listen", "0.0.0.0:3128", "--switch", lan.host("switch"))
            lan.run(name, name, sys.executable, str(proxy_program()), "--id", name, *config, *options)
        lan.run("page", "switch", sys.executable, "-c", _PAGE)
        lan.run("switch", "switch", require_haproxy(), "-db", "-f", str(folder / "haproxy.cfg"))
        yield lan
    finally:
        for process in lan.processes.values():
            process.kill()
        with trio.CancelScope(shield=True):
            await spaces.remove()
        shutil.rmtree(folder)


def _write(lan: Lan) -> None:
    lines = ['site = "lan1"', f'state_dir = "{lan.folder}/state"', "[control]", f'folder = "{lan.folder}/c"']
    for number in (1, 2):
        lines += ["[[authagent]]", f"id = {number}", f'host = "{lan.host(f"agent{number}")}"']
    for name in ("proxy1", "proxy2"):
        lines += ["[[proxyagent]]", f'id = "{name}"', f'host = "{lan.host(name)}"']
    (lan.folder / "authagent.toml").write_text("\n".join(lines) + "\n")
    (lan.folder / "secret").touch(mode=0o600)
    (lan.folder / "secret").write_text(secrets.token_urlsafe(32) + "\n")
    (lan.folder / "users.txt").write_text("".join(f"{name}:{word}\n" for name, word in PASSWORDS.items()))
    addresses = {name: lan.host(name) for name in ("proxy1", "proxy2")}
    (lan.folder / "haproxy.cfg").write_text(_SWITCH.format(**addresses))


async def test_a_cable_that_is_pulled_out_asks_nobody_to_log_in_again(lan: Lan) -> None:
    """A proxy's cable, then the master's too: who is known goes on; back in, both know what they missed."""
    for node in ("proxy1", "proxy2", "switch"):
        await lan.becomes(node, "407")
    assert await lan.ask("switch", "alice") == ["200"]
    for node in ("proxy1", "proxy2"):
        await lan.becomes(node, "200")

    plug_proxy = await lan.spaces.unplug("proxy1")
    assert set(await lan.ask("switch", count=30)) == {"200"}
    plug_agent = await lan.spaces.unplug("agent1")
    assert set(await lan.ask("switch", count=30)) == {"200"}

    assert (await lan.ask("switch", url=f"{OWN_PAGE}logout"))[0].startswith("200 logged out 1")
    assert (await lan.ask("switch"))[0].startswith("407")
    assert await lan.ask("switch", "bob") == ["200"]

    await plug_agent()
    await plug_proxy()
    await lan.becomes("proxy1", "200 bob", OWN_PAGE)
    assert set(await lan.ask("switch", count=10)) == {"200"}
