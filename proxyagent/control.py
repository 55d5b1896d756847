"""What a ProxyAgent's control socket can be asked: the verbs of the command line, from the side that answers.

Rules of this file:

- An answer is plain values; how they look on a terminal decides verbs.py. Fields are only ever added.
- The owner and root may administer (resync, reload); others whom the socket's mode lets in may ask and report: squid
  runs its helpers as another user.
- What the asker got wrong is told in one line with exit code 2.
"""

import datetime
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping
from typing import Any

import attrs

from protocol.code_state import as_json
from protocol.io.control import Answer, Request
from protocol.io.control_client import ControlError, ExitCode
from proxyagent import __version__
from proxyagent.agent import ProxyAgent
from proxyagent.core.outbox import LEVELS, Level
from proxyagent.errors import Error, LimitExceeded, NotAcknowledged, Refused
from proxyagent.notices import Notice, SessionEnded, SessionOpened
from proxyagent.session import Session

SESSIONS_A_LINE = 500
CODE_TIMEOUT_S = 5.0


def rfc3339(at_ms: int) -> str:
    """A time of day in UTC, as every --json has it."""
    moment = datetime.datetime.fromtimestamp(at_ms / 1000, datetime.UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


Reload = Callable[[], Awaitable[str]]
"""Reads file and secret again; returns a line that says what became of it, or raises ControlError."""


Drain = Callable[[bool], bool]
"""Has the switches in front send nobody new here, or new users again; False where none can be told."""


class Control:
    """Answers requests on behalf of one agent; `handle` is the handler of protocol.io.control."""

    def __init__(self, agent: ProxyAgent, reload: Reload, problems: Callable[[], list[str]], drain: Drain) -> None:
        self._agent = agent
        self._reload = reload
        self._problems = problems
        self._drain = drain
        self._verbs: dict[str, Callable[[Request], Awaitable[Answer]]] = {
            "status": self._status,
            "sessions": self._sessions,
            "lookup": self._lookup,
            "login": self._login,
            "logout": self._logout,
            "touch": self._touch,
            "watch": self._watch,
            "resync": self._resync,
            "reload": self._read_again,
            "drain": self._drain_switches,
            "code_create": self._code_create,
            "code_redeem": self._code_redeem,
            "code_revoke": self._code_revoke,
            "code_list": self._code_list,
        }

    async def handle(self, request: Request) -> Answer:
        """Answer one request. Raises ControlError."""
        verb = self._verbs.get(request.verb)
        if verb is None:
            raise ControlError(f"a ProxyAgent knows no verb {request.verb!r}", ExitCode.USAGE)
        try:
            return await verb(request)
        except LimitExceeded as error:
            raise ControlError(str(error), ExitCode.USAGE) from None
        except Refused as error:
            raise ControlError(str(error), ExitCode.NO) from None
        except Error as error:
            raise ControlError(str(error), ExitCode.UNREACHABLE) from None

    # -- asking ----------------------------------------------------------------------------------------------------

    async def _status(self, request: Request) -> Answer:
        figures = attrs.asdict(self._agent.statistics())
        return {**figures, "version": __version__, "problems": self._problems()}

    async def _sessions(self, request: Request) -> Answer:
        found = self._agent.sessions(_text(request, "user", optional=True))

        async def lines() -> AsyncGenerator[Mapping[str, Any], None]:
            for start in range(0, len(found), SESSIONS_A_LINE):
                yield {"sessions": [self._described(each) for each in found[start : start + SESSIONS_A_LINE]]}

        return lines()

    async def _lookup(self, request: Request) -> Answer:
        found = self._agent.lookup(_needed(request, "key"), touch=request.arguments.get("touch") is True)
        return {"session": None if found is None else self._described(found)}

    async def _watch(self, request: Request) -> Answer:
        subscription = self._agent.notices()

        async def lines() -> AsyncGenerator[Mapping[str, Any], None]:
            try:
                async for notice in subscription:
                    yield self._told(notice)
            finally:
                subscription.close()

        return lines()

    # -- reporting -------------------------------------------------------------------------------------------------

    async def _login(self, request: Request) -> Answer:
        level = _level(request)
        session = self._agent.login(
            _needed(request, "key"),
            _needed(request, "user"),
            _attributes(request),
            idle_timeout=_number(request, "idle_timeout_s"),
            lifetime=_number(request, "lifetime_s"),
        )
        return {"session": self._described(session), **await self._wait(session, level, request)}

    async def _logout(self, request: Request) -> Answer:
        level = _level(request)
        key, user = _text(request, "key", optional=True), _text(request, "user", optional=True)
        if (key is None) == (user is None):
            raise ControlError("logout: give a key or a user, and not both", ExitCode.USAGE)
        ended = self._agent.logout(key, user=user)
        described = [self._described(each) for each in ended]
        return {"ended": described, **await self._wait(ended, level, request)}

    async def _touch(self, request: Request) -> Answer:
        return {"touched": self._agent.touch(_needed(request, "key"))}

    async def _wait(self, what: Session | tuple[Session, ...], level: Level, request: Request) -> dict[str, Any]:
        timeout_s = _number(request, "within_s")
        try:
            await self._agent.wait_acknowledged(what, level, 5.0 if timeout_s is None else timeout_s)
        except NotAcknowledged as late:
            return {"acknowledged": False, "reached": late.reached, "text": str(late)}
        return {"acknowledged": True, "reached": level}

    # -- administering ---------------------------------------------------------------------------------------------

    async def _resync(self, request: Request) -> Answer:
        request.require_administrator()
        timeout_s = _number(request, "within_s")
        try:
            done = await self._agent.resync(10.0 if timeout_s is None else timeout_s)
        except NotAcknowledged as late:
            code = ExitCode.UNREACHABLE if self._agent.isolated else ExitCode.UNFINISHED
            raise ControlError(str(late), code) from None
        return {**attrs.asdict(done), "agent": self._agent.statistics().agent}

    async def _read_again(self, request: Request) -> Answer:
        request.require_administrator()
        return {"text": await self._reload()}

    async def _drain_switches(self, request: Request) -> Answer:
        request.require_administrator()
        wanted = request.arguments.get("undo") is not True
        if not self._drain(wanted):
            raise ControlError("no switch asks this ProxyAgent: see [haproxy] agent_check", ExitCode.USAGE)
        return {"draining": wanted}

    # -- codes -----------------------------------------------------------------------------------------------------

    async def _code_create(self, request: Request) -> Answer:
        validity_s, timeout_s = _number(request, "validity_s"), _number(request, "within_s")
        made = await self._agent.codes.create(
            _needed(request, "user"), 600.0 if validity_s is None else validity_s, timeout=timeout_s or CODE_TIMEOUT_S
        )
        left_s = round((made.expires_at_ms - self._now_ms()) / 1000, 3)
        expires_at = rfc3339(made.expires_at_ms)
        told = {"user": made.user, "code": made.code, "id": made.id}
        return {**told, "expires_at": expires_at, "validity_left_s": left_s}

    async def _code_redeem(self, request: Request) -> Answer:
        state = await self._agent.codes.redeem(
            _needed(request, "user"),
            _needed(request, "code"),
            _needed(request, "device"),
            request=_text(request, "request", optional=True),
            timeout=_number(request, "within_s") or CODE_TIMEOUT_S,
        )
        return as_json(state, self._now_ms(), rfc3339)

    async def _code_revoke(self, request: Request) -> Answer:
        timeout_s = _number(request, "within_s") or CODE_TIMEOUT_S
        return {"revoked": await self._agent.codes.revoke(_needed(request, "user"), timeout=timeout_s)}

    async def _code_list(self, request: Request) -> Answer:
        found = self._agent.codes.list(_text(request, "user", optional=True))
        return {"codes": [as_json(each, self._now_ms(), rfc3339) for each in found]}

    def _now_ms(self) -> int:
        return self._agent.shell.call(lambda client, now: client.cache.clock.now_ms(now))

    # -- how things are described ----------------------------------------------------------------------------------

    def _described(self, session: Session) -> dict[str, Any]:
        return {
            "key": session.key,
            "user": session.user,
            "site": session.site,
            "proxy": session.proxy,
            "login_id": str(session.login_id),
            "attributes": dict(session.attributes),
            "login_at": rfc3339(session.login_at_ms),
            "idle_left_s": round(self._agent.idle_left_s(session), 3),
            "lifetime_left_s": round(self._agent.lifetime_left_s(session), 3),
        }

    def _told(self, notice: Notice) -> dict[str, Any]:
        line: dict[str, Any] = {"event": _EVENT_NAMES[type(notice).__name__]}
        line["at"] = rfc3339(self._agent.shell.clock.read().wall_ms)
        if isinstance(notice, SessionOpened | SessionEnded):
            line |= self._described(notice.session)
            if isinstance(notice, SessionEnded):
                line["reason"] = notice.reason
            return line
        return line | attrs.asdict(notice)


_EVENT_NAMES = {
    "SessionOpened": "session_opened",
    "SessionEnded": "session_ended",
    "AgentFound": "agent_found",
    "AgentLost": "agent_lost",
    "AgentRefused": "agent_refused",
    "Resynced": "resynced",
    "NoticesLost": "notices_lost",
}


# -- what stands in a request ------------------------------------------------------------------------------------------


def _text(request: Request, name: str, *, optional: bool = False) -> str | None:
    value = request.arguments.get(name)
    if value is None and optional:
        return None
    if not isinstance(value, str):
        raise ControlError(f"{request.verb}: {name} must be a text", ExitCode.USAGE)
    return value


def _needed(request: Request, name: str) -> str:
    value = _text(request, name)
    assert value is not None, "only an optional text may be missing"
    return value


def _number(request: Request, name: str) -> float | None:
    value = request.arguments.get(name)
    if value is not None and (isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1e9):
        raise ControlError(f"{request.verb}: {name} must be a number above 0", ExitCode.USAGE)
    return value


def _level(request: Request) -> Level:
    level = request.arguments.get("wait", "local")
    if not isinstance(level, str) or level not in LEVELS:
        raise ControlError(f'{request.verb}: wait is "local", "master" or "site"', ExitCode.USAGE)
    return level


def _attributes(request: Request) -> dict[str, str | tuple[str, ...]]:
    given = request.arguments.get("attributes") or {}
    if not isinstance(given, dict):
        raise ControlError("login: attributes must be an object", ExitCode.USAGE)
    return dict(_pairs(given))


def _pairs(given: Mapping[str, Any]) -> Iterator[tuple[str, str | tuple[str, ...]]]:
    for name, value in given.items():
        if isinstance(value, list) and all(isinstance(each, str) for each in value):
            yield name, tuple(value)
        elif isinstance(value, str):
            yield name, value
        else:
            raise ControlError(f"login: attribute {name} must be a text or a list of texts", ExitCode.USAGE)
