"""Every number that `proxyagent run` tells Prometheus: its name, what it means, and where it is read.

Rules of this file: protocol.io.http.metrics.
"""

import platform
from typing import TypeAlias

import attrs

from protocol.io.http.metrics import Labelled, Metric, door_metrics
from protocol.io.http_door import HttpDoor
from proxyagent import __version__
from proxyagent.agent import ProxyAgent
from proxyagent.statistics import Statistics


@attrs.frozen
class Scrape:
    """One moment of a ProxyAgent."""

    figures: Statistics
    queued_bytes: int
    isolated_s: float
    resurrections_blocked: int
    door: HttpDoor


def scrape(agent: ProxyAgent, door: HttpDoor) -> Scrape:
    """What is so now. Raises Closed when the agent has broken."""
    shell, figures = agent.shell, agent.statistics()
    since_s, _ = shell.client.isolated_since
    isolated_s = shell.clock.monotonic_s() - since_s if figures.isolated else 0.0
    blocked = shell.client.cache.table.counts.resurrections_blocked
    return Scrape(figures, shell.queued_bytes, isolated_s, blocked, door)


def is_ready(figures: Statistics) -> bool:
    """Whether this proxy follows an AuthAgent, with a full copy."""
    return figures.synchronised and not figures.isolated


def _build(scrape: Scrape) -> Labelled:
    return [((__version__, platform.python_version(), scrape.figures.site, scrape.figures.id), 1)]


def _agent(scrape: Scrape) -> Labelled:
    figures = scrape.figures
    return [] if figures.agent is None else [((figures.agent_site or "", figures.agent), 1)]


def _door(scrape: Scrape) -> HttpDoor:
    return scrape.door


Of: TypeAlias = Metric[Scrape]

METRICS: tuple[Of, ...] = (
    Of("proxyagent_build_info", "gauge", "Always 1; which proxy this is, and what it runs.", _build,
       ("version", "python", "site", "id")),
    Of("proxyagent_ready", "gauge", "1 while it follows an AuthAgent with a full copy; as /ready.",
       lambda s: is_ready(s.figures)),
    Of("proxyagent_isolated", "gauge", "1 while no AuthAgent serves it: it answers from its copy.",
       lambda s: s.figures.isolated),
    Of("proxyagent_isolated_seconds", "gauge", "For how long it has been isolated; 0 when it is not.",
       lambda s: s.isolated_s),
    Of("proxyagent_answering", "gauge", "0 when [session] keep_sessions has made it stop answering.",
       lambda s: s.figures.answering),
    Of("proxyagent_synchronised", "gauge", "1 while its copy is full.", lambda s: s.figures.synchronised),
    Of("proxyagent_agent_info", "gauge", "Always 1; the AuthAgent that serves it, if one does.", _agent,
       ("agent_site", "agent")),
    # sessions
    Of("proxyagent_sessions", "gauge", "Users logged in now, as of its copy.", lambda s: s.figures.sessions),
    Of("proxyagent_tombstones", "gauge", "Ended sessions that are still remembered.",
       lambda s: s.figures.tombstones),
    Of("proxyagent_records", "gauge", "Records in its copy: sessions and tombstones.", lambda s: s.figures.records),
    Of("proxyagent_records_refused_total", "counter", "Records that the copy did not take: expired, ahead, or full.",
       lambda s: s.figures.refused),
    Of("proxyagent_resurrections_blocked_total", "counter", "Logins that arrived after their end, and stayed ended.",
       lambda s: s.resurrections_blocked),
    Of("proxyagent_key_conflicts_total", "counter", "Keys on which clocks could not tell two users apart.",
       lambda s: s.figures.key_conflicts),
    # the way to the agent
    Of("proxyagent_outbox_events", "gauge", "Events that are not yet on the stable storage of the site.",
       lambda s: s.figures.outbox),
    Of("proxyagent_link_queue_bytes", "gauge", "What waits to leave on its links.", lambda s: s.queued_bytes),
    Of("proxyagent_link_round_trip_seconds", "gauge", "The best round trip to its AuthAgent lately.",
       lambda s: s.figures.round_trip_s),
    Of("proxyagent_link_clock_offset_seconds", "gauge", "The agent's wall clock less ours.",
       lambda s: s.figures.clock_offset_s),
    Of("proxyagent_digest_equal", "gauge", "1 when its copy was equal to the master's table at the last heartbeat.",
       lambda s: s.figures.digest_equal),
    Of("proxyagent_digest_age_seconds", "gauge", "Since digests were last compared.",
       lambda s: s.figures.digest_age_s),
    Of("proxyagent_agents_found_total", "counter", "Times an AuthAgent began to serve it.",
       lambda s: s.figures.agents_found),
    Of("proxyagent_resyncs_total", "counter", "Comparisons with an agent's table that came to their end.",
       lambda s: s.figures.resyncs),
    Of("proxyagent_pauses_total", "counter", "Times the process stood still for over a second.",
       lambda s: s.figures.pauses),
    # the process
    *door_metrics("proxyagent", _door),
)  # fmt: skip
"""In the order in which they are told."""
