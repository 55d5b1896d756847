"""The verbs of the control socket of an agent: status, sessions, logout, switch, reload.

Rules of this file:

- Whoever may use the socket may ask; only the owner and root may change anything.
- A walk through the table pauses: the loop has a heartbeat to send.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from itertools import islice
from typing import Any

import attrs
import trio

from authagent.admin import asking, sessions
from authagent.admin.codes import Codes
from authagent.admin.explain import Explain
from authagent.admin.logout import Logout
from authagent.admin.prices import priced
from authagent.admin.problems import Facts, Onsets, Problem, problems
from authagent.admin.status import At, status
from authagent.admin.switch import Switch
from authagent.admin.view import to_partner, view_of
from authagent.server import Server
from protocol.io.control import Answer, Request
from protocol.io.control_client import ControlError, ExitCode

LOOKED_AT_ONCE = 200
"""Sessions between two pauses, a millisecond's work, and at most so many in one line of an answer."""

LIMIT_DEFAULT = 1_000

KNOWN = "status, sessions, logout, switch, explain, reload, code_create, code_redeem, code_revoke, code_list"


@attrs.define
class Handler:
    """Answers one agent's control socket."""

    server: Server
    facts: Callable[[], Facts]
    at: At
    reload: Callable[[], Awaitable[dict[str, Any]]]
    _onsets: Onsets = attrs.field(factory=Onsets)

    async def __call__(self, request: Request) -> Answer:
        """Raises ControlError for what the asker should read."""
        match request.verb:
            case "status":
                return self.status()
            case "sessions":
                return self._sessions(request.arguments)
            case "logout":
                request.require_administrator()
                return await Logout(self.server, self.facts).anywhere(request.arguments)
            case "switch":
                request.require_administrator()
                return await Switch(self.server).anywhere(request.arguments)
            case "explain":
                return await self.explain.anywhere(request.arguments)
            case "reload":
                request.require_administrator()
                return await self.reload()
            case "code_redeem":
                return await Codes(self.server).redeem(request.arguments)
            case "code_list":
                return Codes(self.server).list(request.arguments)
            case "code_create":
                request.require_administrator()
                return await Codes(self.server).create(request.arguments)
            case "code_revoke":
                request.require_administrator()
                return await Codes(self.server).revoke(request.arguments)
            case _:
                raise ControlError(f"unknown verb {request.verb!r}: {KNOWN}", ExitCode.USAGE)

    @property
    def explain(self) -> Explain:
        return Explain(self.server, self.facts, self.at)

    async def for_partner(self, body: bytes) -> bytes:
        """What the partner hands over; the answer is JSON, an error included."""
        verbs = {
            "logout": Logout(self.server, self.facts).here,
            "switch": Switch(self.server).for_partner,
            "explain": self.explain.here,
            "view": self._view,
        }
        return await asking.carry_out(body, verbs)

    async def _view(self, question: dict[str, Any]) -> dict[str, Any]:
        """For the slave's status page: what only this agent knows."""
        return to_partner(view_of(self.status()))

    def problems(self) -> list[Problem]:
        """What is wrong now. To be asked about once a second, so that it is known since when."""
        server, facts, now = self.server, self.facts(), self.server.clock()
        found = self._onsets.dated(problems(server.agent, facts, now), now.monotonic_s)
        server.missed.only({each.about for each in found if each.code == "proxy_missing"}, now.monotonic_s)
        now_ms = server.agent.duty.now_ms(now)
        return [priced(each, server.missed, facts.configuration, now_ms) for each in found]

    def status(self) -> dict[str, Any]:
        """The fields of `authagent status --json`."""
        now, found = self.server.clock(), self.problems()
        return status(self.server.agent, self.facts(), self.server.tally, found, now, self.at)

    def _sessions(self, question: Mapping[str, Any]) -> AsyncGenerator[dict[str, Any], None]:
        setup, table = self.server.setup, self.server.agent.table
        limit = question.get("limit", LIMIT_DEFAULT)
        if isinstance(limit, bool) or not isinstance(limit, int) or limit < 1:
            raise ControlError("limit: a number from 1", ExitCode.USAGE)
        try:
            asked = sessions.wanted(question, table, setup.configuration, setup.site)
        except ValueError as error:
            raise ControlError(str(error), ExitCode.USAGE) from None
        return self._listed(asked, limit)

    async def _listed(self, asked: sessions.Wanted, limit: int) -> AsyncGenerator[dict[str, Any], None]:
        agent = self.server.agent
        now_ms = agent.duty.now_ms(self.server.clock())
        found = sessions.candidates(agent.table, asked, now_ms)
        while limit and (looked_at := list(islice(found, LOOKED_AT_ONCE))):
            chunk = [sessions.describe(record, now_ms) for record in looked_at if asked.fits(record)][:limit]
            limit -= len(chunk)
            if chunk:
                yield {"sessions": chunk}
            await trio.lowlevel.checkpoint()
