"""`authagent logout`: sessions end everywhere, and it is told node by node where that is done.

Rules of this file:

- Only a master ends sessions; a slave hands the question to it, and its answer back as it came.
- Done is where a follower's cursor has passed the logout, as its heartbeats tell. Whoever was linked when it was asked
  for, is linked now, or is listed by name, and has not passed it, is pending, with how long it may still serve.
- A partner that is down serves nobody, and compares before it serves again; so it is pending only in a split.
- Another site is done when all that arose here up to the logout is on stable storage there, or in the memory of its
  master where a comparison has carried it; its proxies have it some milliseconds later. One that is not linked is
  pending: it goes on to serve.
- Followers confirm to the master that they follow. When mastership goes over meanwhile, the new master is asked again:
  what has ended stays ended.
- Whatever was asked for is answered in time. A logout that is pending somewhere goes on by itself.
- A million sessions are ended some hundred at a time: the loop has a heartbeat to send. Who logs in meanwhile, where
  the walk has passed, stays.
"""

from collections.abc import Callable, Mapping
from functools import partial
from itertools import islice
from typing import Any

import attrs
import trio

from authagent.admin import asking, sessions
from authagent.admin.problems import Facts, missing_proxies
from authagent.admin.remotes import remotes
from authagent.admin.sessions import Wanted
from authagent.core import events as on
from authagent.server import Server
from protocol.io.control_client import ControlError, ExitCode
from protocol.messages import Role
from protocol.session import Record

POLL_S = 0.02
RETRY_S = 0.1

_COUNTED = {"done": int, "total": int}
TOLD = {
    "ended": int,
    "done": [str],
    "pending": [{"node": str, "reason": str, "serves_at_most_s": int | float}],
    "proxies": _COUNTED,
    "sites": _COUNTED,
}
"""What a master answers, so that a slave believes it."""

ENDED_AT_ONCE = 200
"""Sessions ended in one step: two or three milliseconds."""


@attrs.frozen(kw_only=True)
class Order:
    """What was asked for: sessions of one key, user or site, or all, by a moment of trio's clock."""

    wanted: Wanted
    until_s: float

    @property
    def many(self) -> bool:
        """Whether the whole table must be walked through: of a site, or all."""
        return self.wanted.key is None and self.wanted.user is None


@attrs.define
class Ended:
    """How far ending has come: sessions, the log's position, and how long the last of them could have lived."""

    sessions: int = 0
    sequence: int = 0
    serves_s: float = 0.0
    whole: bool = False


