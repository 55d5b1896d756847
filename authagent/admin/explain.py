"""`authagent explain`: what happened to the sessions of a key or a user, told by both agents.

Rules of this file:

- What the table knows is told of every session that is still kept, ended ones too: where it began, how it stands, what
  displaced it. When, through which message and from whom it came is told as long as it is remembered (recent.py).
- Nothing is recorded for this but what recent.py keeps. A question walks the table and the memory, with pauses.
- Either agent may be asked; each tells what it saw, and the answers are joined by login id. One that cannot be asked
  is named, with the reason.
- Bounded: the SESSIONS_MAX sessions that began last, EVENTS_MAX events of each.
"""

from collections.abc import Callable, Mapping
from typing import Any

import attrs
import trio

from authagent.admin import asking, sessions
from authagent.admin.problems import Facts, missing_proxies
from authagent.admin.remotes import remotes_of_master
from authagent.admin.status import EQUAL_AGE_S, At, lag_events
from authagent.core.peer import Peer
from authagent.server import Server
from authagent.tally import REASONS
from protocol import codec
from protocol.changes import Changes, EndRun, LoginRun
from protocol.io.control_client import ControlError, ExitCode
from protocol.messages import Role
from protocol.session import LoginId, Record, State, alive

SESSIONS_MAX = 20
EVENTS_MAX = 50

ACTS_AT_ONCE = 50
"""Payloads read between two pauses: a millisecond, unless they are of thousands."""

PARTNER_S = 3.0
"""How long the other agent is waited for."""

Found = dict[str, Any]

_TEXT = str | None
_EVENT = {"at": str, "node": str, "what": str, "message": str, "from": str}
_SESSION = {
    "login_id": str, "key": str, "user": str, "site": _TEXT, "proxy": str, "login_at": _TEXT, "active_at": _TEXT,
    "expires_at": str, "idle_timeout_s": int | None, "state": str, "ended": _TEXT, "displaced_by": _TEXT,
    "events": [_EVENT],
}  # fmt: skip
TOLD = {
    "sessions": [_SESSION],
    "left_out": int,
    "logged_out_everywhere_at": _TEXT,
    "nodes": [{"node": str, "has_all": bool | None}],
    "told_by": [str],
}
"""What the partner answers, so that it is believed."""


@attrs.define
class Explain:
    """Answers one agent's part of such questions, and joins it with its partner's."""

    server: Server
    facts: Callable[[], Facts]
    at: At

    async def anywhere(self, question: Mapping[str, Any]) -> Found:
        """What both agents know of `key_or_user`. Raises ControlError for what is no question."""
        asked = self._asked(question)
        told = await self.here(question)
        if self.server.agent.settings.partner is None:
            return told
        late = "the other agent did not answer in time"
        try:
            until_s = trio.current_time() + PARTNER_S
            theirs = await asking.ask_partner(self.server, "explain", {"key_or_user": asked}, until_s, late, TOLD)
        except ControlError as error:
            silent = {"agent": self.server.agent.settings.partner_name, "reason": str(error)}
            return {**told, "silent": [silent]}
        return joined(told, theirs)

    async def here(self, question: Mapping[str, Any]) -> Found:
        """What this agent knows."""
        asked = self._asked(question)
        agent, setup = self.server.agent, self.server.setup
        try:
            meant = sessions.wanted({"key": asked, "user": asked}, agent.table, setup.configuration, setup.site)
        except ValueError as error:
            raise ControlError(str(error), ExitCode.USAGE) from None
        key, user = meant.key or asked, meant.user or asked
        records: dict[LoginId, Record] = {}
        for page in agent.table.traces(key, user):
            records.update((record.login_id, record) for record in page)
            await trio.lowlevel.checkpoint()
        latest = sorted(records.values(), key=_begun)[-SESSIONS_MAX:]
        events = await self._events({record.login_id for record in latest})
        barrier_ms = agent.table.barrier(user)
        return {
            "asked": asked,
            "sessions": [self._told(record, latest, events[record.login_id]) for record in latest],
            "left_out": len(records) - len(latest),
            "logged_out_everywhere_at": self._time(barrier_ms) if barrier_ms > 0 else None,
            "nodes": self._nodes(),
            "told_by": [agent.settings.name],
            "silent": [],
        }

    @staticmethod
    def _asked(question: Mapping[str, Any]) -> str:
        asked = question.get("key_or_user")
        if not isinstance(asked, str) or not asked:
            raise ControlError("say which KEY or USER", ExitCode.USAGE)
        return asked

    # -- one session ---------------------------------------------------------------------------------------------

    def _told(self, record: Record, latest: list[Record], events: list[Found]) -> Found:
        login = record.login
        ended, why = self._end(record)
        begun = not login.partial
        return {
            "login_id": str(record.login_id),
            "key": login.key,
            "user": login.user,
            "site": login.site,
            "proxy": record.login_id.proxy,
            "login_at": self._time(login.login_at) if begun else None,
            "active_at": self._time(record.active_at) if begun else None,
            "expires_at": self._time(login.expires_at),
            "idle_timeout_s": login.idle_timeout_s if begun else None,
            "state": why,
            "ended": ended,
            "displaced_by": _successor(record, latest),
            "events": events,
        }

    def _end(self, record: Record) -> tuple[str | None, str]:
        """Why the session ended, in the words of DESIGN section 6, and how it stands."""
        table, now_ms = self.server.agent.table, self._now_ms()
        login, barrier_ms = record.login, table.barrier(record.login.user)
        if record.state != State.ALIVE:
            reason = REASONS[State(record.state)]
            return reason, State(record.state).name.lower()
        if alive(record, barrier_ms, now_ms):
            shown = table.view(login.key, now_ms)
            return None, "shown" if shown is not None and shown.login_id == record.login_id else "hidden"
        if login.login_at <= barrier_ms:
            return "logged_out", "logged_out_everywhere"
        return ("expired", "expired") if now_ms >= login.expires_at else ("idle", "idle")

    # -- what is remembered --------------------------------------------------------------------------------------

    async def _events(self, wanted: set[LoginId]) -> dict[LoginId, list[Found]]:
        """What is remembered of these sessions, oldest first."""
        events: dict[LoginId, list[Found]] = {login_id: [] for login_id in wanted}
        origins = {(login_id.proxy, login_id.epoch) for login_id in wanted}
        name = f"authagent-{self.server.agent.settings.id}"
        for number, act in enumerate(self.server.recent if wanted else ()):
            if number % ACTS_AT_ONCE == 0:
                await trio.lowlevel.checkpoint()
            for login_id, what in _said(codec.decode_changes(act.payload), origins):
                if login_id in events and len(events[login_id]) < EVENTS_MAX:
                    at = self.at((self.server.clock().wall_ms - act.wall_ms) / 1000)
                    event = {"at": at, "node": name, "what": what, "message": act.message, "from": act.source}
                    events[login_id].append(event)
        return events

    # -- which nodes ---------------------------------------------------------------------------------------------

    def _nodes(self) -> list[Found]:
        """Who has all that this agent has: by digest, or by a cursor at the log's end."""
        agent = self.server.agent
        now = self.server.clock()
        local = (peer for peer in agent.peers if not peer.is_remote)
        peers = sorted(local, key=lambda peer: (not peer.is_partner, peer.name))
        end = agent.replication.log.sequence
        nodes: list[Found] = [{"node": f"authagent-{agent.settings.id}", "has_all": True}]
        nodes += [{"node": peer.name, "has_all": self._has_all(peer, now.monotonic_s)} for peer in peers]
        nodes += [
            {"node": each.name, "has_all": each.has(end) if each.links else None}
            for each in remotes_of_master(agent, now)
        ]
        return nodes + [{"node": name, "has_all": None} for name in missing_proxies(agent, self.facts())]

    def _has_all(self, peer: Peer, now_s: float) -> bool:
        if peer.equal is True and now_s - peer.equal_s < EQUAL_AGE_S:
            return True
        return self.server.agent.election.role == Role.MASTER and lag_events(self.server.agent, peer) == 0

    def _now_ms(self) -> int:
        return self.server.agent.duty.now_ms(self.server.clock())

    def _time(self, cluster_ms: int) -> str:
        return self.at((self._now_ms() - cluster_ms) / 1000)


