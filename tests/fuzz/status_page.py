"""The status page, the numbers and the health of both programs as a whole, before hostile browsers.

Rules of this file:

- An input is a conversation: some requests of one browser, which keeps its cookies and the token of its last page,
  before a page on loopback without a password, on loopback with one, off loopback, or before a proxy's numbers.
- Who has not signed in reads nothing, where there is a password; without one a loopback name must be asked for.
- Sessions end only by a form of the page's own, of somebody who has signed in.
- Names of users come from whoever logs in at any proxy: those here are hostile.
"""

import random
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, quote_plus

import attrs
import msgpack
import trio

from authagent.http import server as agent_http
from authagent.page.history import History
from authagent.page.routes import HEADERS, Page
from authagent.page.sign_in import Gate
from authagent.webhook.hooks import Hooks
from authagent.webhook.sender import Sources
from protocol.changes import Changes
from protocol.io.http_door import HttpDoor, Place
from protocol.io.log import quiet_log
from protocol.messages import Role
from protocol.session import Attributes
from proxyagent.http import server as proxy_http
from proxyagent.testing import FakeProxyAgent
from tests.authagent.core import machine
from tests.fuzz import asgi, operators, papers
from tests.fuzz.asgi import Answer, Asked

FRESH = 60
REQUESTS_MAX = 4
BETWEEN_S = 700.0
WATCHED_S = 1.2
"""So long a browser listens to events."""

PLACES = (("127.0.0.1:9080", False), ("127.0.0.1:9080", True), ("10.0.0.1:9080", True))
"""On loopback without a password and with one, and elsewhere."""

PASSWORD = papers.PASSWORD
HOSTS = ("127.0.0.1:9080", "localhost", "agent.test")
"""By which names the pages are asked for."""

STATUSES = {200, 303, 400, 401, 403, 404, 421, 429, 503}
TOLD = ("/health", "/ready", "/metrics")
USERS = tuple("".join(mark[:40].replace("\0", "") for mark in asgi.MARKS[part::3]) for part in range(3))
LOOKS = ("/", "/?q={q}", "/?q={q}&explain={q}", "/sessions?q={q}", "/history?of={q}", "/events", "/sign-in", *TOLD,
         "/assets/page.css", "/assets/{q}", "/sessions/", "/{q}")  # fmt: skip
ACCEPTED = (
    "text/plain", "application/openmetrics-text;version=1.0.0,text/plain;q=0.5", "application/openmetrics-text",
    "application/openmetrics-text; version=x", "text/plain;version=1.0.0;escaping=allow-utf-8", "text/plain;version=",
    "application/openmetrics-text; version=1.0.0;;=", "application/openmetrics-text;version=" + "9" * 5_000, ",;=",
)  # fmt: skip
ACTIONS = ("/logout", "/logout", "/sign-in", "/sign-out", "/sessions", "/")


def make(chance: random.Random) -> bytes:
    """Before which page, and a conversation."""
    kind = chance.choice((0, 1, 1, 2, 2, 3))
    begun = [_look("/sign-in", kind, chance, 0), _form("/sign-in", {"password": PASSWORD}, kind, chance, 0)]
    begun.append(_look(chance.choice(("/", "/?q=alice")), kind, chance, 0))
    talk = begun[: chance.choice((0, 1, 2, 3, 3, 3))]
    talk += [_request(kind, chance) for _ in range(chance.randrange(1, REQUESTS_MAX + 1 - len(talk)))]
    return msgpack.packb([kind, talk])  # type: ignore[no-any-return]


def _request(kind: int, chance: random.Random) -> list[Any]:
    subject = chance.choice((*asgi.MARKS, *operators.USERS, *operators.KEYS))
    if chance.random() < 0.5:
        target = chance.choice(LOOKS).format(q=quote(subject, safe="", errors="replace"))
        return _look(target, kind, chance, -1)
    fields = chance.choice(({"key": subject}, {"user": subject}, {"password": subject}, {"password": PASSWORD}, {}))
    return _form(chance.choice(ACTIONS), fields, kind, chance, -1)


