"""Sessions as `--json` shows them (DESIGN section 6), and which of them a question means. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any

import attrs

from protocol import addresses, key, limits
from protocol.configuration import Configuration
from protocol.session import Record
from protocol.table import Table


@attrs.frozen(kw_only=True)
class Wanted:
    """Whose sessions are meant; None where it does not matter."""

    key: str | None = None
    user: str | None = None
    site: str | None = None
    proxy: str | None = None

    def fits(self, record: Record) -> bool:
        """Whether this session is meant."""
        login = record.login
        asked = (self.key, self.user, self.site, self.proxy)
        found = (login.key, login.user, login.site, record.login_id.proxy)
        return all(wanted in (None, is_so) for wanted, is_so in zip(asked, found, strict=True))


def wanted(question: Mapping[str, Any], table: Table, found: Configuration, site: str) -> Wanted:
    """What a question means at an agent of `site`. Raises ValueError, in one line, for what no session can have."""
    texts = {name: _text(question, name) for name in ("key", "user", "site", "proxy")}
    if texts["key"] is not None:
        texts["key"] = _meant_key(texts["key"], table, found, site)
    if texts["user"] is not None and found.session.user_names == "lower":
        texts["user"] = texts["user"].lower()
    return Wanted(**texts)


def _text(question: Mapping[str, Any], name: str) -> str | None:
    value = question.get(name)
    if value is None:
        return None
    if not isinstance(value, str) or not value or "\0" in value:
        raise ValueError(f"{name}: must be a text, and not empty")
    if len(value.encode(errors="replace")) > limits.USER_BYTES_MAX:
        raise ValueError(f"{name}: longer than {limits.USER_BYTES_MAX} bytes, no session has that")
    return value


def _meant_key(given: str, table: Table, found: Configuration, site: str) -> str:
    """The key as given where it is known; else as proxies of this site write it (DESIGN sections 2 and 7)."""
    if table.held(given):
        return given
    canonical = key.canonical(given)
    marked = found.session.key_scope == "site" and addresses.address(canonical) is not None
    return f"{canonical}@{site}" if marked else canonical


def candidates(table: Table, asked: Wanted, now_ms: int) -> Iterator[Record]:
    """The shown sessions among which those meant are: an index look-up where that is enough, else the whole table,
    through which the caller must walk with pauses."""
    if asked.key is not None:
        shown = table.view(asked.key, now_ms)
        return iter([] if shown is None else [shown])
    if asked.user is not None:
        return (record for record in table.held_of(asked.user) if table.view(record.login.key, now_ms) == record)
    return table.sessions(now_ms)


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
