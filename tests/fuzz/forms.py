"""What browsers may be made to send to the login page and the status page: addresses, headers, cookies and forms.

Rules of this file:

- Requests are Starlette's, made of raw headers and a body, as hypercorn would hand them over. What waits for nobody
  is taken here; the pages as a whole are in pages.py.
- A form counts only with the page's own Origin and token. An address to go on to is of this host or of a listed one,
  as browsers read addresses, not as Python does.
"""

import random
import re
from typing import Any
from urllib.parse import quote_plus

import msgpack
from starlette.requests import Request

from authagent.page.sign_ins import SignIns
from protocol.configuration import ClientSettings
from protocol.io.http import forms
from protocol.io.http.forms import Refused
from proxyagent.integrations.client_key import ClientKeys
from proxyagent.login import gate
from proxyagent.login.return_url import host_of, safe
from proxyagent.login.texts import Texts
from proxyagent.login.visitor import Reception, Trouble, form_token
from proxyagent.testing import FakeProxyAgent
from tests.fuzz import inputs
from tests.fuzz.taking import finished, hold

FRESH = 500
HOST = "login.test"
RETURN_HOSTS = ("a.test", "*.b.test", "[2001:db8::1]")
FORM_COOKIE = "of-the-browser"
TOKEN = form_token(FORM_COOKIE)

ADDRESSES = (
    "/", "/a?b=c&amp;d=e", "http://a.test/x", "https://x.b.test:8443/?a=b&amp;c", "http://[2001:db8::1]/", "//evil",
    "http://evil.test/", "http:///evil.test", "http:/evil.test", "http:evil.test", "https://a.test@evil.test/",
    "https://evil.test\\@a.test/", "http://a.test:80:80/", "javascript:alert(1)", "http://evil.test#.b.test",
    "http://evil.test?.b.test", "http://b.test.evil.test/", "/\\evil.test", "/&#9;/evil.test", "&#47;&#47;evil.test",
    "\x01http://a.test", "http://a.test%2eevil.test", "http://evil.test;.b.test/", "/.//evil.test", "a.test", "",
    "http://a.test.:1/", "http://[::1].b.test/", "http://a.test/\r\nSet-Cookie: a=b", "http://\u24d0.test/", "?x",
)  # fmt: skip
GIVEN = (
    "alice",
    "a b",
    "\u202e",
    "\0",
    "\ud800",
    "x" * 2_000,
    "",
    "<script>",
    "Stra\u00dfe",
    "\r\nX: y",
    "{0}{seconds}",
)
LANGUAGES = ("de", "de-CH, de;q=0.9, en;q=0.8, *;q=0.1", "q=1;q=2", "en;q=9", ",;,;", "fr;q=1.000", "x" * 500, "\xff")
ORIGINS = (f"http://{HOST}", f"https://{HOST}", "null", "http://evil.test", f"http://{HOST}.evil.test", "http://[", "")


def make(chance: random.Random) -> bytes:
    """The headers and the body of a POST, mostly right, and what the query says."""
    url = chance.choice(ADDRESSES)
    if chance.random() < 0.5:
        url = inputs.spoiled(url.encode(errors="replace"), chance).decode("latin-1")
    headers = [["host", HOST], ["origin", f"http://{HOST}"], ["cookie", f"sid=c3Bhcms; login-form={FORM_COOKIE}"]]
    headers += [["accept-language", chance.choice(LANGUAGES)], ["x-forwarded-for", "10.3.4.5"]]
    if chance.random() < 0.3:
        headers.append(["origin", chance.choice(ORIGINS)])
        del headers[1]
    if chance.random() < 0.4:
        place = chance.randrange(len(headers))
        said = headers[place][1].encode("latin-1", errors="replace")
        headers[place][1] = inputs.spoiled(said, chance).decode("latin-1")
    fields = [("token", TOKEN), ("user", chance.choice(GIVEN)), ("password", chance.choice(GIVEN)), ("url", url)]
    if chance.random() < 0.3:
        fields[chance.randrange(4)] = (chance.choice(("token", "user", "x")), chance.choice(GIVEN))
    body = "&".join(f"{name}={quote_plus(value, errors='surrogatepass')}" for name, value in fields).encode()
    body = inputs.spoiled(body, chance) if chance.random() < 0.3 else body
    return msgpack.packb([url, [[name, _line(said)] for name, said in headers], body])  # type: ignore[no-any-return]


