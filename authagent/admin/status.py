"""What `authagent status` shows: facts of the machine, and the one sentence that sums them up.

Rules of this file:

- Pure: reads the machine, never steps it. Fields are only ever added (DESIGN section 6).
- The sentence says that all is equal, or what is wrong; problems have a code for programs and a text for people.
"""

from collections.abc import Mapping
from typing import Any

import attrs

from authagent.core.agent import Agent
from authagent.core.peer import Peer
from authagent.tally import Tally
from protocol.configuration import Configuration
from protocol.messages import Role
from protocol.stamp import Now

ROLES = {Role.STARTING: "starting", Role.MASTER: "master", Role.SLAVE: "slave"}

EQUAL_AGE_S = 5.0
"""A digest seen equal longer ago than this says nothing about now."""


@attrs.frozen
class Facts:
    """What the shell knows besides the machine."""

    configuration: Configuration
    site: str
    id: str
    version: str
    store_ok: bool
    store_error: str
    started_wall_ms: int


@attrs.frozen
class Problem:
    """One thing that is wrong. `since_s` is how long it has been so, as far as known."""

    code: str
    text: str
    since_s: float | None = None


def status(agent: Agent, facts: Facts, tally: Tally, now: Now, rfc3339: Mapping[str, Any]) -> dict[str, Any]:
    """All fields of `authagent status --json`. `rfc3339` has `at(seconds ago)`, which makes a time of day."""
    at = rfc3339["at"]
    election = agent.election
    partner = agent.peers.partner
    found = problems(agent, facts, now)
    proxies = _proxies(agent, facts, now, at)
    remotes = [
        {"site": site, **_nobody("site links are not part of this version")}
        for site in facts.configuration.sites
        if site != facts.site
    ]
    return {
        "id": facts.id,
        "site": facts.site,
        "role": ROLES[election.role],
        "term": election.term,
        "split": election.split,
        "partner": _partner(agent, partner, now, at),
        "proxies": proxies,
        "remotes": remotes,
        "sessions": agent.table.alive,
        "tombstones": agent.table.ended,
        "records": agent.table.records,
        "events_total": tally.events_total,
        "logins_total": tally.logins_total,
        "logouts_total": tally.logouts_total,
        "touches_total": tally.touches_total,
        "resurrections_blocked_total": agent.table.counts.resurrections_blocked,
        "key_conflicts_total": agent.table.counts.key_conflicts,
        "snapshots_total": agent.resync.snapshots_count,
        "version": facts.version,
        "healthy": not found,
        "problems": [
            {"code": each.code, "text": each.text, "since": None if each.since_s is None else at(each.since_s)}
            for each in found
        ],
        "sentence": sentence(agent, facts, found),
        "config_equal": all(peer.configuration_equal for peer in agent.peers),
        "store": {"ok": facts.store_ok, "error": facts.store_error},
        "log_id": f"{agent.replication.log.log_id:016x}",
        "sequence": agent.replication.log.sequence,
        "unsure": agent.duty.unsure_until_s is not None,
    }


def problems(agent: Agent, facts: Facts, now: Now) -> list[Problem]:
    """Everything that is not as it should be, gravest first."""
    election, partner = agent.election, agent.peers.partner
    found: list[Problem] = []
    if election.role == Role.STARTING:
        why = f": {election.refused}" if election.refused else ""
        found.append(Problem("starting", f"agent {facts.id} has no role yet{why}"))
    if election.split:
        found.append(Problem("split", "both agents may serve: the partner is not linked, and not known to be down"))
    if agent.settings.partner is not None and partner is None and not election.split:
        found.append(Problem("partner_down", f"agent {agent.settings.partner} is down: nobody stands by"))
    if not facts.store_ok:
        found.append(Problem("store", f"nothing is stored on disk: {facts.store_error}"))
    for peer in agent.peers:
        if peer.unequal_since_s is not None:
            since_s = now.monotonic_s - peer.unequal_since_s
            if since_s >= agent.settings.unequal_after_s:
                found.append(Problem("unequal", f"{peer.name} differs; tables are being compared", since_s))
        if not peer.configuration_equal:
            found.append(Problem("configuration", f"{peer.name} runs with another configuration file"))
    unreached = "is not linked: logouts do not reach it"
    return found + [Problem("proxy_missing", f"proxy {each} {unreached}") for each in _missing(agent, facts)]


def sentence(agent: Agent, facts: Facts, found: list[Problem]) -> str:
    """The first line of `authagent status`."""
    if found:
        return "; ".join(each.text for each in found[:3]) + (f"; and {len(found) - 3} more" if len(found) > 3 else "")
    proxies = sum(not peer.is_partner for peer in agent.peers)
    users = f"{agent.table.alive:,} session{'s' * (agent.table.alive != 1)}"
    if agent.election.role == Role.SLAVE:
        return f"Everything equal. Standing by for agent {agent.settings.partner}, {users}."
    return f"Everything equal. 1 site, {proxies} {'proxy' if proxies == 1 else 'proxies'}, {users}."


def _missing(agent: Agent, facts: Facts) -> list[str]:
    """Proxies listed by name that are not linked; only a master can say."""
    if agent.election.role != Role.MASTER:
        return []
    listed = [entry.id for entry in facts.configuration.proxyagents if entry.site == facts.site]
    return [each for each in listed if "*" not in each and "?" not in each and agent.peers.named("proxy", each) is None]


def _proxies(agent: Agent, facts: Facts, now: Now, at: Any) -> list[dict[str, Any]]:
    linked = [
        {"id": peer.id, "connected": True, "address": peer.address, "lag_events": lag_events(agent, peer)}
        | _peer(peer, now, at)
        for peer in sorted(agent.peers, key=lambda peer: peer.id)
        if not peer.is_partner
    ]
    return linked + [{"id": each, "lag_events": None, **_nobody("")} for each in _missing(agent, facts)]


def lag_events(agent: Agent, peer: Peer) -> int | None:
    """How many log entries the follower is behind, as of its last heartbeat; None before that."""
    heartbeat, log = peer.heartbeat, agent.replication.log
    if heartbeat is None or heartbeat.log_id != log.log_id:
        return None
    return max(0, log.sequence - heartbeat.sequence)


def _partner(agent: Agent, partner: Peer | None, now: Now, at: Any) -> dict[str, Any] | None:
    if agent.settings.partner is None:
        return None
    if partner is None:
        return {"id": agent.settings.partner_name, **_nobody(agent.election.refused)}
    role = partner.role
    told = {"id": partner.id, "connected": True, "address": partner.address}
    return told | {"role": None if role is None else ROLES[role]} | _peer(partner, now, at)


def _peer(peer: Peer, now: Now, at: Any) -> dict[str, Any]:
    age_s = now.monotonic_s - peer.equal_s if peer.equal is not None and peer.equal_s else None
    return {
        "since": at(now.monotonic_s - peer.opened_s),
        "version": peer.software,
        "digest_equal": peer.equal if peer.equal is not True or (age_s or 0) < EQUAL_AGE_S else None,
        "digest_age_s": None if age_s is None else round(age_s, 3),
        "clock_offset_s": round(peer.wall_offset_ms / 1000, 3),
        "refused": "",
    }


def _nobody(refused: str) -> dict[str, Any]:
    return {
        "connected": False,
        "since": None,
        "version": None,
        "digest_equal": None,
        "digest_age_s": None,
        "clock_offset_s": None,
        "refused": refused,
    }
