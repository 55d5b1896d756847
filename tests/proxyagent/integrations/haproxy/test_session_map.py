"""The map of sessions in a real HAProxy: pushed, compared, mended, and enforced."""

import http.client
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import trio

from protocol.configuration import ClientSettings
from protocol.io.log import quiet_log
from protocol.key import key
from proxyagent.integrations.adapter import AdapterUnusable, Keeper
from proxyagent.integrations.client_key import ClientKeys
from proxyagent.integrations.haproxy.runtime import MapChanges, Runtime
from proxyagent.integrations.haproxy.session_map import SLICE, SessionMap
from proxyagent.testing import FakeProxyAgent
from tests.ports import free_port
from tests.proxyagent.integrations.haproxy.running import Haproxy, open_haproxy

DEADLINE_S = 15.0
COOKIE = "a-cookie's value"

CONFIGURATION = """\
global
    stats socket {folder}/admin.sock mode 600 level admin
defaults
    mode http
    timeout connect 1s
    timeout client 60s
    timeout server 60s
frontend door
    bind 127.0.0.1:{door}
    http-request set-var(txn.hash) req.cook(__Host-login),sha2(256),bytes(0,16),hex,lower
    http-request set-var(txn.cookie) str(cookie:),concat(,txn.hash)
    http-request set-var(txn.user) {looked_up},map_{kind}({folder}/sessions.map)
    http-request return status 401 unless {{ var(txn.user) -m found }}
    http-request return status 200 content-type text/plain lf-string "%[var(txn.user)]"
"""

pytestmark = pytest.mark.system


@pytest.fixture
def haproxy() -> Iterator[Haproxy]:
    """A HAProxy that is not started yet."""
    with open_haproxy() as running:
        (running.folder / "sessions.map").touch()
        yield running


class Farm:
    """One HAProxy, one adapter and one agent of which it pushes the sessions."""

    def __init__(self, haproxy: Haproxy, kind: Any = "address") -> None:
        self.haproxy = haproxy
        self.door = free_port()
        self.agent = FakeProxyAgent()
        self.name = f"{haproxy.folder}/sessions.map"
        self.runtime = Runtime(haproxy.socket)
        pusher = SessionMap(self.runtime, self.name, ClientKeys(ClientSettings(key=kind)))
        self.keeper = Keeper("haproxy.map", lambda setup: pusher, lambda: None)  # type: ignore[arg-type, return-value]
        looked_up, method = ("src", "ip") if kind == "address" else ("var(txn.cookie)", "str")
        self.configuration = CONFIGURATION.format(
            folder=haproxy.folder, door=self.door, looked_up=looked_up, kind=method
        )

    async def keep(self) -> None:
        await self.keeper.keep(self.agent, quiet_log())

    def ask(self, source: str = "127.0.0.1", cookie: str = "") -> tuple[int, str]:
        """What HAProxy answers to a client at this address."""
        connection = http.client.HTTPConnection("127.0.0.1", self.door, timeout=15, source_address=(source, 0))
        connection.request("GET", "/", headers={"Cookie": f"x=1; __Host-login={cookie}"} if cookie else {})
        answer = connection.getresponse()
        told = answer.status, answer.read().decode()
        connection.close()
        return told

    async def until(self, holds: Callable[[], bool]) -> None:
        with trio.fail_after(DEADLINE_S):
            while not holds():
                await trio.sleep(0.01)

    async def until_holds(self, entries: dict[str, str]) -> None:
        with trio.fail_after(DEADLINE_S):
            while await self.runtime.map_entries(self.name) != entries:
                await trio.sleep(0.02)


async def test_haproxy_enforces_who_is_logged_in(haproxy: Haproxy, nursery: trio.Nursery) -> None:
    """Known before, logged in later, replaced by another user, logged out: the next request knows it."""
    farm = Farm(haproxy)
    haproxy.start(farm.configuration)
    farm.agent.login("127.0.0.7", user="o'hara; show sess")
    nursery.start_soon(farm.keep)
    await farm.until(lambda: farm.ask("127.0.0.7") == (200, "o'hara; show sess"))
    assert farm.ask("127.0.0.8")[0] == 401
    farm.agent.login("127.0.0.8", user="bob")
    await farm.until(lambda: farm.ask("127.0.0.8") == (200, "bob"))
    farm.agent.login("127.0.0.8", user="carol")
    await farm.until(lambda: farm.ask("127.0.0.8") == (200, "carol"))
    farm.agent.logout("127.0.0.7")
    await farm.until(lambda: farm.ask("127.0.0.7")[0] == 401)
    assert farm.ask("127.0.0.8") == (200, "carol")
    nursery.cancel_scope.cancel()


