"""What login, logout, a session brought along and an idle question mean for a table, as changes.

Rules of this file:

- An act reads the table and returns changes; the caller merges them and sends the same on. Nothing is changed here.
- A login and the ends of what it supersedes are one batch of changes, so that nobody sees the one without the other.
- Ends name what is held here. What is not known here is caught on the way: by the Mark of a logout(key), which each
  agent it passes turns into further ends, and by the Barrier of a logout(user), which is part of every table.

Theory. A new login is stamped later than everything held under its key and than its user's barrier, so that it wins
wherever it meets what was known where it was made, whatever the clocks say. See DESIGN section 3.

All times are milliseconds of cluster time.
"""

from collections.abc import Collection, Iterable

import attrs

from protocol.changes import Barrier, Changes, EndRun, LoginRun, Mark, TouchRun
from protocol.messages import IdleQuestion
from protocol.session import Attributes, Login, LoginId, Origin, Record, State, alive, merge
from protocol.table import Table


class TableFull(ValueError):
    """The table has no room for a login that it does not know; those it knows go on."""


@attrs.frozen
class LoggedIn:
    """What a login came to: either `touched`, the session that goes on, or `record`, the new one, with its changes."""

    touched: Record | None = None
    record: Record | None = None
    changes: Changes = Changes()


def login(
    table: Table,
    key: str,
    user: str,
    *,
    site: str,
    attributes: Attributes,
    idle_timeout_s: int,
    lifetime_ms: int,
    login_id: LoginId,
    now_ms: int,
) -> LoggedIn:
    """Log a user in under a key.

    When the key shows this user with these attributes already and less than half its lifetime is gone, that session
    is returned as `touched`, for the caller to touch, and `login_id` stays unused. Otherwise `changes` holds the new
    login and the ends of everything held under the key. Raises TableFull when there is no room for it.
    """
    shown = table.view(key, now_ms)
    if shown is not None and _goes_on(shown.login, user, attributes, now_ms):
        return LoggedIn(touched=shown)
    if table.full:
        raise TableFull("the session table is full: raise [limits] sessions, or log somebody out and wait for expiry")
    held = table.held(key)
    login_at = max(now_ms, table.barrier(user) + 1, *(record.login.login_at + 1 for record in held))
    made = Login(key, user, site, login_at, login_at + lifetime_ms, idle_timeout_s, attributes)
    changes = Changes(logins=(_login_run(login_id, made),), ends=ends_of(held, State.SUPERSEDED))
    return LoggedIn(record=Record(login_id, made, login_at, State.ALIVE), changes=changes)


@attrs.frozen
class Honoured:
    """What a session that its user brought along comes to: changes that make it known here, or why it is `refused`."""

    changes: Changes = Changes()
    refused: str = ""


def honour(table: Table, brought: Record, *, now_ms: int) -> Honoured:
    """Let a session go on that was logged in elsewhere and that its user brought along, in a failover cookie.

    It becomes a copy of the same login, as if a peer had sent it: nothing of it is made anew, so whatever is known of
    it here or comes later counts, above all its end. It is refused where it has ended, is over, would be a conflict
    or has another login after it, under the same key; and where another user's is so near that clocks cannot tell
    which came later. What was logged in under its key before it is superseded, as it was where it was made. That
    `brought` is within the bounds of the language, alive, and not of this process is the caller's duty.
    """
    login, known = brought.login, table.record(brought.login_id)
    if known is not None and known.state != State.ALIVE:
        return Honoured(refused="it has ended")
    if known is not None and known.login != login:
        return Honoured(refused="it is not the login that is known by its id")
    if login.login_at <= table.barrier(login.user):
        return Honoured(refused="its user was logged out")
    latest = brought if known is None else merge(known, brought)
    if not alive(latest, table.barrier(login.user), now_ms):
        return Honoured(refused="its time is over" if now_ms >= login.expires_at else "it is idle")
    doubt_ms = 2 * table.max_clock_offset_ms
    if max(login.login_at, brought.active_at) > now_ms + doubt_ms:
        return Honoured(refused="it is from the future")
    others = [record for record in table.held(login.key) if record.login_id != brought.login_id]
    for other in others:
        near = other.login.user != login.user and other.login.login_at >= login.login_at - doubt_ms
        if near or _rank(other) > _rank(brought):
            return Honoured(refused="another login holds its key")
    if known is None and table.full:
        return Honoured(refused="the session table is full")
    if latest == known and not others:
        return Honoured()
    run = attrs.evolve(_login_run(brought.login_id, login), active_at=[brought.active_at])
    return Honoured(Changes(logins=(run,), ends=ends_of(others, State.SUPERSEDED)))