def _look(target: str, kind: int, chance: random.Random, wrong: int) -> list[Any]:
    headers = [("host", HOSTS[kind % 3]), ("cookie", "JAR")]
    if target == "/metrics":
        headers.append(("accept", chance.choice(ACCEPTED)))
    return asgi.request("GET", target, headers, b"", chance, wrong)


def _form(action: str, fields: dict[str, str], kind: int, chance: random.Random, wrong: int) -> list[Any]:
    given = {"token": "TOKEN", **fields}
    body = "&".join(f"{name}={quote_plus(value, errors='replace')}" for name, value in given.items()).encode()
    host = HOSTS[kind % 3]
    headers = [("host", host), ("origin", f"http://{host}"), ("cookie", "JAR")]
    return asgi.request("POST", action, headers, body, chance, wrong)


class Pages:
    """A page of each kind, made anew every FRESH inputs."""

    def __init__(self) -> None:
        self._left = 0
        self._passed_s = 0.0
        self._shown: list[_Shown | _Proxy] = []
        self.accepted = 0
        """Conversations in which the page was read."""

    def __call__(self, data: bytes) -> None:
        kind, talk = msgpack.unpackb(data)
        self._passed_s += BETWEEN_S
        if not self._left:
            self._shown = []
        self._left = (self._left or FRESH) - 1
        try:
            with tempfile.TemporaryDirectory() as folder:
                asgi.run(self._converse, kind, talk, Path(folder), passed_s=self._passed_s)
        except BaseException:
            self._left = 0
            raise

    async def _converse(self, kind: int, talk: list[Any], folder: Path) -> None:
        async with trio.open_nursery() as nursery:
            if not self._shown:
                self._shown = [*(_Shown(place, password, nursery) for place, password in PLACES), _Proxy()]
            shown = self._shown[kind]
            shown.begin(nursery, folder / "admin")
            jar: dict[str, str] = {}
            token = b""
            read = False
            for each in talk:
                cookies = "; ".join(f"{name}={value}" for name, value in jar.items())
                asked = asgi.read(each, {b"JAR": cookies.encode("latin-1"), b"TOKEN": token})
                before = shown.sessions()
                answer = await shown.served.ask(asked, WATCHED_S)
                shown.is_right(asked, answer)
                assert shown.sessions() == before or shown.may_change(asked, token), "who may only look changes nothing"
                for cookie in answer.values("set-cookie"):
                    name, _, value = cookie.partition(";")[0].partition("=")
                    jar[name] = value
                if answer.page is not None:
                    token = answer.page.values.get("token", "").encode()
                read = read or answer.status == 200
            self.accepted += read
            nursery.cancel_scope.cancel()