def _line(said: str) -> bytes:
    """A header's value as HTTP can carry it."""
    return re.sub(rb"[\r\n\0]", b"", said.encode("latin-1", "replace"))


class Forms:
    """The parts of both pages that read what browsers send."""

    def __init__(self) -> None:
        self._left = 0
        self._texts = Texts()
        self._sign_ins = SignIns()
        self._reception: Reception
        self.accepted = 0
        """Forms that counted."""

    def __call__(self, data: bytes) -> None:
        if not self._left:
            keys = ClientKeys(ClientSettings(key="both", cookie="sid"))
            self._left, self._reception = FRESH, Reception(FakeProxyAgent(), keys, (HOST,))
        self._left -= 1
        url, headers, body = msgpack.unpackb(data)
        leads_home(url)
        request = _request(headers, body)
        language, texts = self._texts.choose(request.headers.get("accept-language", ""))
        assert language in ("en", "de") and texts
        self._sign_ins.find(request.cookies.get("authagent", ""), 1.0)
        try:
            visitor = self._reception.receive(request)
        except Trouble as trouble:
            hold(trouble.text in texts, "each trouble has its words")
            return
        assert visitor.session is None, "nobody is logged in"
        self._filled_in(request, visitor.form)

    def _filled_in(self, request: Request, form: str) -> None:
        try:
            given = finished(forms.fields(request, form_token(form)))
        except Refused as refused:
            hold("\n" not in str(refused) and 400 <= refused.status < 500, "a refusal is one line")
            return
        self.accepted += 1
        own = re.fullmatch(r"http://login\.test(:[0-9]*)?", request.headers["origin"], re.IGNORECASE)
        assert own, "a form of another page does not count"
        assert form and "token" not in given
        assert all(type(each) is str for pair in given.items() for each in pair)
        user, password = given.get("user", ""), given.get("password", "")
        if gate._can_be_name(user.strip()) and gate._can_be_password(password):
            assert user.strip().isprintable() and user.encode()
        gate._letters(user)
        leads_home(given.get("url", ""))


def leads_home(asked: str) -> None:
    """Where a browser goes on to is this host or a listed one, and nothing in it can end a header."""
    url = safe(asked, RETURN_HOSTS)
    assert url.isascii() and url.isprintable()
    host = _browser_host(url)
    listed = host in ("", "a.test", "a.test.", "[2001:db8::1]") or re.fullmatch(r"[^/?#@\\]+\.b\.test\.?", host)
    assert listed, f"{asked!r} leads to {host!r}"
    assert bool(host) == bool(host_of(url)), "what leads to another host goes by a page that names it"
    assert not safe(url, ()) or not host, "without a list nothing leads elsewhere"


def _browser_host(url: str) -> str:
    """The host that a browser on our page goes to for this address, as the URL standard of WHATWG reads it; else ""."""
    url = re.sub(r"[\t\r\n]", "", url.strip("".join(map(chr, range(33))))).replace("\\", "/")
    scheme = re.match(r"([A-Za-z][A-Za-z0-9+.-]*):", url)
    if scheme is not None and scheme[1].lower() not in ("http", "https"):
        return scheme[0]
    rest = url[scheme.end() :] if scheme else url
    if not scheme and not rest.startswith("//"):
        return ""
    authority = re.split(r"[/?#]", rest.lstrip("/"), maxsplit=1)[0]
    return re.sub(r":[0-9]*$", "", authority.rpartition("@")[2]).lower()


def _request(headers: list[tuple[str, bytes]], body: bytes) -> Request:
    """As the server hands it over: names in lower case, and the host from its header."""
    scope: dict[str, Any] = {
        "type": "http", "http_version": "1.1", "method": "POST", "scheme": "http", "path": "/login",
        "query_string": b"", "headers": [(name.encode(), said) for name, said in headers],
        "client": ("127.0.0.1", 5), "server": (HOST, 80),
    }  # fmt: skip

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    return Request(scope, receive)
