"""What a front asks: whose request it is, for which page, and how it wants a refusal. Pure.

Rules of this file:

- The path says how a refusal must look, and nothing else: Envoy appends the path and query of its client to it.
- The page is known from X-Forwarded-* only. A page that cannot be one is left out; who asks for it is refused all the
  same, and comes to the log-in page without a way back.
- Who the request claims to be (Remote-User, Authorization) is not read: nginx, Traefik and Caddy pass that on forged.
- Of a header that comes twice the last counts, except those that are lists: fronts append, and do not put in front.

Source: issue 4, table of what arrives from each of the four.
"""

import enum
import re
from typing import TypeAlias

from proxyagent.integrations.forward_auth.plain import Request

LIST_SEPARATORS = {b"x-forwarded-for": b",", b"cookie": b";"}
"""Headers that are lists, which a front may send as several."""

NAMES = frozenset(
    (b"accept", b"x-forwarded-host", b"x-forwarded-method", b"x-forwarded-proto", b"x-forwarded-uri", *LIST_SEPARATORS)
)
"""All headers that are read."""

PAGE_BYTES_MAX = 2_048
"""The path of a page to come back to: longer ones fit no front's buffer once they are quoted in a Location."""

_HOST = re.compile(rb"(?:[A-Za-z0-9._~-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?")

Headers: TypeAlias = dict[bytes, bytes]
"""The headers of NAMES that came, under their names in lower case."""


class Front(enum.Enum):
    """How a front wants a refusal, by the first part of the path that it asks for."""

    PASSES_ON = b"auth"
    """The answer goes to the client as it is: Traefik, Caddy, Envoy."""

    TAKES_401 = b"auth401"
    """Anything but 401 and 403 is a failure, and a configuration turns the Location of a 401 into a redirect: nginx."""


_FRONTS = {front.value: front for front in Front}


def front_of(target: bytes) -> Front | None:
    """Who asks for this target; None for nobody."""
    return _FRONTS.get(target.partition(b"?")[0].split(b"/", 2)[1]) if target.startswith(b"/") else None


def headers_of(request: Request) -> Headers:
    """What is read of a request."""
    found: Headers = {}
    for name, value in request.headers:
        if name in NAMES:
            if name in found and name in LIST_SEPARATORS:
                value = found[name] + LIST_SEPARATORS[name] + value
            found[name] = value
    return found


def forwarded_for(headers: Headers) -> list[str]:
    """The items of X-Forwarded-For, from the first proxy's to the last one's; none where there is no such header."""
    value = headers.get(b"x-forwarded-for")
    return [] if value is None else value.decode("latin-1").split(",")


def cookie(headers: Headers, name: bytes) -> str | None:
    """The value of a cookie; of several of one name the last, as frameworks have it."""
    found = None
    for part in headers.get(b"cookie", b"").split(b";"):
        key, _, value = part.strip().partition(b"=")
        if key == name:
            found = value
    return None if found is None else found.decode("latin-1")


def is_browser(request: Request, headers: Headers) -> bool:
    """Whether somebody looks at the answer: a GET of what wants HTML."""
    return _method(request, headers) == b"GET" and b"text/html" in headers.get(b"accept", b"").lower()


def origin(headers: Headers) -> bytes | None:
    """Scheme and host that the client asked: `https://app.example.org`."""
    scheme, host = headers.get(b"x-forwarded-proto", b""), headers.get(b"x-forwarded-host", b"")
    return scheme + b"://" + host if scheme in (b"http", b"https") and _HOST.fullmatch(host) else None


def page(request: Request, headers: Headers) -> bytes | None:
    """Path and query of the page that was asked for, where a browser could come back to it."""
    path = headers.get(b"x-forwarded-uri", b"")
    is_one = path.startswith(b"/") and len(path) <= PAGE_BYTES_MAX
    return path if is_one and _method(request, headers) in (b"GET", b"HEAD") else None


def is_https(headers: Headers) -> bool:
    """Whether the client came over TLS."""
    return headers.get(b"x-forwarded-proto") == b"https"


def _method(request: Request, headers: Headers) -> bytes:
    """The client's method: Envoy asks with it, the others send a GET and tell."""
    return headers.get(b"x-forwarded-method", request.method)
