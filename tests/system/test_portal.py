"""Real Squids as a captive portal: whoever is not known is sent to the login page, and on to what they wanted."""

import http.client
import re
import shutil
import tempfile
from collections.abc import Iterator
from functools import partial
from html import unescape
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import attrs
import bcrypt
import pytest
import trio

from authagent.demo.page import serve_page
from tests.components import SYSTEM_FOLDERS
from tests.ports import free_port
from tests.system.fronts import put
from tests.system.processes import ROOT, until
from tests.system.squid_files import EXAMPLE
from tests.system.squids import PATIENCE_S, Farm, client_address, open_farm

MISSING = [name for name in ("squid", "setpriv") if shutil.which(name, path=SYSTEM_FOLDERS) is None]

pytestmark = [
    pytest.mark.system,
    pytest.mark.slow,
    pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}; try: python tests/components.py"),
]

PASSWORD = "wonder&land"


@pytest.fixture
def folder() -> Iterator[Path]:
    """Not below pytest's own: the path of a Unix socket has at most 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="po-") as name:
        yield Path(name)


@attrs.define
class Browser:
    """Somebody at an address, whose browser uses a proxy for everything, the page too."""

    address: str = attrs.field(factory=client_address)
    cookies: dict[str, str] = attrs.field(factory=dict)

    async def ask(self, proxy: int, url: str, form: dict[str, str] | None = None) -> tuple[int, str, str]:
        """Status, Location and content of what the proxy on this port answers."""
        return await trio.to_thread.run_sync(self._ask, proxy, url, form)

    def _ask(self, proxy: int, url: str, form: dict[str, str] | None) -> tuple[int, str, str]:
        connection = http.client.HTTPConnection("127.0.0.1", proxy, PATIENCE_S, (self.address, 0))
        where = urlsplit(url)
        headers = {"Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())}
        if form is not None:
            headers |= {"Origin": f"http://{where.netloc}", "Content-Type": "application/x-www-form-urlencoded"}
        try:
            connection.request("GET" if form is None else "POST", url, form and urlencode(form), headers)
            answer = connection.getresponse()
            content = answer.read().decode()
        finally:
            connection.close()
        for cookie in answer.headers.get_all("Set-Cookie", []):
            name, _, value = cookie.partition(";")[0].partition("=")
            self.cookies[name] = value
        return answer.status, answer.headers.get("Location", ""), content


async def be_portal(farm: Farm) -> str:
    """Make portals of the Squids of a farm, with a page at the first; returns the page's address."""
    port, first = free_port(), farm.machines[0]
    hashed = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
    (first.files.config.parent / "users").write_text(f"alice:{hashed}\n")
    settings = f'[login]\nlisten = "127.0.0.1:{port}"\nbackend = "htpasswd:users"\nreturn_hosts = ["*"]\n'
    config = first.files.config
    config.write_text(config.read_text() + settings)
    await trio.to_thread.run_sync(first.ask, "reload")
    places = {"10.1.0.11": "127.0.0.1", "login.lan": "127.0.0.1", "8080": str(port)}
    portal = put((ROOT / "examples" / "login_page" / "portal.conf").read_text(), places)
    asking = re.findall(r"^http_access .*\n", (EXAMPLE / "one-login.conf").read_text(), flags=re.MULTILINE)
    for machine in farm.machines:
        machine.squid.kill()
        drop_in = machine.folder / "conf.d" / "one-login.conf"
        drop_in.write_text(put(drop_in.read_text(), {"".join(asking): portal}))
        machine.start_squid()
        await machine.wait_squid()
    await until(lambda: "http.listening" in first.daemon.log_end(50) or first.daemon.log_end(), PATIENCE_S, "the page")
    return f"http://127.0.0.1:{port}/"


async def test_a_portal_asks_once_and_brings_the_browser_back(folder: Path) -> None:
    """To the very address that it wanted, whose escapes are undone; known at both Squids then, until it signs out.

    The page is reached through Squid, whose X-Forwarded-For it believes.
    """
    async with open_farm(folder, squids=2) as farm, trio.open_nursery() as nursery:
        (listener,) = await nursery.start(partial(trio.serve_tcp, serve_page, 0, host="127.0.0.1"))
        page = await be_portal(farm)
        wanted = f"http://127.0.0.1:{listener.socket.getsockname()[1]}/search?q=a%20b&l=%22c%22&copy=1"
        one, two = (machine.port for machine in farm.machines)
        alice, bob = Browser(), Browser()

        status, location, _ = await alice.ask(one, wanted)
        assert status == 303 and location.startswith(f"{page}login?url=http%3A%2F%2F") and "%26amp%3B" in location
        status, _, asked = await alice.ask(one, location)
        fields = {name: unescape(value) for name, value in re.findall(r'name="(\w+)" value="([^"]*)"', asked)}
        assert status == 200 and fields["url"] == wanted
        status, _, came = await alice.ask(one, f"{page}login", {**fields, "user": "alice", "password": PASSWORD})
        (refresh,) = re.findall(r'content="0; url=([^"]*)"', came)
        assert status == 200 and unescape(refresh) == wanted
        await farm.wait_known(alice.address, "alice")
        for proxy in (one, two):
            assert (await alice.ask(proxy, wanted))[0] == 200
            assert (await bob.ask(proxy, wanted))[0] == 303
        assert (await alice.ask(two, f"{page}logout", {"token": fields["token"]}))[:2] == (303, "login?out=1")
        await farm.wait_known(alice.address, None)
        for proxy in (one, two):
            assert (await alice.ask(proxy, wanted))[0] == 303
        nursery.cancel_scope.cancel()
