"""A browser without a window: keeps cookies, follows nothing, and tells what came."""

import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from urllib.parse import urlencode

import attrs

from authagent import admin_password
from authagent.page.history import History
from authagent.page.routes import Page
from authagent.page.sign_in import Gate
from tests.authagent.running import Running, write_files
from tests.protocol.io.http.asking import Served, exchange, serving, status_of

PASSWORD = "correct horse battery"
PASSWORD_HASH: list[str] = []
"""Made once: hashing is slow on purpose."""


@attrs.frozen
class Came:
    """One answer."""

    status: int
    headers: dict[str, list[str]]
    body: str

    @property
    def token(self) -> str:
        """That of the first form."""
        return re.findall(r'name="token" value="([^"]*)"', self.body)[0]


@attrs.define
class Browser:
    """Asks one server, as `host`."""

    port: int
    host: str = ""
    cookies: dict[str, str] = attrs.field(factory=dict)

    def __attrs_post_init__(self) -> None:
        self.host = self.host or f"127.0.0.1:{self.port}"

    async def get(self, path: str, *headers: str) -> Came:
        return await self._ask("GET", path, list(headers), "")

    async def post(self, path: str, fields: Mapping[str, str], *headers: str, origin: str | None = None) -> Came:
        """Send a form; without `origin` as a page of the same origin would."""
        origin = f"http://{self.host}" if origin is None else origin
        given = [f"Origin: {origin}", "Content-Type: application/x-www-form-urlencoded", *headers]
        return await self._ask("POST", path, given if origin else given[1:], urlencode(fields))

    async def sign_in(self, password: str = PASSWORD) -> Came:
        asked = await self.get("/sign-in")
        return await self.post("/sign-in", {"token": asked.token, "password": password})

    async def _ask(self, method: str, path: str, headers: list[str], body: str) -> Came:
        if self.cookies:
            headers.append("Cookie: " + "; ".join(f"{name}={value}" for name, value in self.cookies.items()))
        lines = [f"{method} {path} HTTP/1.1", f"Host: {self.host}", "Connection: close", f"Content-Length: {len(body)}"]
        answer = await exchange(self.port, "\r\n".join([*lines, *headers, "", body]).encode())
        head, _, content = answer.partition(b"\r\n\r\n")
        came = Came(status_of(answer), _headers(head.decode()), content.decode())
        for cookie in came.headers.get("set-cookie", ()):
            name, _, value = cookie.partition(";")[0].partition("=")
            self.cookies[name] = value.strip('"')
        return came


def _headers(head: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in head.split("\r\n")[1:]:
        name, _, value = line.partition(": ")
        found.setdefault(name.lower(), []).append(value)
    return found


def write_page_files(folder: Path, *, password: bool, agents: int = 1, proxies: tuple[str, ...] = ("p*",)) -> Path:
    """A configuration whose agents show the page on loopback."""
    if password:
        if not PASSWORD_HASH:
            admin_password.write(str(folder / "admin"), PASSWORD)
            PASSWORD_HASH.append((folder / "admin").read_text())
        (folder / "admin").touch(mode=0o600)
        (folder / "admin").write_text(PASSWORD_HASH[0])
    return write_files(folder, agents=agents, proxies=proxies, more='[http]\nlisten = "127.0.0.1:9080"\n')


def make_page(running: Running) -> Page:
    """The page of an agent, with tokens that can be foretold."""
    numbers = count(1)
    gate = Gate(lambda: running.server.setup, lambda: f"token-{next(numbers)}", running.server.log)
    return Page(running.server, running.handler, History(), gate)


@asynccontextmanager
async def showing(running: Running, page: Page | None = None) -> AsyncIterator[tuple[Browser, Served]]:
    """A browser before the page of an agent."""
    page = page or make_page(running)
    async with serving(*page.routes()) as served:
        yield Browser(served.port), served
