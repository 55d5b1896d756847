"""Sessions as `--json` shows them (DESIGN section 6), and which of them a question means. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any

from protocol.session import Record
from protocol.table import Table


def describe(record: Record, now_ms: int) -> dict[str, Any]:
    """One session; durations in seconds."""
    login = record.login
    lifetime_left_s = (login.expires_at - now_ms) / 1000
    idle_left_s = (record.active_at - now_ms) / 1000 + login.idle_timeout_s
    return {
        "key": login.key,
        "user": login.user,
        "site": login.site,
        "proxy": record.login_id.proxy,
        "login_id": str(record.login_id),
        "attributes": {name: list(value) if isinstance(value, tuple) else value for name, value in login.attributes},
        "idle_left_s": round(max(0.0, min(idle_left_s, lifetime_left_s)), 3),
        "lifetime_left_s": round(max(0.0, lifetime_left_s), 3),
    }


def select(table: Table, question: Mapping[str, Any], now_ms: int) -> Iterator[Record]:
    """The shown sessions that fit `key`, `user`, `site` and `proxy` (each optional); one index look-up where that
    is enough, else a walk through the table that the caller must pause now and then."""
    key, user = question.get("key"), question.get("user")
    if key is not None:
        shown = table.view(key, now_ms)
        candidates = iter([] if shown is None else [shown])
    elif user is not None:
        candidates = (record for record in table.held_of(user) if table.view(record.login.key, now_ms) == record)
    else:
        candidates = table.sessions(now_ms)
    for record in candidates:
        if user is not None and record.login.user != user:
            continue
        if question.get("site") not in (None, record.login.site):
            continue
        if question.get("proxy") not in (None, record.login_id.proxy):
            continue
        yield record
