"""Session keys: what a proxy recognises a user by, in the one form that every proxy writes the same.

Rules of this file:

- A client address is written canonically: an IPv4-mapped IPv6 address as IPv4, IPv6 compressed and in lower case, no
  zone (a zone names an interface of one machine and means nothing on another).
- A cookie is `cookie:` and the first 32 hex digits of the SHA-256 of its value. The value is never stored, sent,
  printed or logged, and no error of this file quotes a key.
- Both are the address, `+`, the cookie.
- Anything else is a key of the host program's own making and stays as it is.
- No key holds NUL (it separates keys on the wire), another control character, or a blank at either end.

Source: DESIGN section 2.
"""

import re
from hashlib import sha256
from typing import Final

from protocol import addresses, limits

COOKIE_HEX_DIGITS: Final = 32

_COOKIE = re.compile(rf"cookie:[0-9a-fA-F]{{{COOKIE_HEX_DIGITS}}}")
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def key(address: str | None = None, cookie: str | bytes | None = None) -> str:
    """The key of a client address, of a cookie's value, or of both together.

    Raises ValueError when neither is given, the address is none, or the cookie is empty.
    """
    parts: list[str] = []
    if address is not None:
        canonical_address = _address(address)
        if canonical_address is None:
            raise ValueError("address: not an IPv4 or IPv6 address; give it without port and brackets")
        parts.append(canonical_address)
    if cookie is not None:
        value = cookie.encode() if isinstance(cookie, str) else cookie
        if not value:
            raise ValueError("cookie: empty; give the cookie's value, or leave it out")
        parts.append(f"cookie:{sha256(value).hexdigest()[:COOKIE_HEX_DIGITS]}")
    if not parts:
        raise ValueError("a key needs an address, a cookie, or both")
    return "+".join(parts)


def canonical(text: str) -> str:
    """The canonical form of a key that somebody wrote; canonical keys stay as they are.

    Raises ValueError when the text cannot be a key: empty, too long, or with characters that no key may hold.
    """
    check(text)
    cookies: list[str] = []
    others: list[str] = []
    for part in text.split("+"):
        (cookies if _COOKIE.fullmatch(part) else others).append(part)
    addresses = [_address(other) for other in others]
    if len(cookies) > 1 or len(addresses) > 1 or None in addresses:
        return text
    return "+".join([*(address for address in addresses if address), *map(str.lower, cookies)])


def check(text: str) -> None:
    """Raise ValueError, which quotes nothing, when the text cannot be a key."""
    if not text or text != text.strip():
        raise ValueError("key: empty, or a blank at its beginning or end")
    if _UNPRINTABLE.search(text):
        raise ValueError("key: holds a control character")
    if len(text.encode()) > limits.KEY_BYTES_MAX:
        raise ValueError(f"key: longer than {limits.KEY_BYTES_MAX} bytes")


def _address(text: str) -> str | None:
    """The canonical form of an address; None for anything else."""
    found = addresses.address(text)
    return None if found is None else str(found)
