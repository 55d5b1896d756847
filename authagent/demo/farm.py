"""The squid farm of `authagent demo --squid`: directory, agents, Squids with ProxyAgents, switch and login page.

Rules of this file:

- Every process is real and is ended by its own handle, however the play ends.
- What is missing on this machine is told in one line before anything starts.
"""

import contextlib
import functools
import html
import http.client
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from urllib.parse import quote, urlencode

import attrs
import trio

from authagent.demo.cast import Program, until
from authagent.demo.client import Answer, User
from authagent.demo.farm_files import SQUIDS, Files, Ports, address, examples
from authagent.demo.narrate import StepFailed
from authagent.demo.page import serve_page

FOLDERS = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/usr/local/sbin"
"""Debian keeps these programs where ordinary users do not look."""

START_S = 30.0
_TIMEOUT_S = 15.0

AS_PROXY = ["setpriv", "--reuid=proxy", "--regid=proxy", "--init-groups"]
AS_PROXY += ["--inh-caps=+dac_override", "--ambient-caps=+dac_override"]
"""For root: Squid wants to be nobody in particular, and must read the demo's folder all the same."""


LIBRARIES = ("starlette", "hypercorn", "argon2", "bcrypt", "sansldap")
"""What the login page needs of the extras `http` and `ldap`."""


def missing() -> list[str]:
    """The commands that install what the farm needs and this machine lacks."""
    needed = {"squid": "squid", "slapd": "slapd", "slapadd": "slapd", "haproxy": "haproxy"}
    lacking = {package for program, package in needed.items() if shutil.which(program, path=FOLDERS) is None}
    if not Path("/usr/lib/squid/basic_ldap_auth").exists():
        lacking.add("squid")
    commands = [f"apt-get install {' '.join(sorted(lacking))}"] if lacking else []
    if any(importlib.util.find_spec(library) is None for library in LIBRARIES):
        commands.append('pip install "one-login[http,ldap]"')
    return commands


def _where(program: str) -> str:
    return shutil.which(program, path=FOLDERS) or program


@attrs.define
class Machine:
    """A Squid and the ProxyAgent beside it."""

    number: int
    squid: Program
    daemon: Program

    def start(self) -> None:
        """Both, as after a boot."""
        self.daemon.start()
        self.squid.start()

    def kill(self) -> None:
        """kill -9 both: the machine lost its power."""
        self.squid.kill()
        self.daemon.kill()


@attrs.define
class Farm:
    """Everything that the acts of the story touch."""

    files: Files
    agents: list[Program]
    machines: dict[int, Machine]
    front: list[Program]
    """Directory, HAProxy and the ProxyAgent with the login page."""
    users: dict[str, User]
    web: str

    async def ask(self, name: str, squid: int | None = None) -> Answer:
        """One request of a user: through the switch, or through one Squid."""
        if squid is None:
            return await self.users[name].ask(self.files.ports.switch, self.web)
        return await trio.to_thread.run_sync(self._ask_squid, self.users[name], squid)

    def _ask_squid(self, user: User, squid: int) -> Answer:
        return self._get(user, address(squid), self.files.ports.squid, "GET", self.web)

    async def connect(self, name: str) -> Answer:
        """As a browser does that wants https: CONNECT, through the switch."""
        there, ports = self.web.split("/")[2], self.files.ports
        return await trio.to_thread.run_sync(self._get, self.users[name], "127.0.0.1", ports.switch, "CONNECT", there)

    def _get(self, user: User, host: str, port: int, method: str, url: str) -> Answer:
        connection = http.client.HTTPConnection(host, port, timeout=_TIMEOUT_S, source_address=(user.address, 0))
        try:
            connection.request(method, url, headers={"Connection": "close"})
            response = connection.getresponse()
            return Answer(response.status, response.read().decode("latin-1"), 0.0)
        except (OSError, http.client.HTTPException) as error:
            return Answer(0, f"{type(error).__name__}: {error}", 0.0)
        finally:
            connection.close()

    async def everywhere(self, name: str, squids: Iterable[int], *, let_through: bool, within_s: float) -> float:
        """Wait until each of these Squids lets the user through, or asks for the login; returns the seconds."""

        async def right() -> object:
            for squid in squids:
                answer = await self.ask(name, squid)
                if not (answer.let_through if let_through else answer.asked):
                    return f"squid {squid}: {answer.status} {answer.text[:60]!r}"
            return True

        what = "let through" if let_through else "asked to log in"
        return await until(right, within_s, f"{name} {what} at every Squid")

    async def page_listens(self) -> object:
        """Whether the login page is there."""
        try:
            stream = await trio.open_tcp_stream("127.0.0.1", self.files.ports.page)
        except OSError as error:
            return f"the login page: {error}"
        await stream.aclose()
        return True

    async def sign_in(self, name: str, password: str) -> int:
        """Fill in the login page, as a browser does; returns the status of the answer."""
        filled = {"user": name, "password": password}
        return await trio.to_thread.run_sync(self._submit, self.users[name], "/login", filled)

    async def sign_out(self, name: str) -> int:
        """Log out at the login page."""
        return await trio.to_thread.run_sync(self._submit, self.users[name], "/logout", {})

    def _submit(self, user: User, path: str, filled: dict[str, str]) -> int:
        """Get a form, and post it with all that is hidden in it."""
        connection = http.client.HTTPConnection(
            "127.0.0.1", self.files.ports.page, timeout=_TIMEOUT_S, source_address=(user.address, 0)
        )
        try:
            connection.request("GET", f"{path}?url={quote(self.web, safe='')}")
            page = connection.getresponse()
            cookie = (page.getheader("Set-Cookie") or "").partition(";")[0]
            hidden = re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', page.read().decode())
            if not hidden:
                raise StepFailed("the login page has a form", f"status {page.status}")
            origin = f"http://127.0.0.1:{self.files.ports.page}"
            headers = {"Content-Type": "application/x-www-form-urlencoded", "Cookie": cookie, "Origin": origin}
            form = {name: html.unescape(value) for name, value in hidden} | filled
            connection.request("POST", path, urlencode(form), headers)
            return connection.getresponse().status
        except (OSError, http.client.HTTPException) as error:
            raise StepFailed("the login page answers", f"{type(error).__name__}: {error}") from None
        finally:
            connection.close()

    def squid_log(self, squid: int) -> str:
        """What Squid says of itself."""
        path = self.files.folder / f"squid{squid}" / "cache.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def end(self) -> None:
        """End whatever runs, and remove what Squid leaves when it is killed."""
        for program in self.programs():
            program.kill()
        for squid in SQUIDS:
            for left in Path("/dev/shm").glob(f"{_name(squid)}-*.shm"):
                left.unlink()

    def programs(self) -> list[Program]:
        """All of them."""
        beside = [program for each in self.machines.values() for program in (each.squid, each.daemon)]
        return [*self.front, *beside, *self.agents]


