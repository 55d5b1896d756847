"""A browser without a window: keeps cookies, follows nothing, and tells what came."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path

from authagent import admin_password
from authagent.page.history import History
from authagent.page.routes import Page
from authagent.page.sign_in import Gate
from tests.authagent.running import Running, write_files
from tests.protocol.io.http import browser
from tests.protocol.io.http.asking import Served, serving
from tests.protocol.io.http.browser import Came

PASSWORD = "correct horse battery"
PASSWORD_HASH: list[str] = []
"""Made once: hashing is slow on purpose."""


class Browser(browser.Browser):
    """One that signs in at the page."""

    async def sign_in(self, password: str = PASSWORD) -> Came:
        asked = await self.get("/sign-in")
        return await self.post("/sign-in", {"token": asked.token, "password": password})


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
