"""What a front is told, as the bytes of an answer. Pure.

Rules of this file:

- Whoever is let in is named in Remote-User, and Remote-Groups is there even if empty: what a front copies from the
  answer replaces what its client has forged.
- Names hold anything, headers do not: `%`, what is not printable ASCII, and a blank at either end are percent-encoded
  as UTF-8; in a group the comma too, since commas stand between groups.
- No answer to a front has a body, none may be kept by a cache, and a refusal says nothing of why.
- h11 judges every header before it is written, so that no name can forge an answer; an answer is then kept.
"""

import functools
from collections.abc import Sequence
from http import HTTPStatus
from urllib.parse import quote

import h11

from protocol.session import Attributes

PLAIN = "".join(map(chr, range(0x20, 0x7F))).replace("%", "")
"""What a header may hold as it is."""

PLAIN_IN_GROUPS = PLAIN.replace(",", "")

ANSWERS_KEPT = 1_024
"""Answers that are kept ready, one for each user with his groups: 16 KiB each at most."""

_NOT_TRUSTED = b"your address is not listed in [client] trusted_proxies\n"
STRANGER = (
    b"HTTP/1.1 403 Forbidden\r\nConnection: close\r\nContent-Type: text/plain\r\n"
    b"Content-Length: %d\r\n\r\n%b" % (len(_NOT_TRUSTED), _NOT_TRUSTED)
)
"""For whoever is not to ask. They may learn that something listens here; nothing of theirs is read."""

Header = tuple[str, str]

CLOSE: Header = ("Connection", "close")


def answer(status: int, headers: Sequence[Header] = ()) -> bytes:
    """An answer without a body. Raises h11.LocalProtocolError for what is no header."""
    own: list[Header] = [("Content-Length", "0"), ("Cache-Control", "no-store")]
    made = h11.Response(status_code=status, headers=[*own, *headers])
    lines = [b"HTTP/1.1 %d %b\r\n" % (status, HTTPStatus(status).phrase.encode())]
    lines += [b"%b: %b\r\n" % each for each in made.headers.raw_items()]
    return b"".join([*lines, b"\r\n"])


@functools.lru_cache(ANSWERS_KEPT)
def allowed(user: str, attributes: Attributes) -> bytes:
    """Let it pass: it is `user`."""
    return answer(200, _names(user, attributes))


def allowed_with_cookie(user: str, attributes: Attributes, cookie: str) -> bytes:
    """Let it pass, and hand on `cookie`, the value of a Set-Cookie, to the browser."""
    return answer(200, [*_names(user, attributes), ("Set-Cookie", cookie)])


def refused(location: str | None, *, redirect: bool) -> bytes:
    """Nobody is logged in. `location` is where to log in, if there is a place."""
    headers = [] if location is None else [("Location", location)]
    return answer(302 if redirect and headers else 401, headers)


def login_location(login_url: str, origin: bytes | None, page: bytes | None) -> str:
    """Where to log in, with `url=`, what to come back to: a path, where the log-in page is one of the same host.

    `origin` is that host with its scheme. It is put before the path: Traefik would put our own address there.
    """
    place, same_host = (origin or b"").decode(), login_url.startswith("/")
    where = place + login_url if same_host else login_url
    if page is None or not (same_host or origin):
        return where
    wanted = page if same_host else place.encode() + page
    return f"{where}{'&' if '?' in login_url else '?'}url={quote(wanted, safe='')}"


def _names(user: str, attributes: Attributes) -> list[Header]:
    groups = dict(attributes).get("groups", ())
    encoded = [_encoded(name, PLAIN_IN_GROUPS) for name in ((groups,) if isinstance(groups, str) else groups)]
    return [("Remote-User", _encoded(user, PLAIN)), ("Remote-Groups", ",".join(encoded))]


def _encoded(name: str, plain: str) -> str:
    encoded = quote(name, safe=plain)
    return encoded if encoded == encoded.strip() else quote(name, safe=plain.replace(" ", ""))
