"""What a ProxyAgent can tell about itself: one frozen record of figures."""

import attrs

from protocol.stamp import Now
from proxyagent.core.client import Client
from proxyagent.core.conversation import MINUTE_MS


@attrs.frozen(kw_only=True)
class Statistics:
    """Figures of one moment. Durations in seconds, counts since the agent was opened unless they say otherwise.

    `agent` is the id of the AuthAgent that serves this proxy, None when isolated. `sessions` are those logged in now
    (as of the last count, and adjusted since), `records` all that the table holds, `tombstones` the ended of them.
    `digest` is the table's root in hex; equal digests at one minute mean equal tables. `digest_equal` tells whether
    it was the master's at the last heartbeat, None when nothing can be said. `outbox` counts events that are not yet
    on the stable storage of the site.
    """

    id: str
    site: str
    agent: str | None
    agent_site: str | None
    agent_address: str | None
    isolated: bool
    synchronised: bool
    answering: bool
    outbox: int
    sessions: int
    records: int
    tombstones: int
    at_hand: int
    digest: str
    digest_equal: bool | None
    digest_age_s: float | None
    round_trip_s: float | None
    clock_offset_s: float | None
    agents_found: int
    resyncs: int
    pauses: int
    key_conflicts: int
    conflicts: int
    refused: int
    last_refusal: str


def statistics_of(client: Client, now: Now) -> Statistics:
    """The figures of a machine at this moment."""
    cache, talk, table = client.cache, client.conversation, client.cache.table
    serving = talk if talk is not None and talk.following else None
    best = None if talk is None else talk.estimator.best
    counts = table.counts
    return Statistics(
        id=client.settings.id,
        site=client.settings.site,
        agent=None if serving is None else serving.name.id,
        agent_site=None if serving is None else serving.name.site,
        agent_address=None if serving is None else serving.address,
        isolated=client.isolated,
        synchronised=client.synchronised,
        answering=cache.answering,
        outbox=client.outbox.events,
        sessions=table.alive,
        records=table.records,
        tombstones=table.ended,
        at_hand=len(cache.shown.sessions),
        digest=table.root(cache.clock.now_ms(now) // MINUTE_MS).hex(),
        digest_equal=None if serving is None else serving.equal,
        digest_age_s=None if serving is None or serving.equal is None else now.monotonic_s - serving.equal_at_s,
        round_trip_s=None if best is None else best.round_trip_ms / 1000,
        clock_offset_s=None if best is None else (best.wall_ms + now.boot_ms - now.wall_ms) / 1000,
        agents_found=client.agents_found,
        resyncs=client.resynced,
        pauses=client.pauses,
        key_conflicts=counts.key_conflicts,
        conflicts=counts.conflicts,
        refused=counts.refused_expired + counts.refused_ahead + counts.refused_full,
        last_refusal=client.last_refusal,
    )
