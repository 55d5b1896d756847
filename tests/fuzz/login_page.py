"""The login page as a whole, before hostile browsers: what it answers, where it leads, and who is let in.

Rules of this file:

- An input is a conversation: some requests of one browser, which keeps its cookies and the token of its last page.
- A session begins only with a form of the page's own that bears the right password; one ends only with a form of it.
- A page has every header of the page's; what it leads to is of this host, or listed.
"""

import random
from typing import Any
from urllib.parse import parse_qs, quote, quote_plus

import msgpack
import trio

from protocol.configuration import ClientSettings
from protocol.io.http.guard import application
from protocol.io.http.page_headers import page_headers
from protocol.io.log import quiet_log
from proxyagent.integrations.client_key import ClientKeys
from proxyagent.login import Identity
from proxyagent.login.document import style_source
from proxyagent.login.gate import Gate
from proxyagent.login.routes import LoginPage
from proxyagent.login.texts import Texts
from proxyagent.login.visitor import Reception
from proxyagent.testing import FakeProxyAgent
from tests.fuzz import asgi, forms
from tests.fuzz.asgi import Answer, Asked

FRESH = 50
REQUESTS_MAX = 4
BETWEEN_S = 700.0
"""From one conversation to the next: so long that wrong passwords are forgotten."""

USER, PASSWORD = "alice", "wonder&land"
ODD = ("", "\0", "x" * 300, "\ud800", "<b>\u202e", "\x1b[2J")
"""As what a directory may have spelled a name."""

STATUSES = {200, 303, 307, 400, 403, 404, 421, 429, 503}
HEADERS = page_headers(style_src=style_source(), img_src="data:")
KEYS = (ClientSettings(), ClientSettings(key="cookie", cookie="sid"), ClientSettings(key="both", cookie="sid"))
ASKED = ("/", "/login", "/login?url={url}", "/login?out=1&url={url}", "/logout", "/nothing/{url}", "//evil.test/{url}")
ACTIONS = ("/login", "/login", "/login", "/logout", "/end", "/end?x=1", "/nothing")


def make(chance: random.Random) -> bytes:
    """By what browsers are known, and a conversation."""
    begun = [_look("/login", chance), _form("/login", USER, PASSWORD, "/", chance, wrong=0)]
    talk = begun[: chance.choice((0, 1, 1, 2, 2))]
    talk += [_request(chance) for _ in range(chance.randrange(1, REQUESTS_MAX + 1 - len(talk)))]
    return msgpack.packb([chance.randrange(len(KEYS)), talk])  # type: ignore[no-any-return]


def _request(chance: random.Random) -> list[Any]:
    url = chance.choice((*forms.ADDRESSES, *asgi.MARKS)) if chance.random() < 0.7 else "/"
    if chance.random() < 0.3:
        return _look(chance.choice(ASKED).format(url=quote(url, safe="", errors="replace")), chance, wrong=-1)
    if chance.random() < 0.5:
        user = chance.choice((USER, USER, f"odd{chance.randrange(len(ODD))}"))
        return _form(chance.choice(ACTIONS), user, PASSWORD, url, chance)
    user = chance.choice((*forms.GIVEN, *asgi.MARKS))
    return _form(chance.choice(ACTIONS), user, chance.choice(forms.GIVEN), url, chance)


def _look(target: str, chance: random.Random, wrong: int = 0) -> list[Any]:
    return asgi.request("GET", target, _headers(chance), b"", chance, wrong)


def _form(action: str, user: str, password: str, url: str, chance: random.Random, wrong: int = -1) -> list[Any]:
    fields = [("token", "TOKEN"), ("user", user), ("password", password), ("url", url)]
    fields.append(chance.choice((("session", "SESSION"), ("all", "1"), ("session", user))))
    body = "&".join(f"{name}={quote_plus(value, errors='replace')}" for name, value in fields)
    headers = [*_headers(chance), ("origin", f"http://{forms.HOST}")]
    return asgi.request("POST", action, headers, body.encode(), chance, wrong)


def _headers(chance: random.Random) -> list[tuple[str, str]]:
    language = chance.choice(forms.LANGUAGES)
    return [("host", forms.HOST), ("x-forwarded-for", "10.3.4.5"), ("cookie", "JAR"), ("accept-language", language)]


