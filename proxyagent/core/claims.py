"""What a failover cookie says of a session: a record as claims, and back.

Rules of this file:

- A record comes back exactly: login id, key, user, site, times, idle timeout and attributes, and the last activity.
- Attributes are claims by their own names, as IBM's gateway has them. All the rest is one claim, SESSION_CLAIM.
- What is not in every part what `claims_of` writes is no session: None. Whoever holds the key is a proxy or poses as
  one; still nothing may enter the table that a peer would refuse, so the codec itself is asked.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

from protocol import codec, limits
from protocol.errors import LocalProtocolError
from protocol.session import Attributes, Login, LoginId, Record, State
from proxyagent.core import inputs
from proxyagent.core.columns import changes_of
from proxyagent.errors import LimitExceeded

SESSION_CLAIM: Final = "one_login"

_LOGIN_ID = re.compile(r"(.+):([0-9a-f]{16}):([0-9]{1,13})")
_TEXTS = ("login_id", "key", "site")
_NUMBERS = ("login_at_ms", "expires_at_ms", "idle_timeout_s", "idle_deadline_ms")


def claims_of(record: Record) -> dict[str, Any]:
    """The claims of a session besides its user. Raises ValueError when an attribute bears a name that is taken."""
    login = record.login
    attributes = dict(login.attributes)
    if SESSION_CLAIM in attributes:
        raise ValueError(f"an attribute may not be called {SESSION_CLAIM} in a cookie")
    session = {
        "login_id": str(record.login_id),
        "key": login.key,
        "site": login.site,
        "login_at_ms": login.login_at,
        "expires_at_ms": login.expires_at,
        "idle_timeout_s": login.idle_timeout_s,
        "idle_deadline_ms": record.active_at + login.idle_timeout_s * 1000,
    }
    return {**attributes, SESSION_CLAIM: session}


def record_of(user: str, claims: Mapping[str, Any]) -> Record | None:
    """The session that a cookie carries, as it was then; None when it carries none."""
    session = claims.get(SESSION_CLAIM)
    if not isinstance(session, dict) or session.keys() != {*_TEXTS, *_NUMBERS}:
        return None
    if {type(session[name]) for name in _TEXTS} != {str} or {type(session[name]) for name in _NUMBERS} != {int}:
        return None
    login_id = _login_id(session["login_id"])
    attributes = _attributes(claims)
    if login_id is None or attributes is None:
        return None
    login_at, expires_at, idle_timeout_s, idle_deadline = (session[name] for name in _NUMBERS)
    login = Login(session["key"], user, session["site"], login_at, expires_at, idle_timeout_s, attributes)
    record = Record(login_id, login, idle_deadline - idle_timeout_s * 1000, State.ALIVE)
    return record if record.active_at >= login_at and _fits(record) else None


def _login_id(text: str) -> LoginId | None:
    found = _LOGIN_ID.fullmatch(text)
    return None if found is None else LoginId(found[1], int(found[2], 16), int(found[3]))


def _attributes(claims: Mapping[str, Any]) -> Attributes | None:
    pairs: list[tuple[str, str | tuple[str, ...]]] = []
    for name in sorted(claims.keys() - {SESSION_CLAIM}):
        value = claims[name]
        if isinstance(value, list) and all(type(each) is str for each in value):
            value = tuple(value)
        elif type(value) is not str:
            return None
        pairs.append((name, value))
    return tuple(pairs)


def _fits(record: Record) -> bool:
    """Whether a host program could have logged it in, and every peer would take it."""
    login = record.login
    try:
        inputs.text("the user", login.user, limits.USER_BYTES_MAX)
        codec.encode_changes(changes_of(record))
        return inputs.key(login.key) == login.key
    except (LimitExceeded, LocalProtocolError, UnicodeEncodeError):
        return False
