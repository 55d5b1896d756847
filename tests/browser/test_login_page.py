"""The login page in a real browser, before a real `proxyagent run`."""

import json
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote

import bcrypt
import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import PATIENCE_MS, SCREENSHOTS, Watched
from tests.ports import free_port
from tests.proxyagent.processes import until

pytestmark = [pytest.mark.system, pytest.mark.slow]

PASSWORD = "wonder&land in Straßburg"
PHONE = {"viewport": {"width": 360, "height": 740}, "is_mobile": True, "has_touch": True}
FOUR = "status of 4"

expect.set_options(timeout=PATIENCE_MS)


class Farm:
    """One `proxyagent run` whose agents nobody runs: it serves alone."""

    def __init__(self, folder: Path, login: str, client: str) -> None:
        self.port = free_port()
        hashed = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(5)).decode()
        (folder / "users").write_text(f"alice:{hashed}\n")
        (folder / "secret").touch(0o600)
        (folder / "secret").write_text("Zq3vX9tLr7Bn2KwYp5HdMs8FgJcT4aUe\n")
        self.config = folder / "authagent.toml"
        self.config.write_text(
            f'site = "lan1"\nstate_dir = "{folder}"\n[control]\nfolder = "{folder}"\n'
            f'[login]\nbackend = "htpasswd:users"\n{login.format(port=self.port)}[client]\n{client}'
            f'[[authagent]]\nid = 1\nhost = "127.0.0.1"\nport = {free_port()}\n[[proxyagent]]\nid = "p*"\n'
        )
        self._command = [sys.executable, "-m", "proxyagent"]
        self._log = folder / "log"

    def sessions(self) -> list[dict[str, str]]:
        """Who is logged in there."""
        found: list[dict[str, str]] = json.loads(self.ask("sessions", "--json"))
        return found

    def ask(self, *words: str) -> str:
        """What a verb of the command line says."""
        command = [*self._command, *words, "--config", str(self.config)]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=PATIENCE_MS / 1000)
        return done.stdout

    def run(self) -> Iterator["Farm"]:
        """Run it until the test is over."""
        with self._log.open("wb") as log:
            process = subprocess.Popen([*self._command, "run", "--id", "p1", "--config", str(self.config)], stderr=log)
        try:
            until(lambda: "http.listening" in self._log.read_text() or process.poll() is not None)
            assert process.poll() is None, self._log.read_text()
            yield self
        finally:
            process.terminate()
            process.wait()


@pytest.fixture(scope="module")
def portal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Farm]:
    """As a captive portal has it: plain HTTP, everybody by their address; sends on to localhost."""
    login = 'listen = "127.0.0.1:{port}"\nreturn_hosts = ["localhost"]\n'
    yield from Farm(tmp_path_factory.mktemp("portal"), login, 'key = "address"\n').run()


@pytest.fixture
def by_address(portal: Farm) -> Farm:
    """The portal, with nobody logged in."""
    portal.ask("logout", "--user", "alice")
    return portal


@pytest.fixture
def by_cookie(tmp_path: Path) -> Iterator[Farm]:
    """As a reverse proxy has it: HTTPS, everybody by their cookie. The certificate is self-made."""
    yield from Farm(tmp_path, 'listen = "0.0.0.0:{port}"\n', 'key = "cookie"\n').run()


def sign_in(page: Page, password: str = PASSWORD) -> None:
    """By keyboard, as people do: the name has the focus."""
    expect(page.locator("#user")).to_be_focused()
    page.keyboard.type("alice")
    page.fill("#password", password)
    page.keyboard.press("Enter")


