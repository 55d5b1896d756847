"""The fields of a question as squid writes them: unescaped, and made into keys.

Rules of this file:

- A client is `ADDRESS` or `ADDRESS COOKIE`, whichever of them [client] key wants; what stands behind is not looked at.
- Squid writes `-` for what is missing, and escapes as URLs do.
- What is no UTF-8 was written by a browser that knows Latin-1 only.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from urllib.parse import unquote_to_bytes

from proxyagent.integrations.client_key import ClientKeys

ADDRESSES_AT_HAND = 16_384
"""Addresses whose keys are not made again: every request asks, and this is twenty times faster."""

KeyOf = Callable[[Sequence[bytes]], str | None]


def key_of(keys: ClientKeys) -> KeyOf:
    """What makes the key of a client; it gives None where what the key needs is missing."""
    of_address = lru_cache(ADDRESSES_AT_HAND)(lambda address: keys.key(address, None))

    def by_address(fields: Sequence[bytes]) -> str | None:
        address = text(fields[0]) if fields else None
        return None if address is None else of_address(address)

    def by_cookie(fields: Sequence[bytes]) -> str | None:
        return keys.key(text(fields[0]), text(fields[1])) if len(fields) > 1 else None

    return by_address if keys.settings.key == "address" else by_cookie


def text(field: bytes) -> str | None:
    """One field; None for one that is missing."""
    if field in (b"-", b""):
        return None
    plain = unquote_to_bytes(field) if b"%" in field else field
    try:
        return plain.decode()
    except UnicodeDecodeError:
        return plain.decode("latin-1")
