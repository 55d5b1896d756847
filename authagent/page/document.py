"""The pages as documents: the status page, and the one that asks for the password. Pure.

Rules of this file:

- A document needs nothing from elsewhere: one style sheet, one script and one icon, all from this agent.
- Without JavaScript it is whole: the forms work, and loading it again brings the present.
"""

import attrs

from authagent.page.assets import Assets
from authagent.page.listing import Visitor
from protocol.io.http.markup import Child, Markup, Value, element


@attrs.frozen(kw_only=True)
class Shown:
    """What one status page holds: the parts that change, and what its visitor asked for."""

    title: str
    parts: dict[str, str]
    visitor: Visitor
    query: str
    sessions: Markup
    answer: Markup | None
    history: Markup | None
    elsewhere: str
    """Where the partner shows this page; empty where that is not known."""


def status_page(shown: Shown, assets: Assets) -> str:
    """The status page."""
    bar = element(
        "header.bar",
        None,
        element("span.brand", None, "one login"),
        element("span.live", {"id": "live", "role": "status"}, ""),
        _visitor(shown.visitor),
    )
    main = element(
        "main",
        {"id": "main", "data-elsewhere": shown.elsewhere or None},
        _part(shown, "section", "headline", {"aria-live": "polite", "aria-label": "In one sentence"}),
        _part(shown, "section.card", "picture", {"aria-label": "The site"}),
        _part(shown, "section", "numbers", {"aria-label": "Numbers of the last five minutes"}),
        _sessions(shown),
    )
    footer = _part(shown, "footer", "about", {})
    return _document(shown.title, assets, [bar, main, footer])


def _part(shown: Shown, tag: str, name: str, attributes: dict[str, Value]) -> Markup:
    """The element that holds a part, and the part as it is now."""
    return element(tag, {"id": name, **attributes}, Markup(shown.parts[name]))


def _visitor(visitor: Visitor) -> Child:
    if visitor.may_act:
        token = element("input", {"type": "hidden", "name": "token", "value": visitor.token})
        leave = element("button.quiet", {"type": "submit"}, "Sign out")
        return element("form.sign", {"method": "post", "action": "/sign-out"}, token, leave)
    return element("a.sign", {"href": "/sign-in"}, "Sign in")


def _sessions(shown: Shown) -> Markup:
    field = element(
        "input",
        {"type": "search", "name": "q", "id": "q", "value": shown.query, "placeholder": "User, address or key",
         "autocomplete": "off", "spellcheck": "false", "maxlength": 256},
    )  # fmt: skip
    form = element(
        "form.search",
        {"id": "search", "method": "get", "action": "/", "role": "search"},
        element("label", {"for": "q"}, "Who is logged in"),
        element("div.field", None, field, element("button", {"type": "submit"}, "Search")),
    )
    hint = None if shown.visitor.may_act else element("p.hint", None, "You may look. To log anybody out, sign in.")
    return element(
        "section",
        {"id": "people", "aria-label": "Sessions"},
        form,
        hint,
        element("div", {"id": "answer", "role": "status"}, shown.answer),
        element("div", {"id": "history", "aria-live": "polite"}, shown.history),
        element("div", {"id": "sessions"}, shown.sessions),
    )


def sign_in_page(title: str, form_token: str, trouble: str, password_set: bool, assets: Assets) -> str:
    """The page that asks for the password, or says how there comes to be one."""
    heading = element("h1", None, "Sign in")
    if password_set:
        hidden: dict[str, Value] = {"type": "hidden", "name": "token", "value": form_token}
        field = element("input", {"type": "password", "name": "password", "id": "password", "required": True,
                                  "autocomplete": "current-password", "autofocus": True,
                                  "aria-describedby": "trouble" if trouble else None})  # fmt: skip
        user: dict[str, Value] = {"type": "text", "name": "user", "value": "administrator", "hidden": True,
                                  "autocomplete": "username"}  # fmt: skip
        body: Child = element(
            "form.password",
            {"method": "post", "action": "/sign-in"},
            element("input", hidden),
            element("input", user),  # for password managers
            element("label", {"for": "password"}, "Password of the administrator"),
            field,
            element("p.trouble", {"id": "trouble", "role": "alert"}, trouble) if trouble else None,
            element("button", {"type": "submit"}, "Sign in"),
        )
    else:
        verb = element("code", None, "authagent passwd")
        how: list[Child] = ["Nobody can sign in yet. On this machine run ", verb, "."]
        body = [element("p", None, how), element("p", None, element("a", {"href": "/"}, "Back to the page"))]
    bar = element("header.bar", None, element("span.brand", None, "one login"), element("span", None, title))
    return _document(f"Sign in · {title}", assets, [bar, element("main.narrow", {"id": "main"}, heading, body)])


def _document(title: str, assets: Assets, body: Child) -> str:
    head = [
        element("meta", {"charset": "utf-8"}),
        element("meta", {"name": "viewport", "content": "width=device-width, initial-scale=1"}),
        element("meta", {"name": "color-scheme", "content": "light dark"}),
        element("title", None, title),
        element("link", {"rel": "stylesheet", "href": assets.address("page.css")}),
        element("link", {"rel": "icon", "type": "image/svg+xml", "href": assets.address("icon.svg")}),
        element("script", {"src": assets.address("page.js"), "type": "module"}),
    ]
    skip = element("a.skip", {"href": "#main"}, "To the content")
    whole = element("html", {"lang": "en"}, element("head", None, head), element("body", None, skip, body))
    return f"<!doctype html>\n{whole.text}\n"