def joined(ours: Found, theirs: Found) -> Found:
    """Two agents' answers as one: sessions by login id, events by time, and of each node what the better informed says.

    Where the two differ about a session, the end counts: it is on its way to the other.
    """
    told = {session["login_id"]: dict(session) for session in ours["sessions"]}
    for session in theirs["sessions"]:
        known = told.get(session["login_id"])
        if known is None:
            told[session["login_id"]] = dict(session)
            continue
        events = sorted([*known["events"], *session["events"]], key=lambda event: str(event["at"]))[:EVENTS_MAX]
        last = session if known["ended"] is None and session["ended"] is not None else known
        told[session["login_id"]] = {**last, "events": events}
    nodes = {node["node"]: node["has_all"] for node in theirs["nodes"]}
    for node in ours["nodes"]:
        nodes[node["node"]] = node["has_all"] or nodes.get(node["node"], node["has_all"])
    return {
        **ours,
        "sessions": sorted(told.values(), key=lambda each: str(each["login_at"]))[-SESSIONS_MAX:],
        "left_out": max(ours["left_out"], theirs["left_out"]),
        "logged_out_everywhere_at": ours["logged_out_everywhere_at"] or theirs["logged_out_everywhere_at"],
        "nodes": [{"node": name, "has_all": has_all} for name, has_all in nodes.items()],
        "told_by": [*ours["told_by"], *theirs["told_by"]],
    }


def _said(changes: Changes, origins: set[tuple[str, int]]) -> list[tuple[LoginId, str]]:
    """What a batch says of sessions of these origins."""
    said: list[tuple[LoginId, str]] = []
    runs: list[LoginRun | EndRun] = [*changes.logins, *changes.ends]
    for run in runs:
        if tuple(run.origin) not in origins:
            continue
        states = run.states or bytes([State.ALIVE]) * len(run.keys)
        for sequence, state in zip(run.sequences, states, strict=True):
            login_id = LoginId(run.origin.proxy, run.origin.epoch, sequence)
            if isinstance(run, LoginRun):
                said.append((login_id, "login"))
            if state != State.ALIVE:
                said.append((login_id, State(state).name.lower()))
    return said


def _begun(record: Record) -> tuple[int, LoginId]:
    return record.login.login_at, record.login_id


def _successor(record: Record, latest: list[Record]) -> str | None:
    """The login under the same key that took the place of a superseded one: the next after it."""
    if record.state != State.SUPERSEDED:
        return None
    later = (each for each in latest if each.login.key == record.login.key and _begun(each) > _begun(record))
    return next((str(each.login_id) for each in later), None)
