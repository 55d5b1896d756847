"""Every number that an agent tells Prometheus: its name, what it means, and where it is read.

Rules of this file: protocol.io.http.metrics. A peer's label is `kind` and `peer`: "agent" and the partner's id, or
"proxy" and the id of one that is linked or listed by name (of another site's proxy, served here: site/id). Of another
site the label is `site`: its master may be either of its agents.
"""

import platform
from collections.abc import Callable, Iterator
from typing import TypeAlias

import attrs

from authagent.admin.handler import Handler
from authagent.admin.problems import CODES, Facts, Problem, missing_proxies
from authagent.admin.remotes import Remote, remotes_of_master
from authagent.admin.status import ROLES, lag_events
from authagent.core.agent import Agent
from authagent.core.border import Traffic
from authagent.core.peer import Peer
from authagent.http.readiness import is_ready
from authagent.server import Server
from authagent.tally import Tally
from authagent.webhook.hooks import Hooks
from authagent.webhook.sender import Sender
from protocol.io.http.metrics import Labelled, Metric, Value, door_metrics, of_states
from protocol.io.http_door import HttpDoor
from protocol.stamp import Now


@attrs.frozen
class Scrape:
    """One moment of an agent."""

    server: Server
    door: HttpDoor
    hooks: Hooks
    facts: Facts
    problems: list[Problem]
    now: Now

    @property
    def agent(self) -> Agent:
        return self.server.agent

    @property
    def tally(self) -> Tally:
        return self.server.tally

    def of_hooks(self, read: Callable[[Sender], int]) -> Labelled:
        """A value of each webhook, by its number in the file: addresses may hold passwords."""
        return [((str(number),), read(sender)) for number, sender in enumerate(self.hooks.senders, 1)]

    def of_peers(self, read: Callable[[Peer], Value]) -> Labelled:
        """A value of each peer that is linked, those of other sites left out."""
        return [(_peer_label(peer), read(peer)) for peer in self.agent.peers if not peer.is_remote]

    def of_sites(self, read: Callable[[Remote], Value]) -> Labelled:
        """A value of each other site; none at a slave, which is not linked across."""
        return [((remote.site,), read(remote)) for remote in remotes_of_master(self.agent, self.now)]


def scrape(server: Server, handler: Handler, door: HttpDoor, hooks: Hooks) -> Scrape:
    """What is so now."""
    return Scrape(server, door, hooks, handler.facts(), handler.problems(), server.clock())


# -- what needs more than a line -----------------------------------------------------------------------------------


def _events(scrape: Scrape) -> Labelled:
    tally = scrape.tally
    return [
        (("login",), tally.logins_total),
        (("logout",), tally.logouts_total),
        (("superseded",), tally.superseded_total),
        (("timeout",), tally.timeouts_total),
        (("touch",), tally.touches_total),
        (("user_logout",), tally.barriers_total),
    ]


def _links_up(scrape: Scrape) -> Iterator[tuple[tuple[str, ...], Value]]:
    agent = scrape.agent
    if agent.settings.partner is not None:
        yield ("agent", str(agent.settings.partner)), agent.peers.partner is not None
    yield from ((_peer_label(peer), 1) for peer in agent.peers if peer.is_proxy)
    yield from ((("proxy", name), 0) for name in missing_proxies(agent, scrape.facts))


def _peer_label(peer: Peer) -> tuple[str, str]:
    return peer.kind, peer.name if peer.is_proxy else peer.id


def _crossed(scrape: Scrape, read: Callable[[Traffic], tuple[int, int]]) -> Labelled:
    """Both ways, by site."""
    for remote in remotes_of_master(scrape.agent, scrape.now):
        for direction, value in zip(("out", "in"), read(remote.traffic), strict=True):
            yield (remote.site, direction), value


def _site_equal_age_s(scrape: Scrape) -> Labelled:
    return scrape.of_sites(lambda site: scrape.now.monotonic_s - site.equal_s if site.equal_s else None)


def _site_clock_offset_s(scrape: Scrape) -> Labelled:
    return scrape.of_sites(lambda site: None if site.peer is None else site.peer.wall_offset_ms / 1000)


def _problems(scrape: Scrape) -> Labelled:
    codes = [problem.code for problem in scrape.problems]
    return [((code,), codes.count(code)) for code in CODES]