async def test_cookies_are_looked_up_by_their_hash(haproxy: Haproxy, nursery: trio.Nursery) -> None:
    """The map has the key of the cookie, HAProxy makes the same of what a browser sends; addresses stay out of it."""
    farm = Farm(haproxy, "cookie")
    haproxy.start(farm.configuration)
    farm.agent.login(key(cookie=COOKIE), user="alice")
    farm.agent.login("127.0.0.1", user="bob")
    nursery.start_soon(farm.keep)
    await farm.until(lambda: farm.ask(cookie=COOKIE) == (200, "alice"))
    assert farm.ask(cookie=COOKIE + "x")[0] == 401
    assert farm.ask()[0] == 401
    assert await farm.runtime.map_entries(farm.name) == {key(cookie=COOKIE): "alice"}
    nursery.cancel_scope.cancel()


async def test_a_haproxy_that_was_started_anew_is_taught_anew(haproxy: Haproxy, nursery: trio.Nursery) -> None:
    """Its map is empty after a restart, whether at once or after a while in which it was away."""
    farm = Farm(haproxy)
    farm.agent.login("127.0.0.7", user="alice")
    nursery.start_soon(farm.keep)
    await farm.until(lambda: "No such file" in farm.keeper.error)
    haproxy.start(farm.configuration)
    await farm.until_holds({"127.0.0.7": "alice"})
    haproxy.kill()
    haproxy.start()
    await farm.until_holds({"127.0.0.7": "alice"})
    haproxy.kill()
    await farm.until(lambda: "Connection refused" in farm.keeper.error)
    farm.agent.login("127.0.0.8", user="bob")
    farm.agent.logout("127.0.0.7")
    haproxy.start()
    await farm.until_holds({"127.0.0.8": "bob"})
    await farm.until(lambda: not farm.keeper.error)
    nursery.cancel_scope.cancel()


async def test_what_does_not_belong_into_the_map_is_removed(haproxy: Haproxy, nursery: trio.Nursery) -> None:
    """Entries of somebody who was logged out while nobody pushed, and wrong names, are mended when it connects."""
    farm = Farm(haproxy)
    haproxy.start(farm.configuration)
    stale = {"10.0.0.1": "mallory", "10.0.0.2": "wrong"}
    await farm.runtime.change_map(farm.name, MapChanges(add=stale))
    users = {f"10.0.{number >> 8}.{number & 255}": f"user{number}" for number in range(2, 2 * SLICE + 7)}
    for address, user in users.items():
        farm.agent.login(address, user=user)
    nursery.start_soon(farm.keep)
    await farm.until_holds(users)
    nursery.cancel_scope.cancel()


async def test_notices_that_were_lost_are_a_comparison(haproxy: Haproxy, nursery: trio.Nursery) -> None:
    """More logins at once than a subscription holds: all of them are in the map in the end."""
    farm = Farm(haproxy)
    haproxy.start(farm.configuration)
    farm.agent.login("10.0.0.1", user="first")
    nursery.start_soon(farm.keep)
    await farm.until_holds({"10.0.0.1": "first"})
    users = {f"10.1.{number >> 8}.{number & 255}": f"user{number}" for number in range(1_500)}
    for address, user in users.items():
        farm.agent.login(address, user=user)
    await farm.until_holds({"10.0.0.1": "first", **users})
    nursery.cancel_scope.cancel()


async def test_a_map_that_haproxy_does_not_have_is_a_problem(haproxy: Haproxy) -> None:
    """The adapter fails with what HAProxy said, and names the map."""
    farm = Farm(haproxy)
    haproxy.start(farm.configuration)
    unknown = SessionMap(farm.runtime, "/no/such.map", ClientKeys(ClientSettings()))
    with pytest.raises(AdapterUnusable, match=r"map /no/such.map: Unknown map identifier"):
        await unknown.serve(farm.agent, quiet_log())
