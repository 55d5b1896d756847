"""A real site, whose agents show their pages, and a real browser in front of these and others.

Rules of this file:

- One site and one browser for all tests of the folder, since both take seconds to start; each test has windows of its
  own. The site runs in a thread with a loop of its own: Playwright's calls wait where they stand.
- Whatever a page asks for elsewhere, and whatever its console complains about, fails the test that opened it.
- Each window leaves a screenshot in build/screenshots.
"""

import os
import shutil
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import attrs
import pytest
import trio
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, sync_playwright

from authagent import admin_password
from tests.ports import free_ports
from tests.system.harness import ROOT, Agent, Site, open_site, until

PASSWORD = "correct horse battery"
SCREENSHOTS = ROOT / "build" / "screenshots"

PATIENCE_MS = 20_000
"""For anything to appear: CI machines stall."""

START_S = 60.0

FLAGS = (
    "--headless", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--no-sandbox",
)  # fmt: skip
"""Root may not have a sandbox; nothing but our own pages is opened."""

Result = TypeVar("Result")


@attrs.define
class Shown:
    """The site and the addresses of its pages, by the number of the agent."""

    site: Site
    pages: dict[int, str]
    token: trio.lowlevel.TrioToken

    def run(self, function: Callable[..., Awaitable[Result]], *arguments: Any) -> Result:
        """Call an async function of the site in its own loop, and wait for it."""
        return trio.from_thread.run(function, *arguments, trio_token=self.token)


@attrs.define
class Watched:
    """Opens windows of the browser; keeps what their pages did wrong."""

    browser: Browser
    name: str
    wrong: list[str] = attrs.field(factory=list)
    count: int = 0

    @contextmanager
    def at(self, address: str, *, expect: str = "", leads_to: str = "", **context: Any) -> Iterator[Page]:
        """A window at an address. A complaint of the console that has `expect` in it is expected.

        It may ask for nothing elsewhere, but for what begins with `leads_to`.
        """
        allowed = (address, leads_to) if leads_to else (address,)
        with self.browser.new_context(**{"viewport": {"width": 1180, "height": 980}, **context}) as made:
            made.set_default_timeout(PATIENCE_MS)
            page = made.new_page()
            page.on("console", lambda message: self._heard(message, expect))
            page.on("pageerror", lambda error: self.wrong.append(f"error: {error}"))
            page.on("request", lambda request: self._asked(request, allowed))
            page.goto(address)
            try:
                yield page
            finally:
                self.count += 1
                (SCREENSHOTS / f"{self.name}-{self.count}.png").write_bytes(page.screenshot())

    def _heard(self, message: ConsoleMessage, expect: str) -> None:
        if message.type in ("error", "warning") and not (expect and expect in message.text):
            self.wrong.append(f"{message.type}: {message.text}")

    def _asked(self, request: Request, allowed: tuple[str, ...]) -> None:
        if not request.url.startswith(allowed):
            self.wrong.append(f"asked {request.url}")


@attrs.define
class Windows(Watched):
    """Windows at the status pages of the site."""

    shown: Shown = attrs.field(kw_only=True)

    @contextmanager
    def open(self, agent: int = 1, *, sign_in: bool = True, expect: str = "", **context: Any) -> Iterator[Page]:
        """A window at the page of an agent."""
        with self.at(self.shown.pages[agent], expect=expect, **context) as page:
            if sign_in:
                page.fill("#password", PASSWORD)
                page.keyboard.press("Enter")
                page.wait_for_selector("#sentence")
            yield page


async def answers(address: str, agent: Agent) -> object:
    """Whether somebody listens there; else the end of the agent's log."""
    try:
        stream = await trio.open_tcp_stream("127.0.0.1", int(address.rsplit(":", 1)[1].strip("/")))
    except OSError:
        return agent.log_end()
    await stream.aclose()
    return True


@pytest.fixture(scope="package")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shown]:
    """Two agents with pages and a password, and two proxies; all is equal. The last test kills the master."""
    folder, made, ready, over = tmp_path_factory.mktemp("site"), list[Shown](), threading.Event(), trio.Event()
    failed: list[BaseException] = []

    async def keep() -> None:
        async with open_site(folder, proxies=2, relayed=True) as site:  # on loopback, where the browser is
            await trio.to_thread.run_sync(admin_password.write, str(folder / "admin"), PASSWORD)
            pages = {}
            for (number, agent), port in zip(site.agents.items(), free_ports(2), strict=True):
                agent.command += ["--http", f"127.0.0.1:{port}"]
                pages[number] = f"http://127.0.0.1:{port}/"
            await site.start(within_s=START_S)
            for number, address in pages.items():
                await until(partial(answers, address, site.agents[number]), START_S, f"agent {number} shows its page")
            made.append(Shown(site, pages, trio.lowlevel.current_trio_token()))
            ready.set()
            await over.wait()

    def run() -> None:
        try:
            trio.run(keep)
        except BaseException as error:  # it is raised where the tests wait
            failed.append(error)
        finally:
            ready.set()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    ready.wait()
    if failed:
        raise failed[0]
    yield made[0]
    made[0].token.run_sync_soon(over.set)
    thread.join()
    if failed:
        raise failed[0]


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """Debian's chromium, without a window."""
    program = shutil.which("chromium")
    if program is None:
        assert os.environ.get("CI") != "true", "chromium is not installed"
        pytest.skip("chromium is not installed: apt-get install chromium")
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=program, args=list(FLAGS))
        yield started
        started.close()


@pytest.fixture
def windows(browser: Browser, shown: Shown, request: pytest.FixtureRequest) -> Iterator[Windows]:
    """Opens windows; the test fails when a page of them asked for anything elsewhere, or its console complained."""
    opened = Windows(browser, Path(request.node.name).name.removeprefix("test_"), shown=shown)
    yield opened
    assert not opened.wrong


@pytest.fixture
def watched(browser: Browser, request: pytest.FixtureRequest) -> Iterator[Watched]:
    """As `windows`, without the site."""
    opened = Watched(browser, Path(request.node.name).name.removeprefix("test_"))
    yield opened
    assert not opened.wrong


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say where the screenshots are."""
    if SCREENSHOTS.is_dir():
        terminalreporter.write_line(f"screenshots of the pages: {SCREENSHOTS}")
