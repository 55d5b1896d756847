"""Where a browser goes on to after a login: what it asked for with `url=`, if that is safe. Pure.

Rules of this file:

- A path of this host, or an address whose host [login] return_hosts lists. Everything else is nowhere: who follows a
  link to our page must not end up at somebody else's, who looks like us (open redirect).
- Squid writes the address HTML-escaped and then URL-encoded (`%u` of deny_info); the first is undone here, the other
  by whoever read the query. Only what squid writes is undone: `?copy=1&copy=2` stays as it is.
- What browsers read otherwise than we do is refused, not mended: backslashes, control characters, blanks, letters
  beyond ASCII, users before the host, and a second slash in front.
"""

import html
import re
from collections.abc import Sequence
from urllib.parse import urlsplit

LETTERS_MAX = 2_048

_SQUID_WROTE = re.compile(r"(?:[^&]|&(?:amp|lt|gt|quot|apos|#[0-9]{1,3});)*")
_PLAIN = re.compile(r"[!-\[\]-~]+")  # printable ASCII without blank and backslash
_AUTHORITY = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[^\[\]@:]+)(?::[0-9]*)?")
"""A host and maybe a port. What stands behind a bracket is no part of the host to urlsplit; to a browser it is."""


def safe(asked: str, hosts: Sequence[str]) -> str:
    """What was asked for, if a browser may be sent there, else nothing. `hosts` are names, `*.NAME` and `*`."""
    if len(asked) > LETTERS_MAX:
        return ""
    url = html.unescape(asked) if _SQUID_WROTE.fullmatch(asked) else asked
    if not _PLAIN.fullmatch(url):
        return ""
    if url.startswith("/"):
        return "" if url.startswith("//") else url
    try:
        found = urlsplit(url)
        usable = found.scheme in ("http", "https") and _AUTHORITY.fullmatch(found.netloc) and found.port != 0
    except ValueError:
        return ""
    return url if usable and url[len(found.scheme) :].startswith("://") and _listed(found.hostname or "", hosts) else ""


def host_of(url: str) -> str:
    """The host of what `safe` let through, for people; empty for a path of this one."""
    return urlsplit(url).netloc


def _listed(host: str, hosts: Sequence[str]) -> bool:
    name = host.removesuffix(".")
    below = (each[1:] for each in hosts if each.startswith("*."))
    return not {"*", name, f"[{name}]"}.isdisjoint(hosts) or any(map(name.endswith, below))
