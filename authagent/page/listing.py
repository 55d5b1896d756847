"""The parts of the page that somebody asked for: sessions found, what a logout came to. Pure.

Rules of this file:

- What changes anything is a form with the visitor's own token, and works without JavaScript.
- Who may not act sees no form for it, and is told what is missing.
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

import attrs

from protocol.io.http import words
from protocol.io.http.markup import Child, Markup, element


@attrs.frozen(kw_only=True)
class Visitor:
    """Who looks at the page: with `token` whoever signed in, empty for one who may only read."""

    token: str = attrs.field(default="", repr=False)

    @property
    def may_act(self) -> bool:
        """Whether this visitor may change anything."""
        return bool(self.token)


@attrs.frozen(kw_only=True)
class Found:
    """What a search found. `looked_at` of `total` sessions were looked at; `more` where the list was cut short."""

    query: str
    sessions: tuple[Mapping[str, Any], ...]
    more: bool
    looked_at: int
    total: int


def sessions(found: Found, visitor: Visitor) -> Markup:
    """The list, with its own first line: how many, and of what."""
    asked = _history(found.query, found.query, f"What happened to “{found.query}”?") if found.query else None
    summary = element("p.summary", {"role": "status"}, _summary(found), " ", asked)
    if not found.sessions:
        return element("div", {"data-id": "sessions"}, summary)
    names = ["User", "Key", "Came in at", "Idle in", "Ends in", ""]
    head = element("tr", None, [element("th", {"scope": "col"}, name) for name in names])
    rows = [_row(each, found.query, visitor) for each in found.sessions]
    table = element("table.sessions", None, element("thead", None, head), element("tbody", None, rows))
    return element("div", {"data-id": "sessions"}, summary, table)


def _summary(found: Found) -> str:
    shown = len(found.sessions)
    if not shown:
        nobody = f"Nobody fits “{found.query}”" if found.query else "Nobody is logged in"
        return f"{nobody}{_unsearched(found)}."
    if not found.query:
        return f"{words.counted(found.total, 'session')}{f', {shown} of them shown' if found.more else ''}."
    first = "The first " if found.more else ""
    return f"{first}{words.counted(shown, 'session')} for “{found.query}”{_unsearched(found)}."


def _unsearched(found: Found) -> str:
    if found.looked_at >= found.total or found.more:
        return ""
    return f" among {found.looked_at:,} of {found.total:,} sessions; a whole user name or key is found among all"


def _row(session: Mapping[str, Any], query: str, visitor: Visitor) -> Markup:
    key, user = session["key"], session["user"]
    idle_s, lifetime_s = session["idle_left_s"], session["lifetime_left_s"]
    return element(
        "tr",
        {"data-id": session["login_id"]},
        element("th", {"scope": "row", "data-name": "User"}, user, _attributes(session["attributes"])),
        element("td.key", {"data-name": "Key"}, key),
        element("td.place", {"data-name": "Came in at"}, f"{session['site']} / {session['proxy']}"),
        element("td.time.idle", {"data-name": "Idle in"}, words.duration(idle_s)),
        element("td.time.life", {"data-name": "Ends in"}, words.duration(lifetime_s)),
        element(
            "td.actions",
            None,
            _history(key, query, "History", f"History of {key}"),
            _log_out(key, user, visitor) if visitor.may_act else None,
        ),
    )


def _history(subject: str, query: str, words: str, label: str | None = None) -> Markup:
    """Leads to what happened to a key or user, also to one who is logged in nowhere."""
    href = "/?" + urlencode({"q": query, "explain": subject}, errors="replace")
    return element("a", {"href": href, "data-explain": subject, "aria-label": label}, words)


def _attributes(attributes: Mapping[str, Any]) -> Child:
    told = [f"{name}: {', '.join(value) if isinstance(value, list) else value}" for name, value in attributes.items()]
    return element("span.attributes", None, "; ".join(told)) if told else None


def _log_out(key: str, user: str, visitor: Visitor) -> Markup:
    """A drawer with the two things that can be meant, so that one click ends nothing."""
    return element(
        "details.act",
        {"data-id": f"act-{key}"},
        element("summary", {"aria-label": f"Log out {user} at {key}"}, "Log out"),
        element(
            "div.drawer",
            None,
            _order({"key": key}, "This session", visitor),
            _order({"user": user}, f"Everything of {user}", visitor),
        ),
    )


def _order(target: Mapping[str, str], label: str, visitor: Visitor) -> Markup:
    hidden = {**target, "token": visitor.token}
    inputs = [element("input", {"type": "hidden", "name": name, "value": value}) for name, value in hidden.items()]
    button = element("button.ends", {"type": "submit"}, label)
    return element("form", {"method": "post", "action": "/logout", "data-order": "logout"}, inputs, button)


# -- answers ------------------------------------------------------------------------------------------------------


def confirmation(target: str, told: Mapping[str, Any]) -> Markup:
    """What `authagent logout` would say: node by node, done or pending and what that means."""
    done, pending = told["done"], told["pending"]
    total = len(done) + len(pending)
    first = f"{words.counted(told['ended'], 'session')} of {target} ended, on {len(done)} of {total} nodes."
    items = [element("li.done", None, _mark("✓"), node) for node in done]
    items += [element("li.pending", None, _mark("…"), element("b", None, each["node"]), f" {each['reason']}: ",
                      _may_serve(each["serves_at_most_s"])) for each in pending]  # fmt: skip
    kind = "div.answer.is-pending" if pending else "div.answer.is-done"
    return element(kind, {"data-id": "answer"}, element("p", None, first), element("ul.nodes", None, items))


def refusal(text: str) -> Markup:
    """Why something was not done."""
    return element("div.answer.is-refused", {"data-id": "answer"}, element("p", None, text))


def _mark(sign: str) -> Markup:
    return element("span", {"aria-hidden": "true"}, f"{sign} ")


def _may_serve(seconds: float) -> str:
    if not seconds:
        return "serves nobody any more"
    return f"may serve for {words.duration(seconds)} more at most"
