"""The pages as documents: signing in, being signed in, signing out, and what went wrong. Pure.

Rules of this file:

- A document needs nothing but itself: its style sheet is in it, there is no script, and nothing is fetched.
- Addresses in it are relative, so that a proxy may serve it below any path.
- Every word is one of the texts; every text is escaped where HTML is made.
"""

import re
from base64 import b64encode
from collections.abc import Mapping, Sequence
from functools import cache
from hashlib import sha256
from importlib import resources

import attrs

from protocol.io.http.look import look
from protocol.io.http.markup import Child, Markup, Value, element
from protocol.io.http.words import duration
from proxyagent.login.return_url import host_of

PLACES_MAX = 50
"""Of the sessions of one user, so many are shown."""

_COOKIE = re.compile(r"cookie:([0-9a-f]{4})[0-9a-f]{28}")


@attrs.frozen
class Place:
    """One session of whoever looks at the page. `since_s` is how long ago it began."""

    login_id: str
    key: str
    site: str
    since_s: float
    here: bool


@attrs.frozen
class Paper:
    """What all pages need: language and texts, and what a form of this browser must bear."""

    language: str
    texts: Mapping[str, str]
    token: str = attrs.field(default="", repr=False)

    def sign_in(self, url: str, trouble: str = "", said: str = "", user: str = "") -> str:
        """Ask for name and password; `url` is where to go on to."""
        texts = self.texts
        name: dict[str, Value] = {
            "type": "text", "name": "user", "id": "user", "value": user, "required": True, "maxlength": 256,
            "autocomplete": "username", "autocapitalize": "none", "autocorrect": "off", "spellcheck": "false",
            "autofocus": not user,
        }  # fmt: skip
        word: dict[str, Value] = {
            "type": "password", "name": "password", "id": "password", "required": True, "maxlength": 1024,
            "autocomplete": "current-password", "autofocus": bool(user),
            "aria-describedby": "trouble" if trouble else None,
        }  # fmt: skip
        form = self._form(
            "login", "password", {"url": url},
            element("label", {"for": "user"}, texts["user"]), element("input", name),
            element("label", {"for": "password"}, texts["password"]), element("input", word),
            element("button", {"type": "submit"}, texts["sign_in"]),
        )  # fmt: skip
        about = element("p.trouble", {"id": "trouble", "role": "alert"}, trouble) if trouble else None
        hint = element("p.said", {"role": "status"}, said) if said else None
        return self._document(texts["title"], [about, hint, form])

    def signed_in(self, user: str, places: Sequence[Place], url: str) -> str:
        """Who it is, where else, and how to end that; with a way to `url`, for those who came with one."""
        texts = self.texts
        shown = [self._place(place) for place in places[:PLACES_MAX]]
        more = len(places) - len(shown)
        body: list[Child] = [
            self._onward(url) if url else None,
            self._form("logout", "", {}, element("button", {"type": "submit"}, texts["sign_out"])),
            element("h2", None, texts["places"]),
            element("ul.places", None, shown),
            element("p.said", None, texts["more"].format(count=more)) if more else None,
            self._form("end", "all", {"all": "1"}, element("button", {"type": "submit"}, texts["end_all"])),
        ]
        return self._document(texts["signed_in"].format(user=user), body)

    def going_on(self, user: str, url: str) -> str:
        """Somebody who is signed in now is taken to another host."""
        refresh = element("meta", {"http-equiv": "refresh", "content": f"0; url={url}"})
        return self._document(self.texts["signed_in"].format(user=user), [self._onward(url)], refresh)

    def sign_out(self) -> str:
        """Ask first: what changes anything is a form."""
        button = element("button", {"type": "submit"}, self.texts["sign_out"])
        return self._document(self.texts["sign_out_here"], [self._form("logout", "", {}, button)])

    def trouble(self, text: str, *, again: bool = False) -> str:
        """What went wrong, and perhaps a way to begin anew."""
        way = element("a.onward", {"href": "./"}, self.texts["again"]) if again else None
        return self._document(self.texts["title"], [element("p.trouble", {"role": "alert"}, text), way])

    def _place(self, place: Place) -> Markup:
        texts = self.texts
        site = texts["site"].format(site=place.site)
        about: list[Child] = [site, " · ", texts["since"].format(duration=duration(place.since_s))]
        here = element("small.here", None, texts["here"]) if place.here else None
        name = self._named(place.key)
        button = element("button", {"type": "submit", "aria-label": f"{texts['end']}: {name}"}, texts["end"])
        end = self._form("end", "", {"session": place.login_id}, button)
        what = element("div", None, element("b", None, name), element("small", None, about), here)
        return element("li", None, what, end)

    def _named(self, key: str) -> str:
        """What a key says of a session to its own user; a cookie is a few digits, by which two can be told apart."""
        address, _, cookie = key.rpartition("+")
        named = _COOKIE.fullmatch(cookie)
        words = [self.texts["in_browser"].format(number=named[1])] if named else []
        if address or not named:
            at = address if named else key
            is_address = re.fullmatch(r"[0-9.]+|[0-9a-f:.]+", at)
            words.append(self.texts["at_address"].format(address=at) if is_address else self.texts["elsewhere"])
        return ", ".join(words)

    def _onward(self, url: str) -> Markup:
        where = host_of(url)
        text = self.texts["go_on"].format(where=where) if where else self.texts["back"]
        return element("a.onward", {"href": url, "rel": "noreferrer"}, text)

    def _form(self, action: str, kind: str, hidden: Mapping[str, str], *children: Child) -> Markup:
        inputs = [
            element("input", {"type": "hidden", "name": name, "value": value})
            for name, value in {**hidden, "token": self.token}.items()
        ]
        return element(f"form.{kind}" if kind else "form", {"method": "post", "action": action}, inputs, children)

    def _document(self, heading: str, body: Child, *head: Child) -> str:
        title = self.texts["title"]
        metas = [
            element("meta", {"charset": "utf-8"}),
            element("meta", {"name": "viewport", "content": "width=device-width, initial-scale=1"}),
            element("meta", {"name": "color-scheme", "content": "light dark"}),
            *head,
            element("title", None, heading if heading == title else f"{heading} · {title}"),
            element("link", {"rel": "icon", "href": "data:,"}),
            element("style", None, Markup(style())),
        ]
        main = element("main", None, element("h1", None, heading), body)
        whole = element("html", {"lang": self.language}, element("head", None, metas), element("body", None, main))
        return f"<!doctype html>\n{whole.text}\n"


@cache
def style() -> str:
    """The style sheet of these pages. Blocks on the disk at its first call."""
    return look() + resources.files("proxyagent.login").joinpath("login.css").read_text(encoding="utf-8")


def style_source() -> str:
    """What a Content-Security-Policy must name for the style sheet to count."""
    return f"'sha256-{b64encode(sha256(style().encode()).digest()).decode()}'"
