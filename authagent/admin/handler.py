"""The verbs of the control socket of an agent: status, sessions, logout, reload.

Rules of this file:

- Whoever may use the socket may ask; only the owner and root may change anything.
- What only a master can do is handed to it by a slave, and its answer handed back as it came.
- A logout is done where a follower's cursor has passed it. Whoever has not is named, with how long it may still serve.
"""

import json
from collections.abc import AsyncGenerator, Callable, Mapping
from itertools import islice
from typing import Any

import attrs
import trio

from authagent.admin import sessions, status
from authagent.admin.status import Facts
from authagent.core import commands as do
from authagent.core import events as on
from authagent.server import Server
from protocol.io.control import Answer, Request
from protocol.io.control_client import ControlError, ExitCode
from protocol.messages import Role
from protocol.session import Record

SESSIONS_A_LINE = 200
LIMIT_DEFAULT = 1_000
LOGOUT_TIMEOUT_S = 5.0
POLL_S = 0.02


@attrs.define
class Handler:
    """Answers one agent's control socket."""

    server: Server
    facts: Callable[[], Facts]
    rfc3339: Callable[[float], str]
    reload: Callable[[], dict[str, Any]]

    async def __call__(self, request: Request) -> Answer:
        """Raises ControlError for what the asker should read."""
        match request.verb:
            case "status":
                return self.status()
            case "sessions":
                return self._sessions(request.arguments)
            case "logout":
                request.require_administrator()
                return await self._logout_anywhere(request.arguments)
            case "reload":
                request.require_administrator()
                return self.reload()
            case _:
                known = "status, sessions, logout, reload"
                raise ControlError(f"unknown verb {request.verb!r}: {known}", ExitCode.USAGE)

    def status(self) -> dict[str, Any]:
        """The fields of `authagent status --json`."""
        now = self.server.clock()
        return status.status(self.server.agent, self.facts(), self.server.tally, now, {"at": self.rfc3339})

    async def _sessions(self, question: Mapping[str, Any]) -> AsyncGenerator[dict[str, Any], None]:
        agent = self.server.agent
        now_ms = agent.duty.now_ms(self.server.clock())
        limit = question.get("limit") or LIMIT_DEFAULT
        found = islice(sessions.select(agent.table, question, now_ms), limit)
        while chunk := list(islice(found, SESSIONS_A_LINE)):
            yield {"sessions": [sessions.describe(record, now_ms) for record in chunk]}
            await trio.lowlevel.checkpoint()

    # -- logout ---------------------------------------------------------------------------------------------------

    async def _logout_anywhere(self, question: Mapping[str, Any]) -> dict[str, Any]:
        if self.server.agent.election.role == Role.MASTER:
            return await self._logout(question)
        body = json.dumps({"verb": "logout", **question}).encode()
        answer = await self._ask(lambda request: on.AdminAsked(request, body), _timeout_s(question) + 1.0)
        if answer.error:
            raise ControlError(answer.error, ExitCode.UNREACHABLE)
        told: dict[str, Any] = json.loads(answer.body)
        if "error" in told:
            raise ControlError(told["error"], told.get("code", ExitCode.UNREACHABLE))
        return told

    async def carry_out(self, body: bytes) -> bytes:
        """A verb that the partner hands over; the answer is JSON, an error included."""
        try:
            question = json.loads(body)
            if not isinstance(question, dict) or question.pop("verb", None) != "logout":
                raise ControlError("the master knows only logout", ExitCode.USAGE)
            return json.dumps(await self._logout(question)).encode()
        except ControlError as error:
            return json.dumps({"error": str(error), "code": error.code}).encode()
        except ValueError:
            return json.dumps({"error": "not JSON", "code": ExitCode.USAGE}).encode()

    async def _logout(self, question: Mapping[str, Any]) -> dict[str, Any]:
        target = {name: str(question[name]) for name in ("key", "user", "site") if question.get(name) is not None}
        everything = bool(question.get("all"))
        if len(target) + everything != 1:
            raise ControlError("say exactly one of: a key, --user, --site, --all", ExitCode.USAGE)
        left_s = self._left_s(target)
        key, user, site = target.get("key"), target.get("user"), target.get("site")
        asked = await self._ask(
            lambda request: on.LogoutAsked(request, key, user, site, everything), _timeout_s(question)
        )
        if asked.error:
            raise ControlError(asked.error, ExitCode.UNREACHABLE)
        with trio.move_on_after(_timeout_s(question)):
            while self._behind(asked.sequence):  # noqa: ASYNC110 - cursors move with heartbeats, which wake nobody
                await trio.sleep(POLL_S)
        return self._told(asked, left_s)

    async def _ask(self, make: Callable[[int], on.Event], timeout_s: float) -> do.Answer:
        with trio.move_on_after(timeout_s):
            return await self.server.ask_machine(make)
        raise ControlError("the master did not answer in time", ExitCode.UNFINISHED)

    def _left_s(self, target: Mapping[str, Any]) -> float:
        """How long the sessions in question could still live where the logout does not arrive."""
        agent = self.server.agent
        now_ms = agent.duty.now_ms(self.server.clock())
        shown: list[Record] = list(islice(sessions.select(agent.table, target, now_ms), LIMIT_DEFAULT))
        left_s: list[float] = [sessions.describe(record, now_ms)["lifetime_left_s"] for record in shown]
        return max(left_s, default=0.0)

    def _behind(self, sequence: int) -> list[str]:
        """Linked followers whose cursor has not passed the logout."""
        agent = self.server.agent
        log = agent.replication.log
        behind = []
        for peer in agent.peers:
            heartbeat = peer.heartbeat
            if heartbeat is None or heartbeat.log_id != log.log_id or heartbeat.sequence < sequence:
                behind.append(peer.name)
        return behind

    def _told(self, asked: do.Answer, left_s: float) -> dict[str, Any]:
        agent = self.server.agent
        behind = self._behind(asked.sequence)
        told = status.status(agent, self.facts(), self.server.tally, self.server.clock(), {"at": self.rfc3339})
        missing = [proxy["id"] for proxy in told["proxies"] if not proxy["connected"]]
        done = [peer.name for peer in agent.peers if peer.name not in behind]
        pending = [{"node": name, "serves_at_most_s": left_s} for name in (*behind, *missing)]
        return {"ended": asked.ended, "done": [f"authagent-{self.facts().id}", *done], "pending": pending}


def _timeout_s(question: Mapping[str, Any]) -> float:
    timeout_s = question.get("within_s", LOGOUT_TIMEOUT_S)
    if not isinstance(timeout_s, int | float) or not 0 < timeout_s <= 3600:
        raise ControlError("--timeout is 0 to 3600 seconds", ExitCode.USAGE)
    return float(timeout_s)