def _queued_bytes(scrape: Scrape) -> Labelled:
    links = scrape.server.links
    return scrape.of_peers(lambda peer: links[peer.link].queued_bytes if peer.link in links else None)


def _unacknowledged(scrape: Scrape) -> Value:
    return sum(peer.ledger.waiting for peer in scrape.agent.peers)


def _build(scrape: Scrape) -> Labelled:
    facts = scrape.facts
    return [((facts.version, platform.python_version(), facts.site, facts.id), 1)]


def _equal_age_s(scrape: Scrape) -> Labelled:
    return scrape.of_peers(lambda peer: scrape.now.monotonic_s - peer.equal_s if peer.equal_s else None)


PEER = ("kind", "peer")
SITE = ("site",)
CROSSED = ("site", "direction")

def _door(scrape: Scrape) -> HttpDoor:
    return scrape.door


Of: TypeAlias = Metric[Scrape]

METRICS: tuple[Of, ...] = (
    Of("authagent_build_info", "gauge", "Always 1; which agent this is, and what it runs.", _build,
       ("version", "python", "site", "id")),
    # who serves
    Of("authagent_ready", "gauge", "1 while it is master, or slave with everything its master has; as /ready.",
       lambda s: is_ready(s.server)),
    Of("authagent_healthy", "gauge", "1 while `authagent status` names no problem.", lambda s: not s.problems),
    Of("authagent_problems", "gauge", "Problems that `authagent status` names, by code.", _problems, ("code",)),
    Of("authagent_role", "gauge", "1 for the role it has, 0 for the others.",
       lambda s: of_states(ROLES[s.agent.election.role], ROLES.values()), ("role",)),
    Of("authagent_term", "gauge", "The number of the mastership it knows of.", lambda s: s.agent.election.term),
    Of("authagent_split", "gauge", "1 while both agents serve, or may for all that is known.",
       lambda s: s.agent.election.split),
    Of("authagent_isolated", "gauge", "1 while it has a partner and is not linked to it: nobody stands by.",
       lambda s: s.agent.settings.partner is not None and s.agent.peers.partner is None),
    Of("authagent_unsure", "gauge", "1 while it has slept and not yet heard from its partner.",
       lambda s: s.agent.duty.unsure_until_s is not None),
    Of("authagent_failovers_total", "counter", "Times it became master after having been slave, planned or not.",
       lambda s: s.tally.failovers_total),
    # sessions
    Of("authagent_sessions", "gauge", "Users logged in now.", lambda s: s.agent.table.alive),
    Of("authagent_tombstones", "gauge", "Ended sessions that are still remembered.", lambda s: s.agent.table.ended),
    Of("authagent_records", "gauge", "Records in the table: sessions and tombstones.",
       lambda s: s.agent.table.records),
    Of("authagent_records_limit", "gauge", "How many records there may be ([limits] sessions).",
       lambda s: s.facts.configuration.limits.sessions),
    Of("authagent_events_total", "counter", "What has happened to sessions, by kind; each agent counts all it hears.",
       _events, ("kind",)),
    Of("authagent_resurrections_blocked_total", "counter", "Logins that arrived after their end, and stayed ended.",
       lambda s: s.agent.table.counts.resurrections_blocked),
    Of("authagent_key_conflicts_total", "counter", "Keys on which clocks could not tell two users apart.",
       lambda s: s.agent.table.counts.key_conflicts),
    # links
    Of("authagent_link_up", "gauge", "1 for a peer that is linked, 0 for one that should be.", _links_up, PEER),
    Of("authagent_link_lag_events", "gauge", "Log entries that a follower is behind, as of its last heartbeat.",
       lambda s: s.of_peers(lambda peer: lag_events(s.agent, peer)), PEER),
    Of("authagent_link_queue_bytes", "gauge", "What waits to leave on the link.", _queued_bytes, PEER),
    Of("authagent_link_silence_seconds", "gauge", "Since anything came from the peer.",
       lambda s: s.of_peers(lambda peer: s.now.monotonic_s - peer.heard_s), PEER),
    Of("authagent_link_digest_equal", "gauge", "1 when its table was equal to ours at the last comparison of digests.",
       lambda s: s.of_peers(lambda peer: peer.equal), PEER),
    Of("authagent_link_digest_equal_age_seconds", "gauge", "Since its table was last seen equal to ours.",
       _equal_age_s, PEER),
    Of("authagent_link_clock_offset_seconds", "gauge", "Its wall clock less ours.",
       lambda s: s.of_peers(lambda peer: peer.wall_offset_ms / 1000), PEER),
    Of("authagent_link_configuration_equal", "gauge", "1 when it had the same [session] and [[authagent]].",
       lambda s: s.of_peers(lambda peer: peer.configuration_equal), PEER),
    Of("authagent_links_refused_total", "counter", "Links of peers with the secret that were not let in.",
       lambda s: s.facts.refused_total),
    Of("authagent_connections_turned_away_total", "counter", "Connections closed unheard: too many in their handshake.",
       lambda s: s.server.listener.turned_away_total),
    # other sites
    Of("authagent_site_link_up", "gauge", "1 for another site whose master is linked, 0 for one that should be.",
       lambda s: s.of_sites(lambda site: bool(site.links)), SITE),
    Of("authagent_site_lag_seconds", "gauge",
       "Age of the oldest change not known to be on the other site's disk; of one not linked, for how long it is not.",
       lambda s: s.of_sites(lambda site: site.lag_s), SITE),
    Of("authagent_site_queued_events", "gauge", "Changes not known to be on the other site's disk.",
       lambda s: s.of_sites(lambda site: site.queued), SITE),
    Of("authagent_site_events_total", "counter", "Changes that have crossed to and from the other site.",
       lambda s: _crossed(s, lambda traffic: (traffic.events_out, traffic.events_in)), CROSSED),
    Of("authagent_site_bytes_total", "counter", "The bytes of those changes as they crossed, before TLS.",
       lambda s: _crossed(s, lambda traffic: (traffic.bytes_out, traffic.bytes_in)), CROSSED),
    Of("authagent_site_digest_equal", "gauge", "1 when its table was equal to ours at the last comparison of digests.",
       lambda s: s.of_sites(lambda site: site.equal), SITE),
    Of("authagent_site_digest_equal_age_seconds", "gauge", "Since its table was last seen equal to ours.",
       _site_equal_age_s, SITE),
    Of("authagent_site_clock_offset_seconds", "gauge", "The wall clock of its master less ours.",
       _site_clock_offset_s, SITE),
    # replication and the disk
    Of("authagent_unacknowledged_reports", "gauge", "Reports of proxies that are not yet on stable storage.",
       _unacknowledged),
    Of("authagent_snapshots_served_total", "counter", "Full copies sent.", lambda s: s.agent.resync.snapshots_count),
    Of("authagent_comparisons_total", "counter", "Comparisons of tables that came to their end.",
       lambda s: s.agent.resync.finished_count),
    Of("authagent_store_ok", "gauge", "1 while what is written reaches the disk.", lambda s: s.facts.store_ok),
    Of("authagent_store_errors_total", "counter", "Times the store broke.",
       lambda s: None if s.server.store is None else s.server.store.errors_total),
    Of("authagent_store_queue_bytes", "gauge", "What waits for the disk.",
       lambda s: None if s.server.store is None else s.server.store.queued_bytes),
    Of("authagent_store_loaded_ratio", "gauge", "How much of the stored sessions is loaded: 1 after the start.",
       lambda s: s.facts.loaded_fraction),
    # webhooks
    Of("authagent_webhook_queue_events", "gauge", "Events that wait to be sent.",
       lambda s: s.of_hooks(lambda sender: sender.queue.waiting), ("webhook",)),
    Of("authagent_webhook_delivered_total", "counter", "Events that the receiver has taken.",
       lambda s: s.of_hooks(lambda sender: sender.delivered_total), ("webhook",)),
    Of("authagent_webhook_dropped_total", "counter", "Events that it will never get: no room, or too late.",
       lambda s: s.of_hooks(lambda sender: sender.dropped_total), ("webhook",)),
    Of("authagent_webhook_attempts_failed_total", "counter", "Attempts that were not answered with 2xx in time.",
       lambda s: s.of_hooks(lambda sender: sender.attempts_failed_total), ("webhook",)),
    # the process
    *door_metrics("authagent", _door),
)  # fmt: skip
"""In the order in which they are told."""