def logout_key(table: Table, key: str, *, now_ms: int, state: State = State.LOGGED_OUT) -> Changes:
    """Log out whoever is under a key: ends of everything held there, and a Mark for what only others hold."""
    return Changes(ends=ends_of(table.held(key), state), marks=(Mark(key, now_ms),))


def logout_user(table: Table, user: str, *, now_ms: int, state: State = State.LOGGED_OUT) -> Changes:
    """Log a user out everywhere.

    Ends everything held of the user and, so that nobody surfaces, everything else under the keys where the user is
    shown, or would be shown but for a conflict; and raises the user's barrier.
    """
    held = table.held_of(user)
    ended = {record.login_id: record for record in held}
    for key in {record.login.key for record in held}:
        if any(record.login.user == user for record in table.contenders(key, now_ms)):
            ended.update((record.login_id, record) for record in table.held(key))
    at = max(now_ms, *(record.login.login_at for record in held)) if held else now_ms
    return Changes(ends=ends_of(ended.values(), state), barriers=(Barrier(user, at),))


def marked(table: Table, changes: Changes, *, already: Collection[LoginId] = ()) -> Changes:
    """What an agent ends besides, when it passes on the Marks and Barriers of `changes`; to be called after the merge.

    A Mark ends what is held under the key that logged in before it by more than max clock offset. A Barrier ends what
    is held of the user at or before it and, so that nobody surfaces here who was hidden there, what is older under
    the same keys. Logins in `already` are left out. The caller merges the result and sends it after `changes`.
    """
    ended: dict[LoginId, Record] = {}
    for mark in changes.marks:
        before = mark.at - table.max_clock_offset_ms
        ended.update((record.login_id, record) for record in table.held(mark.key) if record.login.login_at < before)
    for user, at in changes.barriers:
        for dead in table.held_of(user):
            if dead.login.login_at <= at:
                older = (record for record in table.held(dead.login.key) if _rank(record) <= _rank(dead))
                ended.update((record.login_id, record) for record in older)
    for login_id in already:
        ended.pop(login_id, None)
    return Changes(ends=ends_of(ended.values(), State.LOGGED_OUT))


def idle_answer(table: Table, question: IdleQuestion) -> Changes:
    """The later activity that the table knows of logins in question and that have not ended, as touches."""
    later: dict[Origin, list[tuple[int, int]]] = {}
    columns = zip(question.proxies, question.epochs, question.sequences, question.active_at, strict=True)
    for proxy, epoch, sequence, active_at in columns:
        record = table.record(LoginId(proxy, epoch, sequence))
        if record is not None and record.state == State.ALIVE and record.active_at > active_at:
            later.setdefault(Origin(proxy, epoch), []).append((sequence, record.active_at))
    return Changes(
        touches=tuple(
            TouchRun(origin, [sequence for sequence, _ in touched], [active_at for _, active_at in touched])
            for origin, touched in later.items()
        )
    )


def ends_of(records: Iterable[Record], state: State) -> tuple[EndRun, ...]:
    """The ends of some records, one run an origin, sequences ascending."""
    by_origin: dict[Origin, list[Record]] = {}
    for record in sorted(records, key=lambda record: record.login_id):
        by_origin.setdefault(Origin(record.login_id.proxy, record.login_id.epoch), []).append(record)
    return tuple(
        EndRun(
            origin,
            [record.login_id.sequence for record in run],
            bytes([state]) * len(run),
            [record.login.key for record in run],
            [record.login.user for record in run],
            [record.login.expires_at for record in run],
        )
        for origin, run in by_origin.items()
    )


def _login_run(login_id: LoginId, login: Login) -> LoginRun:
    """One login, whole and alive, as a run."""
    assert login.site is not None, "a partial login is no login"
    return LoginRun(
        Origin(login_id.proxy, login_id.epoch),
        range(login_id.sequence, login_id.sequence + 1),
        login.site,
        [login.key],
        [login.user],
        [login.login_at],
        [login.expires_at],
        [login.idle_timeout_s],
        [login.attributes],
    )


def _goes_on(shown: Login, user: str, attributes: Attributes, now_ms: int) -> bool:
    """Whether a login is no more than activity of the session shown."""
    half_gone = 2 * (now_ms - shown.login_at) >= shown.expires_at - shown.login_at
    return shown.user == user and shown.attributes == attributes and not half_gone


def _rank(record: Record) -> tuple[int, LoginId]:
    """The order in which records of one key are shown, the greatest first."""
    return record.login.login_at, record.login_id
