"""What happened, as the objects that a webhook is sent. Pure.

Rules of this file:

- Names and reasons are those of the log (docs/reference/logs.md). Fields are only ever added.
- A batch of changes is kept as it came until it is sent: on the hot path nothing is made of it.
- Times are milliseconds of the wall clock, written as RFC 3339 in UTC.
"""

import datetime
from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

import attrs

from authagent.tally import REASONS, ended_in, opened_in, timed_out_for
from protocol.changes import Changes, EndRun, LoginRun
from protocol.session import Attributes, LoginId, Record, State

Event: TypeAlias = Mapping[str, Any]


@attrs.frozen
class Batch:
    """Changes that were news, and who reported them."""

    source: str
    changes: Changes
    at_ms: int

    @property
    def size(self) -> int:
        """How many events it may become."""
        runs: tuple[LoginRun | EndRun, ...] = (*self.changes.logins, *self.changes.ends)
        return sum(len(run.keys) for run in runs) + len(self.changes.barriers)

    def events(self) -> Iterator[Event]:
        """What it says, in the order of the log."""
        at, by = rfc3339(self.at_ms), self.source
        for run in self.changes.logins:
            for index in opened_in(run):
                login_id = LoginId(*run.origin, run.sequences[index])
                who = {"user": run.users[index], "key": run.keys[index], "login_id": str(login_id)}
                where = {"site": run.site, "proxy": run.origin.proxy, "by": by}
                more = {"attributes": _plain(run.attributes[index])}
                yield {"event": "session.opened", "at": rfc3339(run.login_at[index]), **who, **where, **more}
        for end_run in self.changes.ends:
            for index in ended_in(end_run, self.changes):
                login_id = LoginId(*end_run.origin, end_run.sequences[index])
                who = {"user": end_run.users[index], "key": end_run.keys[index], "login_id": str(login_id)}
                reason = REASONS[State(end_run.states[index])]
                yield {"event": "session.ended", "at": at, **who, "reason": reason, "by": by}
        for barrier in self.changes.barriers:
            yield {"event": "user.logged_out", "at": rfc3339(barrier.at), "user": barrier.user, "by": by}


def timed_out(record: Record, at_ms: int) -> Event:
    """A session that has gone idle, or come to the end of its lifetime."""
    login = record.login
    who = {"user": login.user, "key": login.key, "login_id": str(record.login_id)}
    where = {"site": login.site, "proxy": record.login_id.proxy}
    return {"event": "session.ended", "at": rfc3339(at_ms), **who, "reason": timed_out_for(record), **where}


def role(name: str, term: int, at_ms: int) -> Event:
    """This agent serves from now on, or stands by."""
    return {"event": f"role.{name}", "at": rfc3339(at_ms), "term": term}


def problem(verb: str, code: str, about: str, text: str, at_ms: int) -> Event:
    """Something has gone wrong (`began`), or is well again (`ended`)."""
    return {"event": f"problem.{verb}", "at": rfc3339(at_ms), "code": code, "about": about, "text": text}


def rfc3339(at_ms: int) -> str:
    """A time of day in UTC."""
    moment = datetime.datetime.fromtimestamp(at_ms / 1000, datetime.UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _plain(attributes: Attributes) -> dict[str, str | list[str]]:
    return {name: list(value) if isinstance(value, tuple) else value for name, value in attributes}
