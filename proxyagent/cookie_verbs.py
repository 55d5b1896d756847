"""The verbs of the failover cookie: `proxyagent keygen`, `cookie seal` and `cookie open`. They ask nobody.

Rules of this file:

- A cookie may be a user's login: it is read from standard input as well (`-`), since arguments show in `ps`.
- A cookie that is refused is exit code 1, whatever is wrong with it; a key that cannot be used is exit code 2.
- What a cookie says is printed so that it cannot forge a line or steer a terminal.
"""

import datetime
import json
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

from protocol.io.control_client import ExitCode
from protocol.limits import COOKIE_READ_BYTES_MAX
from protocol.mistakes import Mistake, MistakesFound
from proxyagent import cookie_key
from proxyagent.cookie import KeyRing
from proxyagent.errors import ConfigurationError, LimitExceeded

Claims = Mapping[str, str | Sequence[str]]


def keygen(path: str) -> int:
    """Make a key file."""
    cookie_key.make(path)
    print(f"wrote 64 random bytes to {path}, mode 0600: copy it to every proxy, and name it in [cookie] key_files")
    return ExitCode.DONE


def seal(paths: Sequence[str], compatibility: str, user: str, claims: Claims, lifetime_s: float) -> int:
    """Print a cookie."""
    ring = _ring(paths, compatibility)
    try:
        print(ring.seal(user, claims, expires_at_s=int(_now_s() + lifetime_s)))
    except (ConfigurationError, LimitExceeded, ValueError) as error:
        raise MistakesFound("", [Mistake("", str(error))]) from None
    return ExitCode.DONE


def open_token(paths: Sequence[str], compatibility: str, token: str, *, as_json: bool) -> int:
    """Print what a cookie says; `-` is standard input."""
    ring = _ring(paths, compatibility)
    if token == "-":
        token = sys.stdin.read(COOKIE_READ_BYTES_MAX + 2)
    try:
        cookie = ring.open(token.strip(), now_s=_now_s())
    except ConfigurationError as error:
        raise MistakesFound("", [Mistake("", str(error))]) from None
    if cookie is None:
        sys.stderr.write("proxyagent: the cookie is refused\n")
        return ExitCode.NO
    expires_at = datetime.datetime.fromtimestamp(cookie.expires_at_s, datetime.UTC).isoformat()
    if as_json:
        found = {"user": cookie.user, "expires_at": expires_at.replace("+00:00", "Z"), "claims": cookie.claims}
        print(json.dumps(found))
        return ExitCode.DONE
    print(_plain(cookie.user))
    for name, value in cookie.claims.items():
        for each in value if isinstance(value, list) else [value]:
            print(f"{_plain(name)}={_plain(each)}")
    return ExitCode.DONE


def _ring(paths: Sequence[str], compatibility: str) -> KeyRing:
    """The keys named on the command line. They are the operator's own: what is doubtful about them is only told."""
    keys = []
    for path in paths:
        key = cookie_key.read(path, padded=compatibility == "iag", private=False)
        for warning in key.warnings:
            sys.stderr.write(f"proxyagent: cookie key {path}: {warning}\n")
        keys.append(key.octets)
    try:
        return KeyRing(tuple(keys))
    except ValueError as error:
        raise MistakesFound("", [Mistake("--key", str(error))]) from None


def _plain(value: Any) -> str:
    """A text as it is, if it can be printed on one line; anything else as JSON."""
    return value if isinstance(value, str) and value.isprintable() else json.dumps(value)


def _now_s() -> float:
    return time.time()  # noqa: TID251 - a cookie that nobody's clock keeps is judged by the wall clock