@attrs.define
class Logout:
    """Carries out one agent's logouts."""

    server: Server
    facts: Callable[[], Facts]
    _ended_before: int = 0  # by this agent, before it handed its mastership over

    async def anywhere(self, question: Mapping[str, Any]) -> dict[str, Any]:
        """At the master here or elsewhere; waits a moment for one where nobody serves yet. Raises ControlError."""
        until_s = trio.current_time() + asking.within_s(question)
        late = "the master did not answer in time: it may have ended the sessions or not; ask again"
        while True:
            try:
                if self.server.agent.election.role == Role.MASTER:
                    return await self.here(question)
                told: dict[str, Any] = await asking.ask_partner(self.server, "logout", question, until_s, late, TOLD)
                return {**told, "ended": told["ended"] + self._ended_before}
            except ControlError as error:
                if error.code != ExitCode.UNREACHABLE or trio.current_time() + RETRY_S >= until_s:
                    raise
            await trio.sleep(RETRY_S)

    async def here(self, question: Mapping[str, Any]) -> dict[str, Any]:
        """At this agent, as master: `ended`, `done` and `pending`."""
        order, ended, done = self._order(question), Ended(), set[str]()
        agent = self.server.agent
        awaited = self._linked()
        with trio.CancelScope(deadline=order.until_s):
            await self._end(order, ended)
            log_id = agent.replication.log.log_id
            while awaited - (done := done | self._passed(log_id, ended.sequence)):
                if agent.replication.log.log_id != log_id:
                    self._ended_before += ended.sessions
                    raise ControlError("mastership went over meanwhile: ask again", ExitCode.UNREACHABLE)
                await trio.sleep(POLL_S)
        awaited |= self._linked()
        pending = self._pending(awaited - done, done, ended.serves_s)
        own = f"authagent-{agent.settings.id}"
        if ended.whole:
            return self._answer(ended, [own, *sorted(done)], pending)
        still = {"node": own, "reason": "has not ended all: ask again", "serves_at_most_s": ended.serves_s}
        return self._answer(ended, sorted(done), [still, *pending])

    # -- ending ---------------------------------------------------------------------------------------------------

    async def _end(self, order: Order, ended: Ended) -> None:
        """End what is meant; when it is cancelled, `ended` tells how far that came."""
        agent, asked = self.server.agent, order.wanted
        if not order.many:
            held = agent.table.held_of(asked.user or "") if asked.key is None else agent.table.held(asked.key)
            await self._end_some(partial(on.LogoutAsked, key=asked.key, user=asked.user), held, ended)
        else:
            shown = agent.table.sessions(self._now_ms())
            while looked_at := list(islice(shown, ENDED_AT_ONCE)):
                meant = [record for record in looked_at if asked.fits(record)]
                keys = tuple(record.login.key for record in meant)
                if keys:
                    await self._end_some(partial(on.LogoutAsked, keys=keys), meant, ended)
                await trio.lowlevel.checkpoint()
        ended.sequence = ended.sequence or agent.replication.log.sequence
        ended.whole = True

    async def _end_some(self, make: Callable[[int], on.Event], records: list[Record], ended: Ended) -> None:
        ends_ms = max((record.login.expires_at for record in records), default=0)
        answer = await self.server.ask_machine(make)
        if answer.error:
            raise ControlError(answer.error, ExitCode.UNREACHABLE)
        ended.sessions += answer.ended
        ended.sequence = answer.sequence
        ended.serves_s = max(ended.serves_s, round((ends_ms - self._now_ms()) / 1000, 3))

    def _now_ms(self) -> int:
        return self.server.agent.duty.now_ms(self.server.clock())

    # -- asking ---------------------------------------------------------------------------------------------------

    def _order(self, question: Mapping[str, Any]) -> Order:
        until_s = trio.current_time() + asking.within_s(question)
        setup = self.server.setup
        target = {name: question.get(name) for name in ("key", "user", "site")}
        everything = question.get("all") is True
        if sum(value is not None for value in target.values()) + everything != 1:
            raise ControlError("say exactly one of: KEY, --user, --site, --all", ExitCode.USAGE)
        try:
            wanted = sessions.wanted(target, self.server.agent.table, setup.configuration, setup.site)
        except ValueError as error:
            raise ControlError(str(error), ExitCode.USAGE) from None
        return Order(wanted=wanted, until_s=until_s)

    # -- telling --------------------------------------------------------------------------------------------------

    def _linked(self) -> set[str]:
        """Whoever follows this agent now, other sites as one each."""
        agent = self.server.agent
        sites = {each.name for each in remotes(agent, self.server.clock()) if each.links}
        return {peer.name for peer in agent.peers if not peer.is_remote} | sites

    def _passed(self, log_id: int, sequence: int) -> set[str]:
        """Linked followers whose cursor has passed the logout, and sites that have stored it."""
        agent = self.server.agent
        said = {peer.name: peer.heartbeat for peer in agent.peers if not peer.is_remote}
        passed = {
            name
            for name, heartbeat in said.items()
            if heartbeat is not None and heartbeat.log_id == log_id and heartbeat.sequence >= sequence
        }
        return passed | {each.name for each in remotes(agent, self.server.clock()) if each.has(sequence)}

    def _pending(self, behind: set[str], done: set[str], serves_s: float) -> list[dict[str, Any]]:
        """Who has not confirmed the logout, why, and for how long each may go on."""
        agent, facts = self.server.agent, self.facts()
        linked, partner = self._linked(), f"authagent-{agent.settings.partner}"
        sites = {each.name for each in remotes(agent, self.server.clock())}
        reasons = dict.fromkeys(sorted(behind & linked), "has not confirmed it yet")
        apart = sorted({*(behind - linked), *missing_proxies(agent, facts), *(sites - linked)} - {*done, partner})
        reasons |= dict.fromkeys(apart, "is not linked")
        if agent.election.split and partner not in linked:
            reasons[partner] = "may serve apart"
        alone_s = serves_s if agent.election.split else min(serves_s, _kept_s(facts))
        alone = set(apart) - sites
        return [
            {"node": name, "reason": reason, "serves_at_most_s": alone_s if name in alone else serves_s}
            for name, reason in reasons.items()
        ]

    def _answer(self, ended: Ended, done: list[str], pending: list[dict[str, Any]]) -> dict[str, Any]:
        """The answer, with proxies and sites counted; the own site is done when its agents are."""
        waits = [each["node"] for each in pending]
        sites = [each.name for each in remotes(self.server.agent, self.server.clock())]
        agents_wait = any(name.startswith("authagent-") for name in waits)
        proxies = [name for name in (*done, *waits) if name not in sites and not name.startswith("authagent-")]
        return {
            "ended": ended.sessions,
            "done": done,
            "pending": pending,
            "proxies": {"done": sum(name in done for name in proxies), "total": len(proxies)},
            "sites": {"done": sum(name in done for name in sites) + (not agents_wait), "total": len(sites) + 1},
        }


def _kept_s(facts: Facts) -> float:
    """How long a proxy without any agent answers look-ups from its copy."""
    keep = facts.configuration.session.keep_sessions
    if isinstance(keep, str):
        return 0.0 if keep == "drop" else float("inf")
    return keep