class _BackEnd:
    """Knows alice, and some whose names are spelled oddly."""

    def __init__(self) -> None:
        self.right = 0

    async def check(self, user: str, password: str, address: str) -> Identity | None:
        await trio.lowlevel.checkpoint()
        if password != PASSWORD or (user != USER and not user.startswith("odd")):
            return None
        self.right += 1
        name = USER if user == USER else ODD[int(user[3:4] or 0) % len(ODD)]
        return Identity(name, {"groups": ("<b>", "staff")})


class Pages:
    """A page for each way of knowing browsers, made anew every FRESH inputs."""

    def __init__(self) -> None:
        self._left = 0
        self._passed_s = 0.0
        self._pages: list[_Shown] = []
        self.accepted = 0
        """Conversations in which somebody was let in."""

    def __call__(self, data: bytes) -> None:
        kind, talk = msgpack.unpackb(data)
        if not self._left:
            self._left, self._pages = FRESH, [_Shown(each) for each in KEYS]
        self._left -= 1
        self._passed_s += BETWEEN_S
        shown = self._pages[kind]
        before = shown.back_end.right
        try:
            asgi.run(shown.converse, talk, passed_s=self._passed_s)
        except BaseException:
            self._left = 0
            raise
        self.accepted += shown.back_end.right > before


class _Shown:
    """One page, and the browser before it."""

    def __init__(self, settings: ClientSettings) -> None:
        self.agent, self.back_end = FakeProxyAgent(), _BackEnd()
        keys, numbers = ClientKeys(settings), iter(range(1 << 30))
        gate = Gate(self.agent, keys, self.back_end, lambda: f"drawn-{next(numbers)}", quiet_log())
        page = LoginPage(gate, Reception(self.agent, keys, (forms.HOST,)), Texts(), forms.RETURN_HOSTS, hsts=False)
        self._served = asgi.Served(application(page.routes()))

    async def converse(self, talk: list[Any]) -> None:
        """The requests of a browser that is new here."""
        jar: dict[str, str] = {}
        told = {b"TOKEN": b"", b"SESSION": b""}
        for each in talk:
            cookies = "; ".join(f"{name}={value}" for name, value in jar.items())
            asked = asgi.read(each, {b"JAR": cookies.encode("latin-1"), **told})
            before, right = self._sessions(), self.back_end.right
            answer = await self._served.ask(asked)
            self._is_right(asked, answer)
            begun, ended = self._sessions() - before, before - self._sessions()
            assert len(begun) <= self.back_end.right - right, "nobody is let in without the right password"
            assert not (begun or ended) or _is_form(asked, told[b"TOKEN"]), "only a form of ours changes anything"
            for cookie in answer.values("set-cookie"):
                name, _, value = cookie.partition(";")[0].partition("=")
                jar[name] = value
            if answer.page is not None:
                values = answer.page.values
                told = {b"TOKEN": values.get("token", "").encode(), b"SESSION": values.get("session", "").encode()}

    def _sessions(self) -> set[str]:
        return {str(each.login_id) for each in self.agent.sessions()}

    def _is_right(self, asked: Asked, answer: Answer) -> None:
        """Status, headers, and where it leads."""
        if asgi.is_bare(answer):
            return
        assert answer.status in STATUSES or (asked.left and not answer.status), f"status {answer.status}"
        for name, value in HEADERS.items():
            assert answer.values(name) == [value], f"{name} is missing from {answer.status} {answer.body[:200]!r}"
        if answer.page is not None:
            for address in answer.page.addresses:
                assert address == "data:," or _is_listed(address), f"a page leads to {address!r}"
        assert _is_listed(answer.value("location")), f"{asked.target!r} leads to {answer.value('location')!r}"


def _is_listed(address: str) -> bool:
    host = forms._browser_host(address)
    return host in ("", "a.test", "a.test.", "[2001:db8::1]") or host.rstrip(".").endswith(".b.test")


def _is_form(asked: Asked, token: bytes) -> bool:
    """Whether it is a form of the page that the browser was shown last."""
    given = parse_qs(b"".join(asked.pieces).decode())
    return asked.method == "POST" and bool(token) and given["token"][0].encode() == token
