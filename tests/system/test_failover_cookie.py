"""Browsers with a cookie jar at the example of forward authentication: every agent is stopped, a proxy starts empty.

All real: two agents, the example as a process, HTTP over loopback, the jar of the standard library.
"""

import copy
import http.cookiejar
import json
import re
import shutil
import socket
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from authagent.demo.cast import environment
from protocol.io.control_client import ControlError, ask
from proxyagent import cookie_key
from tests.proxyagent.processes import until

pytestmark = [pytest.mark.system, pytest.mark.slow]

ROOT = Path(__file__).resolve().parents[2]
WITHIN_S = 30
PASSWORDS = {"alice": "wonderland", "bob": "builder"}


class Browser:
    """curl with a jar: it keeps cookies, and forgets those that are taken away."""

    def __init__(self, jar: http.cookiejar.CookieJar | None = None) -> None:
        self.jar = http.cookiejar.CookieJar() if jar is None else jar
        handlers = (urllib.request.ProxyHandler({}), urllib.request.HTTPCookieProcessor(self.jar))
        self._opener = urllib.request.build_opener(*handlers)

    @property
    def cookies(self) -> set[str]:
        return {each.name for each in self.jar}

    def stolen(self) -> "Browser":
        """Another browser with a copy of all cookies."""
        jar = http.cookiejar.CookieJar()
        for each in self.jar:
            jar.set_cookie(copy.copy(each))
        return Browser(jar)

    def ask(self, url: str, form: dict[str, str] | None = None) -> tuple[int, str]:
        """The status of the answer, and whom it names."""
        data = None if form is None else urllib.parse.urlencode(form).encode()
        try:
            with self._opener.open(url, data, timeout=WITHIN_S) as answer:
                return answer.status, answer.headers.get("X-User", "")
        except urllib.error.HTTPError as error:
            return error.code, ""

    def log_in(self, url: str, user: str, password: str = "") -> int:
        return self.ask(f"{url}/login", {"user": user, "password": password or PASSWORDS[user]})[0]


