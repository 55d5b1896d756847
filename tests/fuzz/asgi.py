"""Whole HTTP applications under hostile browsers: one request after the other, answered without a socket.

Rules of this file:

- A request is what h11 would let through, as hypercorn hands it over, and goes through the shipping guard.
- Whatever comes is answered with a status that is documented, or not at all where the browser has left: no error gets
  out, none is told as one of ours, and no answer is longer than ANSWER_BYTES_MAX.
- A page is read as HTML: it holds no element, attribute or address but those that our pages are made of.
"""

import functools
import random
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from html.parser import HTMLParser
from typing import Any
from urllib.parse import unquote

import attrs
import trio
from trio.testing import MockClock

from protocol.io.http.guard import App, Guard
from protocol.io.log import Log
from tests.fuzz import inputs

ANSWER_BYTES_MAX = 256 * 1024
BARE = {404, 405, 408, 413}
"""What the guard and Starlette answer by themselves, in plain text."""

METHODS = ("HEAD", "PUT", "OPTIONS", "TRACE", "DELETE", "PROPFIND", "get", "X" * 300)
LINES = (
    b"content-length: 99999999999999999999", b"content-length: 70000", b"x-forwarded-proto: https", b"accept: */*",
    b"x-forwarded-proto: javascript", b"x-forwarded-for: 10.0.0.9, 10.0.0.8", b"x-forwarded-for: ,<b>,",
    b"x-forwarded-for: fe80::1%<b>", b"x-forwarded-host: evil.test", b"forwarded: host=evil.test", b"host: evil.test",
    b"host: a{.evil.test", b"host: [::1", b"host: 127.0.0.1", b"host: localhost:9080", b"host: evil.test:99999",
    b"host: \xff", b"host: 127.0.0.1@evil.test", b"host: evil.test#", b"host: ", b"origin: null",
    b"origin: http://evil.test", b"sec-fetch-site: cross-site", b"accept-language: <b>,de;q=0.9", b"x-part: answer",
    b"accept: application/openmetrics-text; version=x", b"accept: application/openmetrics-text; version=1.0.0; ;=",
    b"accept: text/plain;version=1.0.0;escaping=allow-utf-8", b"cookie: =;;\"<b>\\", b"cookie: authagent=x; sid=y",
    b'cookie: authagent-form="\\012\\377"', b"cookie: login-form=<script>", b"content-type: multipart/form-data",
    b"range: bytes=0-", b"last-event-id: 9", b"expect: 100-continue", b"transfer-encoding: gzip",
)  # fmt: skip
MARKS = (
    "<script>alert(1)</script>", "\"'><b onclick=x()>", "</style><img src=x>", "\u202e<!--", "&lt;b&gt;", "\0", "{0}",
    "]]>", "javascript:alert(1)", "\ud7ff\uffff", "%3Cb%3E", "\x9b2J", " ", "x" * 3_000, "\r\nset-cookie: a=b",
)  # fmt: skip
"""What a page that reflects it unescaped would be changed by."""


@attrs.frozen
class Asked:
    """One request. `pieces` are its body; the browser leaves after them where it has `left`."""

    method: str
    target: bytes
    headers: list[tuple[bytes, bytes]]
    pieces: list[bytes]
    left: bool = False

    @property
    def host(self) -> str:
        """The first Host that it names."""
        return next((said.decode("latin-1") for name, said in self.headers if name == b"host"), "")


@attrs.define(slots=False)
class Answer:
    """What came. `status` is 0 where nothing did."""

    status: int = 0
    headers: list[tuple[bytes, bytes]] = attrs.field(factory=list)
    pieces: list[bytes] = attrs.field(factory=list)

    @property
    def body(self) -> bytes:
        return b"".join(self.pieces)

    @functools.cached_property
    def page(self) -> "Page | None":
        """What a browser reads; None where it is no HTML."""
        return Page(self.body) if self.value("content-type").startswith("text/html") else None

    def values(self, name: str) -> list[str]:
        return [said.decode("latin-1") for each, said in self.headers if each == name.encode()]

    def value(self, name: str) -> str:
        return "".join(self.values(name)[:1])


def request(
    method: str, target: str, headers: list[tuple[str, str]], body: bytes, chance: random.Random, wrong: int = -1
) -> list[Any]:
    """A request with so many things wrong, up to two if that is not said; as plain values."""
    lines = [f"{name}: {said}".encode("latin-1", "replace") for name, said in headers]
    address, pieces, left = target.encode(errors="replace"), [body], False
    for _ in range(chance.choice((0, 0, 1, 1, 2)) if wrong < 0 else wrong):
        what = chance.random()
        if what < 0.1:
            method = chance.choice((*METHODS, "POST", "GET"))
        elif what < 0.3:
            address = inputs.spoiled(address, chance)
        elif what < 0.6:
            lines.insert(chance.randrange(len(lines) + 1), chance.choice(LINES))
        elif what < 0.7:
            lines[:] = [inputs.spoiled(each, chance) if chance.random() < 0.2 else each for each in lines]
        elif what < 0.8:
            cut = chance.randrange(len(body) + 1)
            pieces, left = [body[:cut], body[cut:]], chance.random() < 0.5
        else:
            pieces = [inputs.spoiled(body, chance)] * chance.choice((1, 1, 2))
    times = 1
    if chance.random() < 0.005:
        pieces, times = [b"a=" + b"b" * 1_000], 70
    return [method, address, lines, pieces, left, times]


