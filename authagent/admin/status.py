"""The fields of `authagent status --json`.

Rules of this file:

- Pure: reads the machine, never steps it. Fields are only ever added (DESIGN section 6).
- Times are made by the caller's `at`: how many seconds ago becomes a time of day.
"""

from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

from authagent.admin.problems import Facts, Problem, missing_proxies, sentence
from authagent.admin.remotes import Remote, remotes
from authagent.core.agent import Agent
from authagent.core.peer import Peer
from authagent.tally import Tally
from protocol.messages import Role
from protocol.stamp import Now

At: TypeAlias = Callable[[float], str]
"""The time of day so many seconds ago, RFC 3339 in UTC."""

ROLES = {Role.STARTING: "starting", Role.MASTER: "master", Role.SLAVE: "slave"}

EQUAL_AGE_S = 5.0
"""A digest seen equal longer ago than this says nothing about now."""


def status(agent: Agent, facts: Facts, tally: Tally, found: list[Problem], now: Now, at: At) -> dict[str, Any]:
    """Everything that an operator may want to know. `found` are the problems with their age."""
    election = agent.election
    return {
        "sentence": sentence(agent, found),
        "healthy": not found,
        "problems": [{"code": each.code, "text": each.text, "since": at(each.since_s)} for each in found],
        "id": facts.id,
        "site": facts.site,
        "role": ROLES[election.role],
        "term": election.term,
        "split": election.split,
        "unsure": agent.duty.unsure_until_s is not None,
        "partner": _partner(agent, now, at),
        "proxies": list(_proxies(agent, facts, now, at)),
        "remotes": [_remote(each, now, at) for each in remotes(agent, now)],
        "sessions": agent.table.alive,
        "tombstones": agent.table.ended,
        "records": agent.table.records,
        **_totals(agent, facts, tally),
        "config_equal": all(peer.configuration_equal for peer in agent.peers),
        "store": {"ok": facts.store_ok, "error": facts.store_error},
        "log_id": f"{agent.replication.log.log_id:016x}",
        "sequence": agent.replication.log.sequence,
        "version": facts.version,
        "uptime_s": round(facts.uptime_s, 3),
    }


def _totals(agent: Agent, facts: Facts, tally: Tally) -> dict[str, int]:
    """What has happened since the start."""
    return {
        "events_total": tally.events_total,
        "logins_total": tally.logins_total,
        "logouts_total": tally.logouts_total,
        "timeouts_total": tally.timeouts_total,
        "touches_total": tally.touches_total,
        "resurrections_blocked_total": agent.table.counts.resurrections_blocked,
        "key_conflicts_total": agent.table.counts.key_conflicts,
        "snapshots_total": agent.resync.snapshots_count,
        "refused_total": facts.refused_total,
    }


# -- peers --------------------------------------------------------------------------------------------------------


def _partner(agent: Agent, now: Now, at: At) -> dict[str, Any] | None:
    if agent.settings.partner is None:
        return None
    partner = agent.peers.partner
    if partner is None:
        return {"id": agent.settings.partner_name, "role": None, **_nobody(agent.election.refused)}
    role = partner.role
    return {"id": partner.id, "role": None if role is None else ROLES[role], **_linked(partner, now, at)}


def _proxies(agent: Agent, facts: Facts, now: Now, at: At) -> Iterator[dict[str, Any]]:
    """Those that are linked; those listed by name that are not; those that were refused lately."""
    linked = sorted((peer for peer in agent.peers if peer.is_proxy), key=lambda peer: peer.name)
    for peer in linked:
        yield {"id": peer.name, "lag_events": lag_events(agent, peer), **_linked(peer, now, at)}
    refused = {each.id: each.text for each in facts.refused if (each.kind, each.site) == ("proxy", facts.site)}
    for name in sorted({*missing_proxies(agent, facts), *refused} - {peer.name for peer in linked}):
        yield {"id": name, "lag_events": None, **_nobody(refused.get(name, ""))}


def _remote(remote: Remote, now: Now, at: At) -> dict[str, Any]:
    """Of a site that is not linked, `since` tells when it was lost."""
    peer, traffic = remote.peer, remote.traffic
    link = _nobody(remote.refused) if peer is None else _linked(peer, now, at)
    if remote.lost_s is not None:
        link["since"] = at(now.monotonic_s - remote.lost_s)
    if peer is not None:
        link |= _digest(remote.equal, remote.equal_s, now)
    return {
        "site": remote.site,
        "agent": None if peer is None else peer.id,
        "lag_s": None if remote.lag_s is None else round(remote.lag_s, 3),
        "queued_events": remote.queued,
        "events_out": traffic.events_out,
        "bytes_out": traffic.bytes_out,
        "events_in": traffic.events_in,
        "bytes_in": traffic.bytes_in,
        **link,
    }


def lag_events(agent: Agent, peer: Peer) -> int | None:
    """How many log entries the follower is behind, as of its last heartbeat; None before that."""
    heartbeat, log = peer.heartbeat, agent.replication.log
    if heartbeat is None or heartbeat.log_id != log.log_id:
        return None
    return max(0, log.sequence - heartbeat.sequence)


def _linked(peer: Peer, now: Now, at: At) -> dict[str, Any]:
    return {
        "connected": True,
        "address": peer.address,
        "since": at(now.monotonic_s - peer.opened_s),
        "version": peer.software,
        **_digest(peer.equal, peer.equal_s, now),
        "clock_offset_s": round(peer.wall_offset_ms / 1000, 3),
        "refused": "",
    }


def _digest(equal: bool | None, equal_s: float, now: Now) -> dict[str, Any]:
    """What was equal too long ago says nothing about now."""
    age_s = now.monotonic_s - equal_s if equal_s else None
    stale = equal is True and (age_s is None or age_s >= EQUAL_AGE_S)
    return {"digest_equal": None if stale else equal, "digest_age_s": None if age_s is None else round(age_s, 3)}


def _nobody(refused: str) -> dict[str, Any]:
    return {
        "connected": False,
        "address": None,
        "since": None,
        "version": None,
        "digest_equal": None,
        "digest_age_s": None,
        "clock_offset_s": None,
        "refused": refused,
    }