class Farm:
    """Two agents and one proxy, none of them started yet, and files with a key for cookies."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.processes: dict[str, subprocess.Popen[str]] = {}

    def start(self, name: str, *command: str) -> "subprocess.Popen[str]":
        with open(self.folder / f"{name}.log", "a") as log:
            process = subprocess.Popen(
                [sys.executable, *command],
                cwd=ROOT, stdout=subprocess.PIPE, stderr=log, text=True, env=environment(),
            )  # fmt: skip
        self.processes[name] = process
        return process

    def start_agent(self, number: int) -> None:
        state = str(self.folder / f"state{number}")
        self.start(f"agent{number}", "-m", "authagent", str(number), "--config", self.config, "--state-dir", state)

    def start_pair(self) -> None:
        """Both agents, until they follow one another."""
        self.start_agent(1)
        self.start_agent(2)
        until(lambda: (self.status().get("partner") or {}).get("digest_equal"))

    def start_proxy(self) -> str:
        """Its URL, once it listens."""
        words = ("--id", "proxy1", "--config", self.config, "--users", str(self.folder / "users"), "--plain")
        process = self.start("proxy", "examples/forward_auth.py", *words, "--listen", "127.0.0.1:0")
        assert process.stdout is not None
        found = re.fullmatch(r"proxy1 listens on (127\.0\.0\.1:\d+)\n", process.stdout.readline())
        assert found, (self.folder / "proxy.log").read_text()
        return f"http://{found[1]}"

    def stop(self, *names: str, kill: bool = False) -> None:
        for name in names:
            process = self.processes.pop(name)
            process.kill() if kill else process.terminate()
            process.communicate(timeout=WITHIN_S)

    def status(self, number: int = 1) -> dict[str, Any]:
        """What an agent says of itself; nothing while it does not answer."""
        try:
            return ask(str(self.folder / f"lan1-agent-{number}.sock"), "status")
        except ControlError:
            return {}

    def sessions(self, number: int = 1) -> dict[str, str]:
        """Login ids by user, as an operator sees them."""
        words = ("sessions", "--json", "--config", self.config, "--id", str(number))
        command = [sys.executable, "-m", "authagent", *words]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=WITHIN_S, check=False)
        return {each["user"]: each["login_id"] for each in json.loads(done.stdout or "[]")}

    @property
    def config(self) -> str:
        return str(self.folder / "authagent.toml")


@pytest.fixture
def farm(tmp_path: Path) -> Iterator[Farm]:
    """Every process is ended by its own handle, whatever happens."""
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as two:
        ports = one.getsockname()[1], two.getsockname()[1]
    entries = "".join(
        f'[[authagent]]\nid = {number}\nhost = "127.0.0.1"\nport = {port}\n' for number, port in enumerate(ports, 1)
    )
    (tmp_path / "authagent.toml").write_text(
        f'site = "lan1"\n[tls]\nmode = "off"\n[cookie]\nkey_files = ["cookie.key"]\n'
        f'[timing]\nconnect_interval = "100ms"\n[control]\nfolder = "{tmp_path}"\n'
        f'{entries}[[proxyagent]]\nid = "proxy*"\n'
    )
    (tmp_path / "secret").write_text("Zq3vX9tLr7Bn2KwYp5HdMs8FgJcT4aUe\n")
    (tmp_path / "secret").chmod(0o600)
    (tmp_path / "users").write_text("".join(f"{name}:{word}\n" for name, word in PASSWORDS.items()))
    cookie_key.make(str(tmp_path / "cookie.key"))
    farm = Farm(tmp_path)
    try:
        yield farm
    finally:
        for name in list(farm.processes):
            farm.stop(name, kill=True)


def test_with_every_agent_stopped_and_a_proxy_empty_users_go_on(farm: Farm) -> None:
    """No second login; who logged out has no cookie; a copy of one is refused as soon as a node that knows answers."""
    farm.start_pair()
    url = farm.start_proxy()
    alice, bob, stranger = Browser(), Browser(), Browser()
    for browser, user in ((alice, "alice"), (bob, "bob")):
        assert browser.log_in(url, user) == 200
        assert browser.ask(f"{url}/auth") == (200, user)
        assert browser.cookies == {"sid", "one-login"}
    until(lambda: farm.sessions().keys() == {"alice", "bob"})
    before = farm.sessions()
    thief = bob.stolen()
    assert bob.ask(f"{url}/logout", {})[0] == 200 and not bob.cookies
    assert thief.ask(f"{url}/auth")[0] == 401
    until(lambda: farm.status().get("tombstones") == 1 and farm.status(2).get("tombstones") == 1)

    farm.stop("agent1", "agent2")
    farm.stop("proxy", kill=True)
    url = farm.start_proxy()
    assert alice.ask(f"{url}/auth") == (200, "alice")
    assert bob.ask(f"{url}/auth")[0] == stranger.ask(f"{url}/auth")[0] == 401
    assert thief.ask(f"{url}/auth") == (200, "bob"), "nobody in reach knows of his logout"

    farm.start_agent(1)
    until(lambda: thief.ask(f"{url}/auth")[0] == 401)
    assert alice.ask(f"{url}/auth") == (200, "alice")
    until(lambda: farm.sessions() == {"alice": before["alice"]})
    assert thief.ask(f"{url}/auth")[0] == 401


def test_agents_that_lost_their_disks_hear_of_the_session_from_its_cookie(farm: Farm) -> None:
    """The browser held the only copy: the same login is reported to an empty agent, and a logout ends it there too."""
    farm.start_pair()
    url = farm.start_proxy()
    check_refusals(url)
    alice = Browser()
    assert alice.log_in(url, "alice") == 200
    until(lambda: farm.sessions().keys() == {"alice"})
    before = farm.sessions()
    farm.stop("agent1", "agent2", "proxy", kill=True)
    for number in (1, 2):
        shutil.rmtree(farm.folder / f"state{number}")
    url = farm.start_proxy()
    thief = alice.stolen()
    assert alice.ask(f"{url}/auth") == (200, "alice")
    farm.start_agent(1)
    until(lambda: farm.sessions() == before)
    assert alice.ask(f"{url}/logout", {})[0] == 200 and not alice.cookies
    assert alice.ask(f"{url}/auth")[0] == thief.ask(f"{url}/auth")[0] == 401
    until(lambda: farm.sessions() == {})
    process = farm.processes["proxy"]
    farm.stop("proxy")
    assert process.returncode == 0


def check_refusals(url: str) -> None:
    """The endpoint refuses other paths, long forms, a wrong password, and rubbish for cookies."""
    browser = Browser()
    assert browser.ask(f"{url}/")[0] == browser.ask(f"{url}/other", {})[0] == 404
    assert browser.ask(f"{url}/login", {"user": "x" * 5_000})[0] == 413
    assert browser.log_in(url, "alice", "wrong") == 401 and not browser.cookies
    request = urllib.request.Request(f"{url}/auth", headers={"Cookie": "sid=junk; one-login=junk; x; =; a=b=c"})
    with pytest.raises(urllib.error.HTTPError, match="401"):
        urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=WITHIN_S)
