"""Small changes for tests of the table: logins, ends and touches said in one line each."""

from typing import Any

from protocol.changes import Barrier, Changes, EndRun, LoginRun, TouchRun
from protocol.session import Attributes, Login, LoginId, Origin, State
from protocol.table import Table

NOW_MS = 1_700_000_000_000
HOUR_MS = 3_600_000
OFFSET_MS = 2_000
ORIGIN = Origin("proxy1", 7)
OTHER = Origin("proxy2", 9)


def new_table(**settings: Any) -> Table:
    return Table(digest_key=b"k" * 32, **settings)


def login_id(sequence: int, origin: Origin = ORIGIN) -> LoginId:
    return LoginId(*origin, sequence)


def login(
    key: str = "10.0.0.1",
    user: str = "alice",
    *,
    at: int = NOW_MS,
    expires_at: int | None = None,
    idle_timeout_s: int = 1_800,
    attributes: Attributes = (),
    site: str = "lan1",
) -> Login:
    if expires_at is None:
        expires_at = at + 12 * HOUR_MS
    return Login(key, user, site, at, expires_at, idle_timeout_s, attributes)


def logged_in(sequence: int, made: Login, origin: Origin = ORIGIN, **more: Any) -> Changes:
    """One login; `states` and `active_at` as in a LoginRun."""
    return all_logged_in(range(sequence, sequence + 1), [made], origin, **more)


def all_logged_in(sequences: Any, made: list[Login], origin: Origin = ORIGIN, **more: Any) -> Changes:
    """Logins of one site."""
    assert made[0].site is not None
    run = LoginRun(
        origin,
        sequences,
        made[0].site,
        [each.key for each in made],
        [each.user for each in made],
        [each.login_at for each in made],
        [each.expires_at for each in made],
        [each.idle_timeout_s for each in made],
        [each.attributes for each in made],
        **more,
    )
    return Changes(logins=(run,))


def ended(sequence: int, made: Login, origin: Origin = ORIGIN, state: State = State.LOGGED_OUT) -> Changes:
    run = EndRun(origin, [sequence], bytes([state]), [made.key], [made.user], [made.expires_at])
    return Changes(ends=(run,))


def touched(sequence: int, active_at: int, origin: Origin = ORIGIN) -> Changes:
    return Changes(touches=(TouchRun(origin, [sequence], [active_at]),))


def barred(user: str, at: int) -> Changes:
    return Changes(barriers=(Barrier(user, at),))
