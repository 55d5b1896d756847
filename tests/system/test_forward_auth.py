"""nginx, Caddy, Traefik and Envoy with the configurations of examples/: who is let in, by what name, and who is not."""

import contextlib
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote, urljoin

import pytest

from protocol.key import key
from tests.components import SYSTEM_FOLDERS
from tests.programs import Program
from tests.proxyagent.processes import until
from tests.system.fronts import (
    BROWSER,
    COOKIE,
    HOST,
    PASSWORDS,
    Browser,
    Client,
    Front,
    Site,
    open_front,
    open_site,
    switch,
)

pytestmark = [pytest.mark.system, pytest.mark.slow]

CARRIED = '[cookie]\nkey_files = ["cookie.key"]\n'
KINDS = ("nginx", "caddy", "traefik", "envoy")
FORGED = {
    **BROWSER,
    "Remote-User": "mallory",
    "Remote-Groups": "root",
    "Remote_User": "mallory",
    "X-Forwarded-For": "6.6.6.6",
    "X-Forwarded-Uri": "/evil",
    "X-Forwarded-Host": "evil.test",
    "X-Forwarded-Proto": "http",
    "X-Forwarded-Method": "GET",
}
"""What a client says of itself and its request that is not so."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """An agent, and a ProxyAgent where users log in and out."""
    with open_site(tmp_path_factory.mktemp("s")) as site:
        yield site


@pytest.fixture
def find(program: Program) -> Callable[[str], str]:
    """The path of a program, from a wheel or from Debian."""

    def found(name: str) -> str:
        if name not in ("nginx", "haproxy"):
            return program(name)
        path = shutil.which(name, path=SYSTEM_FOLDERS)
        return path or pytest.skip(f"not installed: {name}; try: python tests/components.py")

    return found


def login_page(path: str) -> str:
    """Where a browser is sent that wanted this."""
    return f"https://{HOST}/login/?url={quote(path, safe='')}"


@pytest.mark.parametrize("kind", KINDS)
def test_a_front_lets_in_who_is_known_and_nobody_else(kind: str, site: Site, find: Callable[[str], str]) -> None:
    """Redirected, known, forged, logged out elsewhere, and with the endpoint dead: the whole life of a cookie."""
    with open_front(kind, site, find, f"proxy-{kind}", sections=CARRIED) as front:
        check_the_log_in_page(kind, front)
        check_life_of_a_cookie(kind, site, front)


def check_the_log_in_page(kind: str, front: Front) -> None:
    """Sent to it, logged in there, back to what was wanted; and logged out there."""
    bob = Browser("127.0.0.53", front.port)
    asked = bob.ask("/x?a=b&c=d")
    assert (asked.status, asked.headers["location"]) == (302, login_page("/x?a=b&c=d"))
    page = asked.headers["location"].removeprefix(f"https://{HOST}")
    assert bob.fill_in(page, user="bob", password="wrong").status == 403 and not bob.ask("/x").seen

    back = bob.fill_in(page, user="bob", password=PASSWORDS["bob"])
    assert back.status == 303 and urljoin("/login/login", back.headers["location"]) == "/x?a=b&c=d", back
    assert bob.jar.keys() >= {COOKIE, "one-login"}
    del bob.jar["one-login"]
    stolen = bob.jar[COOKIE]
    for known in (bob.ask("/x?a=b&c=d"), Client("127.0.0.53", stolen).get(front.port, headers=FORGED)):
        assert (known.status, known.user, known.seen.get("remote-groups", "")) == (200, "bob", ""), known

    assert kind == "caddy" or "one-login" in bob.jar, "what is let in gives the failover cookie anew"
    bob.fill_in("/login/logout")
    assert not {COOKIE, "one-login"} & bob.jar.keys()
    for cookie in ("", stolen):
        assert Client("127.0.0.53", cookie).get(front.port).status == 302


def check_life_of_a_cookie(kind: str, site: Site, started: Front) -> None:
    """At a front that runs, which is without its ProxyAgent at the end."""
    port, cookie = started.port, f"secret-of-alice-at-{kind}"
    alice, nobody, session = Client("127.0.0.51", cookie), Client("127.0.0.52"), key(cookie=cookie)

    asked = nobody.get(port, "/x/y?a=b&c=d")
    assert (asked.status, asked.headers["location"]) == (302, login_page("/x/y?a=b&c=d"))
    for method, headers in (("POST", {**BROWSER, "Content-Length": "0"}), ("GET", {"Accept": "application/json"})):
        assert nobody.get(port, "/x", method, headers).status == 401
    assert Client("127.0.0.51", "another").get(port).status == 302

    for path in ("/login/../x", "/login/%2e%2e/x", "/login%2f..%2fx", "//x", "/x?/login/", "/auth", "/_auth", "/login"):
        assert nobody.get(port, path).seen == {}, path

    site.log_in(session, "alice", started.name)
    for method, headers in (("GET", BROWSER), ("POST", {"Content-Length": "0"}), ("GET", FORGED)):
        known = alice.get(port, "/x", method, headers)
        assert (known.status, known.user, known.seen["remote-groups"]) == (200, "alice", "staff,on%2C call"), known
        assert "remote_user" not in known.seen, known

    forged = nobody.get(port, "/x", headers=FORGED)
    assert forged.status == 302 and "evil" not in forged.headers["location"] and not forged.seen, forged
    assert forged.headers["location"] == login_page("/x")

    site.log_out(session, started.name)
    assert alice.get(port).status == 302
    assert alice.get(port, headers=FORGED).seen == {}

    site.log_in(session, "alice", started.name)
    assert alice.get(port).user == "alice"
    started.daemon.kill()
    for client in (alice, nobody):
        closed = client.get(port)
        assert closed.status in (403, 500, 502, 503) and not closed.seen, closed


@pytest.mark.parametrize("kind", KINDS)
def test_the_address_is_the_one_that_the_front_sees(kind: str, site: Site, find: Callable[[str], str]) -> None:
    """With [client] key = "address": what a client writes into X-Forwarded-For makes it nobody else."""
    number = 60 + 2 * KINDS.index(kind)
    alice, mallory = Client(f"127.0.0.{number}"), Client(f"127.0.0.{number + 1}")
    with open_front(kind, site, find, f"proxy-{kind}-address", known_by="address") as front:
        site.log_in(alice.address, "alice", front.name)
        for forged in ("6.6.6.6", "6.6.6.6, 127.0.0.1", mallory.address):
            assert alice.get(front.port, headers={"X-Forwarded-For": forged, "X-Real-IP": forged}).user == "alice"
        for forged in (alice.address, f"{alice.address}, 127.0.0.1", f"127.0.0.1, {alice.address}"):
            answer = mallory.get(front.port, headers={**BROWSER, "X-Forwarded-For": forged, "X-Real-IP": forged})
            assert answer.status == 302 and not answer.seen, (forged, answer)


def test_three_nginx_behind_a_switch_lose_nobody_when_one_is_killed(site: Site, find: Callable[[str], str]) -> None:
    """HAProxy tells them whose connection it is; the next requests after kill -9 are answered for the same user."""
    cookie = "secret-of-alice-behind-the-switch"
    alice, thief = Client("127.0.0.81", cookie), Client("127.0.0.82", cookie)
    session = key(address=alice.address, cookie=cookie)
    with contextlib.ExitStack() as stack:
        names = ["proxy1", "proxy2", "proxy3"]
        fronts = [
            stack.enter_context(open_front("nginx", site, find, name, known_by="both", switched=True))
            for name in names
        ]
        port = switch(site, find("haproxy"), fronts)
        assert alice.get(port).status == 302
        site.log_in(session, "alice", *names)
        assert [alice.get(port).user for _ in range(6)] == ["alice"] * 6
        assert [thief.get(port).status for _ in range(3)] == [302] * 3

        fronts[0].process.kill()
        assert [alice.get(port).user for _ in range(6)] == ["alice"] * 6
        site.log_out(session, *names)
        assert [alice.get(port).status for _ in range(3)] == [302] * 3


def test_a_failover_cookie_outlives_agent_and_proxy(tmp_path: Path, find: Callable[[str], str]) -> None:
    """An empty ProxyAgent that is alone lets its owner in."""
    with open_site(tmp_path) as site, open_front("nginx", site, find, "proxy1", sections=CARRIED) as front:
        bob = Browser("127.0.0.53", front.port)
        bob.fill_in("/login/", user="bob", password=PASSWORDS["bob"])
        site.agent.kill()
        front.daemon.kill()
        front.daemon.start()
        until(lambda: Client("127.0.0.54").get(front.port).status == 302)
        assert Client("127.0.0.53", bob.jar[COOKIE]).get(front.port).status == 302, "nobody knows the session"
        assert bob.ask("/x").user == "bob"