@pytest.mark.parametrize("scripts", [True, False])
def test_signing_in_and_out(scripts: bool, by_address: Farm, watched: Watched) -> None:
    """With JavaScript and without; a wrong password is told, the name stays, and the right one is enough then."""
    with watched.at(f"http://127.0.0.1:{by_address.port}/", expect=FOUR, java_script_enabled=scripts) as page:
        sign_in(page, "not this one")
        expect(page.get_by_role("alert")).to_have_text("User name or password is not right.")
        expect(page.locator("#user")).to_have_value("alice")
        expect(page.locator("#password")).to_be_focused()
        page.fill("#password", PASSWORD)
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("You are signed in as alice.")
        assert [each["key"] for each in by_address.sessions()] == ["127.0.0.1"]
        page.get_by_role("button", name="Sign out").click()
        expect(page.get_by_role("status")).to_have_text("You are signed out.")
        assert by_address.sessions() == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_is_usable_on_a_phone(scheme: str, by_address: Farm, watched: Watched) -> None:
    """In light and dark, in German; nothing is wider than the screen, and buttons are as large as thumbs."""
    phone = {**PHONE, "color_scheme": scheme, "locale": "de-DE"}
    with watched.at(f"http://127.0.0.1:{by_address.port}/", **phone) as page:
        colour = page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
        assert (sum(map(int, re.findall(r"\d+", colour))) < 200) == (scheme == "dark")
        assert not page.evaluate("document.documentElement.scrollWidth > window.innerWidth")
        (SCREENSHOTS / f"{watched.name}-form.png").write_bytes(page.screenshot())
        page.fill("#user", "alice")
        page.fill("#password", PASSWORD)
        page.get_by_role("button", name="Anmelden").tap()
        expect(page.get_by_role("heading", level=1)).to_have_text("Sie sind angemeldet als alice.")
        for button in page.get_by_role("button").all():
            box = button.bounding_box()
            assert box is not None and box["height"] >= 44
        assert not page.evaluate("document.documentElement.scrollWidth > window.innerWidth")


def test_places_are_ended(by_cookie: Farm, watched: Watched) -> None:
    """Two browsers, each with a cookie of its own that scripts cannot read; one ends the other, then all."""
    address = f"https://127.0.0.1:{by_cookie.port}/"
    with watched.at(address, ignore_https_errors=True) as first:
        sign_in(first)
        expect(first.locator(".places li")).to_have_count(1)
        with watched.at(address, ignore_https_errors=True) as second:
            sign_in(second)
            expect(second.locator(".places li")).to_have_count(2)
            cookies = {each["name"]: each for each in second.context.cookies()}
            assert len(cookies["__Host-login"]["value"]) == 43
            assert cookies["__Host-login"]["secure"] and cookies["__Host-login"]["httpOnly"]
            assert "login" not in second.evaluate("document.cookie")
            expect(second.locator(".places li").first).to_contain_text("This one here")
            second.locator(".places li").last.get_by_role("button").click()
            expect(second.locator(".places li")).to_have_count(1)
            first.reload()
            expect(first.locator("#user")).to_be_visible()
            sign_in(first)
            expect(first.locator(".places li")).to_have_count(2)
            first.get_by_role("button", name="End all").click()
            expect(first.get_by_role("status")).to_have_text("You are signed out.")
            second.reload()
            expect(second.locator("#user")).to_be_visible()
    assert by_cookie.sessions() == []


class Wanted(BaseHTTPRequestHandler):
    """What the browser wanted before it was sent to log in."""

    def do_GET(self) -> None:
        text = f"<title>here</title>you asked for {self.path}".encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, format: str, *arguments: object) -> None:
        """Nobody reads it."""


@pytest.mark.parametrize("scripts", [True, False])
def test_the_browser_goes_on_to_what_it_wanted(scripts: bool, by_address: Farm, watched: Watched) -> None:
    """Another host, as squid escapes it, with and without JavaScript; the password does not come along."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Wanted) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            wanted = f"http://localhost:{server.server_port}/"
            asked = quote(f"{wanted}search?q=a&amp;l=b", safe="")
            page_address = f"http://127.0.0.1:{by_address.port}/"
            context = {"leads_to": wanted, "java_script_enabled": scripts, "expect": "favicon"}
            with watched.at(page_address, **context) as page:
                page.goto(f"{page_address}login?url={asked}")
                sign_in(page)
                page.wait_for_url(f"{wanted}search?q=a&l=b")
                expect(page.locator("body")).to_have_text("you asked for /search?q=a&l=b")
        finally:
            server.shutdown()
            thread.join()
