"""The login page of real processes: two agents, two proxies; the password goes nowhere, and a directory may be away."""

import json
import shutil
import signal
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from http.cookiejar import CookieJar
from pathlib import Path

import attrs
import bcrypt
import pytest

from authagent.demo.cast import environment
from tests.authagent.running import write_secret
from tests.ports import free_ports
from tests.proxyagent.login.slapd import PEOPLE, READER, READER_PASSWORD, running_slapd
from tests.proxyagent.processes import PATIENCE_S, until
from tests.system.fronts import put
from tests.system.recording import finds, recording

pytestmark = [pytest.mark.system, pytest.mark.slow]

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples" / "login_page"

HEALTHY_S = 40
UNREACHABLE = 3

PASSWORD = "Zebra&Quokka=77 Straße"
WRONG = "Okapi?Numbat=88 Gasse"
MISPLACED = "Tapir+Wombat=99 Allee"
"""What somebody wrote into the field for the user."""

CONFIGURATION = """\
site = "lan1"
state_dir = "{folder}/state"
[tls]
mode = "off"
[control]
folder = "{folder}"
[logging]
level = 2
[client]
key = "cookie"
cookie = "sid"
"""


@attrs.define
class Farm:
    """Processes that share one configuration."""

    folder: Path
    processes: list["subprocess.Popen[bytes]"] = attrs.field(factory=list)

    @property
    def surroundings(self) -> dict[str, str]:
        """State and sockets below this folder, also where the file does not say so."""
        own = {"AUTHAGENT_STATE_DIR": str(self.folder / "state"), "RUNTIME_DIRECTORY": str(self.folder)}
        return {**environment(), **own}

    @property
    def config(self) -> str:
        return str(self.folder / "authagent.toml")

    def start(self, name: str, *words: str) -> None:
        with (self.folder / f"{name}.log").open("wb") as log:
            command = [sys.executable, "-m", *words, "--config", self.config]
            self.processes.append(subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log, env=self.surroundings))

    def ask(self, *words: str) -> tuple[int, str]:
        """What a verb of the command line says, and how it ends."""
        command = [sys.executable, "-m", *words, "--config", self.config]
        captured = {"capture_output": True, "text": True, "timeout": PATIENCE_S + HEALTHY_S, "env": self.surroundings}
        done = subprocess.run(command, cwd=ROOT, check=False, **captured)
        return done.returncode, done.stdout + done.stderr

    def logs(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text()

    def wait_for_page(self) -> None:
        """Until the page of p1 is served; shows the log where that does not come about."""
        process = self.processes[-1]
        until(lambda: "http.listening" in self.logs("p1") or "adapter.failed" in self.logs("p1") or process.poll())
        assert "http.listening" in self.logs("p1"), self.logs("p1")

    def end(self) -> None:
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            process.wait(PATIENCE_S)


@pytest.fixture
def farm(tmp_path: Path) -> Iterator[Farm]:
    """Nothing runs yet; everything is ended."""
    write_secret(tmp_path)
    made = Farm(tmp_path)
    try:
        yield made
    finally:
        made.end()


class Browser:
    """A browser with a jar, before one page."""

    def __init__(self, port: int) -> None:
        self.jar = CookieJar()
        self._page = f"http://127.0.0.1:{port}"
        handlers = (urllib.request.ProxyHandler({}), urllib.request.HTTPCookieProcessor(self.jar))
        self._opener = urllib.request.build_opener(*handlers)

    def ask(self, path: str, form: dict[str, str] | None = None) -> tuple[int, str]:
        data = None if form is None else urllib.parse.urlencode(form).encode()
        request = urllib.request.Request(self._page + path, data, {"Origin": self._page})
        try:
            with self._opener.open(request, timeout=PATIENCE_S) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def log_in(self, user: str, password: str) -> tuple[int, str]:
        """What comes of it, after redirects."""
        _, page = self.ask("/login")
        token = page.partition('name="token" value="')[2].partition('"')[0]
        return self.ask("/login", {"token": token, "user": user, "password": password})


def test_the_password_goes_nowhere_but_to_the_page(farm: Farm) -> None:
    """Not over any link, into any log or file, nor into any answer: right, wrong, or in the wrong field.

    That the search finds passwords is shown by the browser's own connection, where they are.
    """
    *agent_ports, page_port = free_ports(3)
    with recording(*agent_ports, page_port) as (*links, door):
        users = farm.folder / "users"
        users.write_text(f"alice:{bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()}\n")
        entries = "".join(
            f'[[authagent]]\nid = {number}\nhost = "127.0.0.1"\nport = {link.port}\n'
            for number, link in enumerate(links, 1)
        )
        login = f'[login]\nlisten = "127.0.0.1:{page_port}"\nbackend = "htpasswd:users"\n'
        proxies = '[[proxyagent]]\nid = "p*"\n'
        whole = CONFIGURATION.format(folder=farm.folder) + login + entries + proxies
        (farm.folder / "authagent.toml").write_text(whole)
        for number, port in enumerate(agent_ports, 1):
            farm.start(f"agent{number}", "authagent", str(number), "--listen", f"127.0.0.1:{port}")
        farm.start("p1", "proxyagent", "run", "--id", "p1")
        farm.wait_for_page()
        farm.start("p2", "proxyagent", "run", "--id", "p2")  # its page finds the port taken, and it serves on
        until(lambda: farm.ask("authagent", "status", "--id", "1")[0] != UNREACHABLE)
        code, said = farm.ask("authagent", "status", "--id", "1", "--wait", str(HEALTHY_S))
        assert code == 0, said
        alice = Browser(door.port)
        for user, password, status in ((MISPLACED, WRONG, 403), ("alice", WRONG, 403), ("alice", PASSWORD, 200)):
            assert alice.log_in(user, password)[0] == status
        (cookie,) = [each.value for each in alice.jar if each.name == "sid"]
        assert cookie is not None
        found = json.loads(farm.ask("proxyagent", "sessions", "--id", "p1", "--json")[1])
        (key,) = [each["key"] for each in found]
        until(lambda: farm.ask("proxyagent", "lookup", key, "--id", "p2")[0] == 0)
        verbs = ("proxyagent status", "proxyagent sessions", "authagent status", "authagent sessions",
                 "authagent explain alice", "authagent logout --user alice")  # fmt: skip
        ids = {"proxyagent": "p1", "authagent": "1"}
        answers = [farm.ask(*verb.split(), "--json", "--id", ids[verb.split()[0]])[1] for verb in verbs]
        farm.end()
    files = {path: path.read_bytes() for path in farm.folder.rglob("*") if path.is_file()}
    places = {"links": bytes(links[0].seen + links[1].seen), "answers": "\n".join(answers).encode()}
    assert all(b"alice" in content for content in places.values()), "the record is not empty"
    places |= {str(path): content for path, content in files.items()}
    assert any(b"SQLite format" in content for content in files.values()), "the store is among the files"
    for secret in (PASSWORD, WRONG, MISPLACED, cookie):
        assert finds(secret, bytes(door.seen)), "the search would not find it"
        assert not [place for place, content in places.items() if finds(secret, content)]


def test_a_directory_that_is_away_keeps_nobody_out(farm: Farm, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Slow or gone: the page says so in time, nobody is let in, whoever is logged in stays so; back, it counts."""
    folder, (port,) = tmp_path_factory.mktemp("slapd"), free_ports(1)
    with running_slapd(folder) as slapd:
        (farm.folder / "reader").touch(0o600)
        (farm.folder / "reader").write_text(f"{READER_PASSWORD}\n")
        people, groups = (f"ou={each},dc=example,dc=org" for each in ("people", "groups"))
        (farm.folder / "authagent.toml").write_text(
            CONFIGURATION.format(folder=farm.folder)
            + f'[login]\nlisten = "127.0.0.1:{port}"\nbackend = "ldap"\n[ldap]\nurls = ["{slapd.url}"]\n'
            f'base = "{people}"\ngroup_base = "{groups}"\nbind_dn = "{READER}"\npassword_file = "reader"\n'
            f'timeout = "1s"\n[[authagent]]\nid = 1\nhost = "127.0.0.1"\nport = {free_ports(1)[0]}\n'
            '[[proxyagent]]\nid = "p*"\n'
        )
        farm.start("p1", "proxyagent", "run", "--id", "p1")
        farm.wait_for_page()
        alice, bob = Browser(port), Browser(port)
        until(lambda: alice.log_in("alice", PEOPLE["Alice"])[0] == 200)  # in time, also on a machine that stalls
        (session,) = json.loads(farm.ask("proxyagent", "sessions", "--id", "p1", "--json")[1])
        assert (session["user"], session["attributes"]) == ("Alice", {"groups": ["staff", "web (all)"]})

        def nobody_comes_in() -> None:
            status, page = bob.log_in("bob", PEOPLE["bob"])
            assert status == 503 and "cannot be checked at the moment" in page
            assert "You are signed in as Alice." in alice.ask("/")[1]

        assert slapd.process is not None
        slapd.process.send_signal(signal.SIGSTOP)
        nobody_comes_in()
        slapd.end()
        nobody_comes_in()
        slapd.start()
        until(lambda: bob.log_in("bob", PEOPLE["bob"])[0] == 200)
        assert "login.unavailable" in farm.logs("p1")
        assert not any(finds(each, farm.logs("p1").encode()) for each in (*PEOPLE.values(), READER_PASSWORD))


def test_the_example_works_as_it_stands(farm: Farm) -> None:
    """On other ports; its page has the words of the example, and lets its user in."""
    page_port, agent_port = free_ports(2)
    for name in ("users", "texts.toml"):
        shutil.copy(EXAMPLE / name, farm.folder)
    places = {"127.0.0.1:8080": f"127.0.0.1:{page_port}", "port = 9023": f"port = {agent_port}"}
    (farm.folder / "authagent.toml").write_text(put((EXAMPLE / "authagent.toml").read_text(), places))
    farm.start("agent1", "authagent")
    farm.start("p1", "proxyagent", "run")
    farm.wait_for_page()
    alice = Browser(page_port)
    assert "<h1>Example Inc.</h1>" in alice.ask("/")[1]
    assert alice.log_in("alice", "wonderland")[0] == 200
    code, said = farm.ask("proxyagent", "lookup", "127.0.0.1")
    assert code == 0 and "alice" in said
