"""What a host program hands in, checked and brought into the form of the table.

Rules of this file: whatever passes here can be encoded, sent and merged everywhere; whatever cannot is refused here,
with a LimitExceeded that names the bound, before anything has changed.
"""

import math
import re
from collections.abc import Mapping, Sequence
from typing import TypeAlias

import msgpack

from protocol import key as keys
from protocol import limits
from protocol.session import Attributes
from proxyagent.errors import LimitExceeded

_PLAIN_KEY = re.compile(r"[0-9A-Za-z][0-9A-Za-z._@/-]{0,255}|cookie:[0-9a-f]{32}")
"""Keys that are surely canonical: an IPv4 address, a cookie's, a host program's own. Told in a tenth of the time."""

GivenAttributes: TypeAlias = Mapping[str, str | Sequence[str]]


def text(what: str, value: str, bytes_max: int) -> str:
    """A key or a user name: some text, not too long, without NUL (which separates texts on the wire)."""
    if not isinstance(value, str):
        raise WrongType(f"{what} must be a str, not {type(value).__name__}")
    try:
        size = len(value) if value.isascii() else len(value.encode())
    except UnicodeEncodeError:
        raise LimitExceeded(f"{what} is not text: it cannot be written as UTF-8") from None
    if not 0 < size <= bytes_max:
        raise LimitExceeded(f"{what} has {size} bytes; 1 to {bytes_max} are allowed")
    if "\0" in value:
        raise LimitExceeded(f"{what} contains a NUL character")
    return value


def printable(what: str, value: str, bytes_max: int) -> str:
    """A text that may stand in a log line: a kind, an id, the name of a device."""
    if not text(what, value, bytes_max).isprintable():
        raise LimitExceeded(f"{what} has characters that cannot be printed")
    return value


class WrongType(TypeError):
    """The host program handed in something of the wrong type: its mistake, not ours."""


def key(value: str) -> str:
    """A key in canonical form."""
    if not isinstance(value, str):
        raise WrongType(f"the key must be a str, not {type(value).__name__}")
    if _PLAIN_KEY.fullmatch(value):
        return value
    try:
        return keys.canonical(value)
    except ValueError as error:
        raise LimitExceeded(str(error)) from None


def other_key(value: str) -> str | None:
    """The canonical form of a key that is not canonical; None for one that is, or that cannot be a key."""
    if _PLAIN_KEY.fullmatch(value):
        return None
    try:
        canonical = keys.canonical(value)
    except ValueError:
        return None
    return canonical if canonical != value else None


def user(value: str, user_names: str) -> str:
    """A user name as the configuration wants it."""
    return text("the user", value.lower() if user_names == "lower" else value, limits.USER_BYTES_MAX)


def attributes(given: GivenAttributes | None) -> Attributes:
    """Attributes as sorted pairs; a sequence of texts becomes a tuple."""
    if not given:
        return ()
    if len(given) > limits.ATTRIBUTES_MAX:
        raise LimitExceeded(f"{len(given)} attributes were given; {limits.ATTRIBUTES_MAX} are allowed")
    pairs: list[tuple[str, str | tuple[str, ...]]] = []
    for name, value in given.items():
        values = (value,) if isinstance(value, str) else tuple(value)
        for each in (name, *values):
            if not isinstance(each, str):
                raise WrongType(f"attribute {name!r}: names and values must be str, not {type(each).__name__}")
        if not name:
            raise LimitExceeded("an attribute has no name")
        pairs.append((name, value if isinstance(value, str) else values))
    pairs.sort(key=lambda pair: pair[0])
    try:
        size = len(msgpack.packb([part for pair in pairs for part in pair]))
    except UnicodeEncodeError:
        raise LimitExceeded("an attribute is not text: it cannot be written as UTF-8") from None
    if size > limits.ATTRIBUTES_BYTES_MAX:
        raise LimitExceeded(f"attributes have {size} bytes; {limits.ATTRIBUTES_BYTES_MAX} are allowed")
    return tuple(pairs)


def idle_timeout_s(given: float | None, default: int) -> int:
    """Whole seconds of idle timeout, at least IDLE_TIMEOUT_S_MIN; less than a second is rounded up."""
    if given is None:
        return default
    if not limits.IDLE_TIMEOUT_S_MIN <= given <= limits.LIFETIME_MS_MAX // 1000:
        raise LimitExceeded(f"idle_timeout is {given:g} s; at least {limits.IDLE_TIMEOUT_S_MIN} s, at most 7 days")
    return math.ceil(given)


def lifetime_ms(given_s: float | None, most_ms: int) -> int:
    """Milliseconds until a session ends whatever happens; never beyond the configured maximum."""
    if given_s is None:
        return most_ms
    if not 0.001 <= given_s <= most_ms / 1000:
        raise LimitExceeded(
            f"lifetime is {given_s:g} s; at least 0.001 s and at most max_lifetime, {most_ms / 1000:g} s"
        )
    return int(given_s * 1000)
