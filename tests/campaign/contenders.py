"""Who is put to the test: the pair, and what others would use instead."""

from tests.campaign.haproxy_servers import make_haproxy
from tests.campaign.redis_servers import make_redis
from tests.campaign.report import OURS
from tests.campaign.run import Contender
from tests.system.harness import make_site

PAIR = Contender(
    OURS,
    "two agents, each with its own disk, links under TLS; acknowledged means level `site`",
    ("agent1", "agent2"),
    make_site,
)

_REDIS = (
    "Redis with append-only file (everysec) and a Sentinel on each server, down-after 1 s, failover-timeout "
    "3 s, repl-timeout 5 s; redis-py; acknowledged means that WAIT 1 has counted a replica"
)

_PEERS = (
    "two HAProxy with a stick table of one entry for each key and `peers` between them; a login is `set "
    "table` at the one in use, and acknowledged when that has answered: HAProxy knows nothing further"
)

CONTENDERS = {
    contender.name: contender
    for contender in (
        PAIR,
        Contender("redis-2", f"{_REDIS}; two servers, quorum 1", ("redis1", "redis2"), make_redis, ("redis-server",)),
        Contender(
            "redis-3",
            f"{_REDIS}; three servers, quorum 2, min-replicas-to-write 1, min-replicas-max-lag 10",
            ("redis1", "redis2", "redis3"),
            make_redis,
            ("redis-server",),
        ),
        Contender("haproxy-peers", _PEERS, ("haproxy1", "haproxy2"), make_haproxy, ("haproxy",)),
    )
}
