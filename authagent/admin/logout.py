"""`authagent logout`: sessions end everywhere, and it is told node by node where that is done.

Rules of this file:

- Only a master ends sessions; a slave hands the question to it, and its answer back as it came.
- Done is where a follower's cursor has passed the logout, as its heartbeats tell. Whoever was linked when it was asked
  for, is linked now, or is listed by name, and has not passed it, is pending, with how long it may still serve.
- A partner that is down serves nobody, and compares before it serves again; so it is pending only in a split.
- Whatever was asked for is answered in time. A logout that is pending somewhere goes on by itself.
"""

import json
from collections.abc import Callable, Mapping
from itertools import islice
from typing import Any

import attrs
import trio

from authagent.admin import sessions
from authagent.admin.problems import Facts, missing_proxies
from authagent.admin.sessions import Wanted
from authagent.core import commands as do
from authagent.core import events as on
from authagent.server import Server
from protocol.io.control_client import ControlError, ExitCode
from protocol.messages import Role

TIMEOUT_S = 5.0
TIMEOUT_S_MAX = 3600.0
POLL_S = 0.02
RETRY_S = 0.1

LOOKED_AT_MAX = 1_000
"""Sessions looked at for how long they would live; of more, the longest lifetime that the file allows is told."""


@attrs.frozen(kw_only=True)
class Order:
    """What was asked for: sessions of one key, user or site, or all, by a moment of trio's clock."""

    wanted: Wanted
    everything: bool
    until_s: float

    def event(self, request: int) -> on.LogoutAsked:
        asked = self.wanted
        return on.LogoutAsked(request, asked.key, asked.user, asked.site, self.everything)