def read(told: list[Any], replaced: Mapping[bytes, bytes]) -> Asked:
    """Such values as h11 lets them through; what only the answer before could tell is put in."""
    method, address, lines, pieces, left, times = told
    for name, value in replaced.items():
        lines = [line.replace(name, value) for line in lines]
        pieces = [piece.replace(name, value) for piece in pieces]
    pairs = [re.sub(rb"[\0\r\n]", b"", line).partition(b":") for line in lines]
    headers = [(re.sub(rb"[^a-z0-9-]", b"", name.lower()), said.strip()) for name, _, said in pairs]
    address = re.sub(rb"[^!-~]", b"", address) or b"/"
    return Asked(re.sub("[^A-Za-z]", "", method) or "GET", address, headers, pieces * times, left)


class Served:
    """An application behind the guard, asked by one browser at a time."""

    def __init__(self, app: App) -> None:
        self._lines: list[Any] = []
        log = Log(lambda *line: self._lines.append(line), level=0, monotonic_s=trio.current_time)
        self._guard = Guard(app, log)

    async def ask(self, asked: Asked, patience_s: float = 30.0) -> Answer:
        """The answer, read for so long."""
        path, _, query = asked.target.partition(b"?")
        scope: dict[str, Any] = {
            "type": "http", "http_version": "1.1", "asgi": {"version": "3.0"}, "method": asked.method, "scheme": "http",
            "path": unquote(path.decode()), "raw_path": path, "query_string": query, "root_path": "",
            "headers": asked.headers, "client": ("127.0.0.1", 5), "server": ("127.0.0.1", 9_080), "state": {},
            "extensions": {},
        }  # fmt: skip
        answer, waiting = Answer(), [*asked.pieces]

        async def receive() -> dict[str, Any]:
            await trio.lowlevel.checkpoint()
            if waiting:
                more = asked.left or len(waiting) > 1
                return {"type": "http.request", "body": waiting.pop(0), "more_body": more}
            if not asked.left:
                await trio.sleep(patience_s)
            return {"type": "http.disconnect"}

        async def send(message: Mapping[str, Any]) -> None:
            await trio.lowlevel.checkpoint()
            if message["type"] == "http.response.start":
                assert not answer.status, "an answer begins once"
                answer.status, answer.headers = message["status"], [*message["headers"]]
            else:
                answer.pieces.append(bytes(message.get("body", b"")))

        self._lines.clear()
        failed = self._guard.failed_total
        await self._guard(scope, receive, send)
        assert self._guard.failed_total == failed, f"a mistake of ours: {self._lines}"
        assert len(answer.body) <= ANSWER_BYTES_MAX, f"{len(answer.body)} bytes"
        assert all(b"\n" not in said and b"\r" not in said for _, said in answer.headers), "a header is a line"
        return answer


def run(ask: Callable[..., Any], *arguments: Any, passed_s: float = 0.0) -> Any:
    """Run this on a clock of its own that begins after so many seconds."""
    clock = MockClock(autojump_threshold=0)
    clock.jump(passed_s)
    with _without_threads():
        return trio.run(ask, *arguments, clock=clock)


@contextmanager
def _without_threads() -> Iterator[None]:
    """What would be done in a thread is done at once: the clock of a test does not wait for threads."""
    before = trio.to_thread.run_sync
    trio.to_thread.run_sync = _at_once  # type: ignore[assignment]
    try:
        yield
    finally:
        trio.to_thread.run_sync = before


async def _at_once(function: Callable[..., Any], *arguments: Any, **more: Any) -> Any:
    await trio.lowlevel.checkpoint()
    return function(*arguments)


def is_bare(answer: Answer) -> bool:
    """Whether it is none of a page's, but a word of plain text: too long, too late, no such method, no such address."""
    return answer.status in BARE and answer.value("content-type").startswith("text/plain") and len(answer.body) < 100


# -- what a browser reads -------------------------------------------------------------------------------------------

ELEMENTS = frozenset(re.findall(r"\w+", """
    html head meta title link style script body header main footer section div span p a b code form input label
    button h1 h2 h3 ul ol li article time table thead tbody tr th td details summary small dl dt dd
    svg g rect line path text circle polygon polyline
"""))  # fmt: skip
ATTRIBUTES = frozenset(re.findall(r"[\w-]+", """
    lang charset name content http-equiv rel href type src id class role title method action value required maxlength
    autocomplete autocapitalize autocorrect spellcheck autofocus placeholder hidden for scope datetime
    viewbox preserveaspectratio x y x1 y1 x2 y2 cx cy r rx d width height points
    aria-label aria-live aria-hidden aria-describedby
"""))  # fmt: skip
_VOID = frozenset({"meta", "link", "input", "rect", "line", "path", "circle", "polygon", "polyline"})


class Page(HTMLParser):
    """One page, or a part of one, as a browser reads it."""

    def __init__(self, body: bytes) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.values: dict[str, str] = {}
        """Of each field of a form, what stands in it; of several the first."""
        self._open: list[str] = []
        self.feed(body.decode())
        self.close()
        assert not self._open, f"never ended: {self._open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in ELEMENTS, f"<{tag}> is none of ours"
        given = dict(attrs)
        for name in given:
            assert name in ATTRIBUTES or name.startswith("data-"), f"{name} is no attribute of ours"
        self.addresses += [given[name] or "" for name in ("href", "src", "action") if name in given]
        if given.get("http-equiv") == "refresh":
            self.addresses.append((given["content"] or "").removeprefix("0; url="))
        if tag == "input":
            self.values.setdefault(given.get("name") or "", given.get("value") or "")
        if tag not in _VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert tag in _VOID or self._open.pop() == tag, f"</{tag}> ends something else"

    def handle_comment(self, data: str) -> None:
        raise AssertionError("a comment")

    def handle_pi(self, data: str) -> None:
        raise AssertionError("an instruction")

    def unknown_decl(self, data: str) -> None:
        raise AssertionError("a declaration")
