"""One login and what became of it: a record, and how two copies of it merge.

Rules of this file:

- A login id names one login for ever: (proxy, epoch, sequence), minted where the user logged in, never reused.
- A record is a small lattice. Merging takes the greater `active_at`, the greater `state` and, where two immutable
  parts differ, the bytewise lesser one under the state CONFLICT. So merging is commutative, associative, idempotent
  and monotone, whatever the order or repetition of copies (tests/laws).
- No clock decides life or death here. `now` decides expiry only, and is always an argument.

Theory. An end needs no login: a logout that overtakes its login is kept as a record without its `login` part (site
is None, see Login.partial), and the login joins it later. Contents are ordered by (key, user, expires_at), then the
whole before the partial, then by their bytes; merging keeps the least, and two that cannot be copies of one login
(different key, user or expiry, or two different wholes) are a conflict. The least of a set does not depend on the
order in which it was met, and any incompatible pair is met whatever the order: that is the whole proof.

All times are milliseconds of cluster time (DESIGN section 4, Clocks). Source: DESIGN section 3.
"""

import enum
from typing import NamedTuple, TypeAlias

import attrs

Attributes: TypeAlias = tuple[tuple[str, str | tuple[str, ...]], ...]
"""What a session carries besides its user: pairs (name, value) sorted by name, no name twice. A tuple and no
mapping, so that it hashes, compares in one way, and leaves nothing for the garbage collector to walk."""


class State(enum.IntEnum):
    """How far a login has gone; merge is max. ABSENT is the bottom: never seen."""

    ABSENT = 0
    ALIVE = 1
    SUPERSEDED = 2
    LOGGED_OUT = 3
    ADMINISTRATOR = 4
    CONFLICT = 5


class Origin(NamedTuple):
    """One run of one proxy: where login ids are minted. The epoch is 64 random bits drawn at every start."""

    proxy: str
    epoch: int


class LoginId(NamedTuple):
    """The identity of one login. Its text form is `proxy:epoch in 16 hex digits:sequence`."""

    proxy: str
    epoch: int
    sequence: int

    def __str__(self) -> str:
        return f"{self.proxy}:{self.epoch:016x}:{self.sequence}"


class Login(NamedTuple):
    """The immutable part of a record.

    With `site` None it is the partial content of an end that overtook its login: only key, user and expires_at
    mean something then.
    """

    key: str
    user: str
    site: str | None
    login_at: int
    expires_at: int
    idle_timeout_s: int
    attributes: Attributes

    @property
    def partial(self) -> bool:
        return self.site is None


def partial_login(key: str, user: str, expires_at: int) -> Login:
    """The content of an end whose login has not been seen."""
    return Login(key, user, None, 0, expires_at, 0, ())


@attrs.frozen
class Record:
    """One login id's copy in one table."""

    login_id: LoginId
    login: Login
    active_at: int
    state: State


def _order(login: Login) -> tuple[object, ...]:
    """The total order of contents under which merging keeps the least."""
    return (
        login.key,
        login.user,
        login.expires_at,
        login.partial,
        login.site or "",
        login.login_at,
        login.idle_timeout_s,
        [(name, value) if isinstance(value, tuple) else (name, (value,), value) for name, value in login.attributes],
    )


def compatible(a: Login, b: Login) -> bool:
    """Whether two contents can be copies of one login."""
    if a.partial or b.partial:
        return (a.key, a.user, a.expires_at) == (b.key, b.user, b.expires_at)
    return a == b


def merge_logins(a: Login, b: Login) -> tuple[Login, bool]:
    """The content that every node keeps of the two, and whether they were in conflict."""
    return min(a, b, key=_order), not compatible(a, b)


def merge(a: Record, b: Record) -> Record:
    """The least record that both copies are part of.

    Both must bear the same login id; that is the caller's duty and is asserted.
    """
    assert a.login_id == b.login_id, "records of different logins do not merge"
    login, conflict = merge_logins(a.login, b.login)
    state = State.CONFLICT if conflict else max(a.state, b.state)
    return Record(a.login_id, login, max(a.active_at, b.active_at), state)


def alive(record: Record, barrier: int, now: int) -> bool:
    """Whether the record stands for a logged-in user at `now` (milliseconds of cluster time).

    `barrier` is the time of the user's last logout(user), or a value below every login_at when there is none.
    """
    login = record.login
    return (
        record.state == State.ALIVE
        and not login.partial
        and now < login.expires_at
        and now < record.active_at + login.idle_timeout_s * 1000
        and login.login_at > barrier
    )