@attrs.define
class Logout:
    """Carries out one agent's logouts."""

    server: Server
    facts: Callable[[], Facts]

    async def anywhere(self, question: Mapping[str, Any]) -> dict[str, Any]:
        """At the master here or elsewhere; waits a moment for one where nobody serves yet. Raises ControlError."""
        until_s = trio.current_time() + _within_s(question)
        while True:
            try:
                if self.server.agent.election.role == Role.MASTER:
                    return await self.here(question)
                return await self._at_master(question, until_s)
            except ControlError as error:
                if error.code != ExitCode.UNREACHABLE or trio.current_time() + RETRY_S >= until_s:
                    raise
            await trio.sleep(RETRY_S)

    async def for_partner(self, body: bytes) -> bytes:
        """What the partner hands over; the answer is JSON, an error included."""
        try:
            question = json.loads(body)
            if not isinstance(question, dict) or question.pop("verb", None) != "logout":
                raise ControlError("the master carries out nothing but logouts", ExitCode.USAGE)
            return json.dumps(await self.here(question)).encode()
        except ControlError as error:
            return json.dumps({"error": str(error), "code": int(error.code)}).encode()
        except (ValueError, RecursionError):
            return json.dumps({"error": "a question is one object of JSON", "code": int(ExitCode.USAGE)}).encode()

    async def here(self, question: Mapping[str, Any]) -> dict[str, Any]:
        """At this agent, as master: `ended`, `done` and `pending`."""
        order = self._order(question)
        agent = self.server.agent
        awaited = {peer.name for peer in agent.peers}
        serves_s = self._serves_s(order)
        asked = await self._ask(order.event, order.until_s)
        if asked.error:
            raise ControlError(asked.error, ExitCode.UNREACHABLE)
        log_id = agent.replication.log.log_id
        done: set[str] = set()
        with trio.CancelScope(deadline=order.until_s):
            while awaited - (done := done | self._passed(log_id, asked.sequence)):  # noqa: ASYNC110 - nobody sets an Event
                await trio.sleep(POLL_S)
        awaited |= {peer.name for peer in agent.peers}
        pending = self._pending(awaited - done, done, serves_s)
        return {"ended": asked.ended, "done": [f"authagent-{agent.settings.id}", *sorted(done)], "pending": pending}

    # -- asking ---------------------------------------------------------------------------------------------------

    def _order(self, question: Mapping[str, Any]) -> Order:
        until_s = trio.current_time() + _within_s(question)
        setup = self.server.setup
        target = {name: question.get(name) for name in ("key", "user", "site")}
        everything = question.get("all") is True
        if sum(value is not None for value in target.values()) + everything != 1:
            raise ControlError("say exactly one of: KEY, --user, --site, --all", ExitCode.USAGE)
        try:
            wanted = sessions.wanted(target, self.server.agent.table, setup.configuration, setup.site)
        except ValueError as error:
            raise ControlError(str(error), ExitCode.USAGE) from None
        return Order(wanted=wanted, everything=everything, until_s=until_s)

    async def _at_master(self, question: Mapping[str, Any], until_s: float) -> dict[str, Any]:
        within_s = max(POLL_S, until_s - trio.current_time())
        body = json.dumps({**question, "verb": "logout", "within_s": within_s}).encode()
        answer = await self._ask(lambda request: on.AdminAsked(request, body), until_s + 1.0)
        if answer.error:
            raise ControlError(answer.error, ExitCode.UNREACHABLE)
        told: dict[str, Any] = json.loads(answer.body)
        if "error" in told:
            raise ControlError(str(told["error"]), int(told.get("code", ExitCode.UNREACHABLE)))
        return told

    async def _ask(self, make: Callable[[int], on.Event], until_s: float) -> do.Answer:
        with trio.CancelScope(deadline=until_s):
            return await self.server.ask_machine(make)
        text = "the master did not answer in time: it may have ended the sessions or not; ask again"
        raise ControlError(text, ExitCode.UNFINISHED)

    # -- telling --------------------------------------------------------------------------------------------------

    def _passed(self, log_id: int, sequence: int) -> set[str]:
        """Linked followers whose cursor has passed the logout."""
        said = {peer.name: peer.heartbeat for peer in self.server.agent.peers}
        return {
            name
            for name, heartbeat in said.items()
            if heartbeat is not None and heartbeat.log_id == log_id and heartbeat.sequence >= sequence
        }

    def _pending(self, behind: set[str], done: set[str], serves_s: float) -> list[dict[str, Any]]:
        """Who has not confirmed the logout, why, and for how long each may go on."""
        agent, facts = self.server.agent, self.facts()
        linked, partner = {peer.name for peer in agent.peers}, f"authagent-{agent.settings.partner}"
        reasons = dict.fromkeys(sorted(behind & linked), "has not confirmed it yet")
        apart = sorted({*(behind - linked), *missing_proxies(agent, facts)} - {*done, partner})
        reasons |= dict.fromkeys(apart, "is not linked")
        if agent.election.split and partner not in linked:
            reasons[partner] = "may serve apart"
        alone_s = serves_s if agent.election.split else min(serves_s, _kept_s(facts))
        return [
            {"node": name, "reason": reason, "serves_at_most_s": alone_s if reason == "is not linked" else serves_s}
            for name, reason in reasons.items()
        ]

    def _serves_s(self, order: Order) -> float:
        """How long the sessions in question could live where the logout does not arrive."""
        agent, asked = self.server.agent, order.wanted
        now_ms = agent.duty.now_ms(self.server.clock())
        if asked.key is not None:
            ends_ms = [record.login.expires_at for record in agent.table.held(asked.key)]
        elif asked.user is not None:
            ends_ms = [record.login.expires_at for record in agent.table.held_of(asked.user)]
        else:
            looked_at = list(islice(agent.table.sessions(now_ms), LOOKED_AT_MAX))
            if len(looked_at) == LOOKED_AT_MAX:
                return self.server.setup.configuration.session.max_lifetime_s
            ends_ms = [record.login.expires_at for record in looked_at if asked.fits(record)]
        return round(max(0, max(ends_ms, default=now_ms) - now_ms) / 1000, 3)


def _kept_s(facts: Facts) -> float:
    """How long a proxy without any agent answers look-ups from its copy."""
    keep = facts.configuration.session.keep_sessions
    if isinstance(keep, str):
        return 0.0 if keep == "drop" else float("inf")
    return keep


def _within_s(question: Mapping[str, Any]) -> float:
    within_s = question.get("within_s", TIMEOUT_S)
    if isinstance(within_s, bool) or not isinstance(within_s, int | float) or not 0 < within_s <= TIMEOUT_S_MAX:
        raise ControlError(f"--timeout is a number of seconds up to {TIMEOUT_S_MAX:g}", ExitCode.USAGE)
    return float(within_s)
