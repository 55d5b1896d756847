"""What a proxy is given for a logged-in user: one session, as its own small object.

Rules of this file:

- A session's contents never change; a host program may keep it, hash it and compare it (by login id).
- Five slots belong to the library: `seen_s`, when it was last seen here and not reported (0: nothing to report),
  `touched_s`, when it was last reported, `quiet_until_s`, until when a look-up need not think, `due_s`, when it is
  looked after next, and `batch`, the serial of the reports that carry it. They sit here, and not in a table beside
  it, because a look-up of half a microsecond has no time for a second dictionary.
- Contents lie in plain slots: one object a session for the garbage collector, not three.

A session is made when its key is first asked for; the table holds the facts (protocol.table).
"""

import math
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Literal, Self, TypeAlias

from protocol.session import Attributes, Login, LoginId, Origin, State

EndReason: TypeAlias = Literal["logged_out", "idle", "expired", "superseded", "administrator"]

NEVER_S = -math.inf

END_REASONS: dict[State, EndReason] = {
    State.SUPERSEDED: "superseded",
    State.LOGGED_OUT: "logged_out",
    State.ADMINISTRATOR: "administrator",
    State.CONFLICT: "superseded",
}
"""How an ended state is told to people. A conflict is told as superseded: another login has taken its name."""

BY_WILL: frozenset[EndReason] = frozenset({"logged_out", "administrator"})
"""The reasons of an end that somebody wanted."""


class Session:
    """One login of one user under one key, as the local copy knows it.

    `key`, `user`, `site` (where the user logged in), `login_at_ms` and `expires_at_ms` (milliseconds of cluster time
    since 1970) and `idle_timeout_s` are plain attributes. Nothing here blocks or raises.
    """

    __slots__ = (
        "_attributes",
        "batch",
        "due_s",
        "expires_at_ms",
        "idle_timeout_s",
        "key",
        "login_at_ms",
        "origin",
        "quiet_until_s",
        "seen_s",
        "sequence",
        "site",
        "touched_s",
        "user",
    )

    def __init__(self, origin: Origin, sequence: int, key: str, login: Login) -> None:
        self.origin = origin
        self.sequence = sequence
        self.key = key
        _, self.user, site, self.login_at_ms, self.expires_at_ms, self.idle_timeout_s, self._attributes = login
        self.site = site or ""
        self.seen_s = 0.0
        self.quiet_until_s = 0.0
        self.touched_s = NEVER_S
        self.due_s = 0.0
        self.batch = 0

    @property
    def login_id(self) -> LoginId:
        """The identity of this login: (proxy, epoch, sequence)."""
        return LoginId(self.origin.proxy, self.origin.epoch, self.sequence)

    @property
    def proxy(self) -> str:
        """The id of the proxy where the user logged in."""
        return self.origin.proxy

    @property
    def attributes(self) -> Mapping[str, str | tuple[str, ...]]:
        """What the login carried besides its user; read only."""
        return MappingProxyType(dict(self._attributes))

    @property
    def packed_attributes(self) -> Attributes:
        """The same as sorted pairs, as it travels."""
        return self._attributes

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Session) and self.sequence == other.sequence and self.origin == other.origin

    def __hash__(self) -> int:
        return hash((self.origin, self.sequence))

    def __repr__(self) -> str:
        return f"<Session {self.user!r} under {self.key!r} from {self.login_id}>"


class Ended(tuple[Session, ...]):  # noqa: SLOT001 - a tuple has no room for slots of its own
    """The sessions that a logout ended; perhaps none are known here, and there is something to wait for all the same.

    `batch` is the serial of the reports that carry the logout.
    """

    batch: int

    def __new__(cls, sessions: Iterable[Session], batch: int) -> Self:
        ended = super().__new__(cls, sessions)
        ended.batch = batch
        return ended