def make_farm(folder: Path) -> Farm:
    """Write the files and fill the directory; nothing is started. Blocks for a moment."""
    folder.chmod(0o755)  # Squid reads its files as another user
    files = Files(folder, Ports())
    files.write()
    slapd = ["-f", str(folder / "slapd.conf")]
    fill = [_where("slapadd"), *slapd, "-l", str(examples() / "people.ldif")]
    subprocess.run(fill, check=True, capture_output=True)
    directory = [_where("slapd"), "-d", "0", *slapd, "-h", f"ldap://127.0.0.1:{files.ports.directory}"]
    front = [
        Program("the directory", directory, folder / "slapd.log"),
        Program("HAProxy", [_where("haproxy"), "-db", "-f", str(folder / "haproxy.cfg")], folder / "haproxy.log"),
        _daemon(files, "switch", "switch"),
    ]
    users = {name: User(name, f"127.0.2.{n}", word) for n, (name, word) in enumerate(_people().items(), start=1)}
    machines = {number: _machine(files, number) for number in SQUIDS}
    return Farm(files, [_agent(files, number) for number in (1, 2)], machines, front, users, "")


@contextlib.asynccontextmanager
async def open_farm(folder: Path) -> AsyncIterator[Farm]:
    """A farm that is not started; the acts do that. Everything is ended on leaving."""
    farm = await trio.to_thread.run_sync(make_farm, folder)
    try:
        async with trio.open_nursery() as nursery:
            listeners = await nursery.start(functools.partial(trio.serve_tcp, serve_page, 0, host="127.0.0.1"))
            farm.web = f"http://127.0.0.1:{listeners[0].socket.getsockname()[1]}/"
            yield farm
            nursery.cancel_scope.cancel()
    finally:
        farm.end()


def _people() -> dict[str, str]:
    """Names and passwords of the directory."""
    text = (examples() / "people.ldif").read_text()
    return dict(re.findall(r"^uid: (\w+)$.*?^userPassword: (\w+)$", text, flags=re.DOTALL | re.MULTILINE))


def _name(squid: int) -> str:
    """What Squid calls its shared memory: several on a machine need a name each."""
    return f"demo{os.getpid()}n{squid}"


def _agent(files: Files, number: int) -> Program:
    command = [sys.executable, "-m", "authagent", str(number), "--config", str(files.config("squid1"))]
    state = ["--state-dir", str(files.folder / f"agent{number}")]
    return Program(f"agent {number}", [*command, *state], files.folder / f"agent{number}.log")


def _machine(files: Files, number: int) -> Machine:
    folder = files.folder / f"squid{number}"
    prefix = AS_PROXY if os.geteuid() == 0 else []
    if prefix:
        shutil.chown(folder, "proxy", "proxy")
    command = [*prefix, _where("squid"), "-N", "-n", _name(number), "-f", str(folder / "squid.conf")]
    squid = Program(f"squid {number}", command, folder / "squid.log")
    return Machine(number, squid, _daemon(files, f"squid{number}", f"squid-{number}"))


def _daemon(files: Files, machine: str, proxy_id: str) -> Program:
    command = [sys.executable, "-m", "proxyagent", "run", "--config", str(files.config(machine)), "--id", proxy_id]
    return Program(f"proxyagent {proxy_id}", command, files.folder / f"proxyagent-{proxy_id}.log")