class _Shown:
    """One agent's HTTP, and who has signed in there."""

    def __init__(self, place: str, password: bool, nursery: trio.Nursery) -> None:
        self._password = password
        self._on_loopback = place.startswith("127.")
        self._signed_in = False
        made = operators._read(pair=False)
        self._setup = attrs.evolve(made, made=attrs.evolve(made.made, http=place))
        self._shell = operators.Operators()._made(self._setup, nursery)
        server, numbers = self._shell.server, iter(range(1 << 30))
        assert server.agent.election.role == Role.MASTER
        server.agent.table.merge(_sessions(), None)
        gate = Gate(lambda: server.setup, lambda: f"drawn-{next(numbers)}", quiet_log())
        page = Page(server, self._shell.handler, History(), gate)
        sources = Sources(lambda: 0, lambda: "", lambda: 0.5, quiet_log(), "", "")
        hooks = Hooks(sources, lambda: server.agent.election.role)
        self.served = asgi.Served(agent_http.application(server, self._shell.handler, _door(), hooks, page.routes()))

    def begin(self, nursery: trio.Nursery, admin: Path) -> None:
        """Another browser comes; the password, if there is one, is in this file."""
        if self._password:
            admin.touch(mode=0o600)
            admin.write_bytes(papers.HASH)
        server = self._shell.server
        server.setup = attrs.evolve(self._setup, made=attrs.evolve(self._setup.made, admin_path=str(admin)))
        server._nursery = nursery
        self._signed_in = False

    def sessions(self) -> int:
        return self._shell.server.agent.table.alive

    def is_right(self, asked: Asked, answer: Answer) -> None:
        """Status, headers, and that it tells strangers nothing."""
        path = asked.target.partition(b"?")[0].decode()
        if path in TOLD and not answer.value("content-security-policy"):
            assert answer.status in (200, 405, 413) or (path == "/ready" and answer.status == 503)
            assert b"alice" not in answer.body, "numbers name nobody"
            return
        if asgi.is_bare(answer):
            return
        assert answer.status in STATUSES or (asked.left and not answer.status), f"status {answer.status}"
        for name, value in HEADERS.items():
            kept = name == "cache-control" and path.startswith("/assets/")
            assert kept or answer.values(name) == [value], f"{name} is missing from {answer.status}"
        assert answer.value("location") in ("", "/", "/sign-in")
        self._tells_nobody(asked, answer)
        if answer.page is not None:
            for address in answer.page.addresses:
                assert address.startswith(("/", "#")) and not address.startswith("//"), address

    def _tells_nobody(self, asked: Asked, answer: Answer) -> None:
        if answer.status == 303 and any("authagent=drawn" in each for each in answer.values("set-cookie")):
            given = parse_qs(b"".join(asked.pieces).decode())
            assert self._password and given["password"] == [PASSWORD], "nobody signs in without the right password"
            self._signed_in = True
        if self._on_loopback and answer.status == 200 and not asked.target.startswith(b"/assets/"):
            name = asked.host.rpartition(":")[0] if asked.host[-1:].isdigit() and ":" in asked.host else asked.host
            assert name in ("127.0.0.1", "localhost", "[::1]"), f"asked for as {asked.host!r}"
        if self._password and not self._signed_in:
            assert b"alice" not in answer.body.replace(*_reflected(asked)), "strangers read nothing"

    def may_change(self, asked: Asked, token: bytes) -> bool:
        """Whether it is a form of the page that was shown last to somebody who has signed in."""
        given = parse_qs(b"".join(asked.pieces).decode())
        return self._signed_in and asked.method == "POST" and given["token"][0].encode() == token != b""


class _Proxy:
    """A proxy's HTTP: health and numbers."""

    def __init__(self) -> None:
        self._agent = FakeProxyAgent()
        self._agent.login("10.0.0.1", user="alice")
        self.served = asgi.Served(proxy_http.application(self._agent, _door()))

    def begin(self, nursery: trio.Nursery, admin: Path) -> None:
        """It does not know browsers."""

    def sessions(self) -> int:
        return self._agent.statistics().sessions

    def is_right(self, asked: Asked, answer: Answer) -> None:
        """There are three addresses, and numbers name nobody."""
        path = asked.target.partition(b"?")[0].decode()
        told = answer.status == 200 or (path == "/ready" and answer.status == 503)
        assert asgi.is_bare(answer) or (path in TOLD and told), f"status {answer.status}"
        assert b"alice" not in answer.body and not answer.value("location")

    def may_change(self, asked: Asked, token: bytes) -> bool:
        return False


def _door() -> HttpDoor:
    return HttpDoor(lambda: Place(""), lambda: None, quiet_log())


def _sessions() -> Changes:
    """One for each hostile name, under a key and with attributes that are no better."""
    keys = [f"<b>{number}" for number in range(len(USERS))]
    (run,) = machine.logins(*keys, first=50, at_ms=machine.NOW_MS - 9).logins
    attributes: list[Attributes] = [((user, (user, "<b>")),) for user in USERS]
    return Changes(logins=(attrs.evolve(run, users=[*USERS], attributes=attributes),))


def _reflected(asked: Asked) -> tuple[bytes, bytes]:
    """What the browser itself has said."""
    return b"q=alice", b""
