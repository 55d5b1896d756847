"""Memory per session at an agent and at a proxy: growth of the resident set over the sessions that caused it."""

import redis

from tests.benchmark.children import RowFailed
from tests.benchmark.farm import open_farm
from tests.benchmark.figures import Figure
from tests.benchmark.job import Bench
from tests.benchmark.keys import address, block
from tests.benchmark.peer import open_redis

SESSIONS = 500_000
AGENT_BYTES_MAX = 400
PROXY_BYTES_MAX = 500


def measure(bench: Bench) -> list[Figure]:
    """Sessions have address-like keys and ten-letter users, and no attributes; the proxy is one that only follows."""
    count = bench.scaled(SESSIONS, 50_000)
    with open_redis(bench.place("memory-redis"), replica=False) as redis_farm:
        server = redis_farm.servers[redis_farm.master_port]
        before = server.rss_bytes()
        client = redis.Redis(port=redis_farm.master_port)
        for start in range(0, count, 10_000):
            pipe = client.pipeline(transaction=False)
            for index in range(start, start + 10_000):
                pipe.set(address(index), f"user{index}", ex=43_200)
            pipe.execute()
        theirs = (server.rss_bytes() - before) / count
    with open_farm(bench.place("memory")) as farm:
        farm.start_pair()
        publisher, follower = farm.proxy("p0"), farm.proxy("p1")
        agent = farm.agents[1]
        before_agent, before_proxy = agent.rss_bytes(), follower.rss_bytes()
        publisher.ask(240.0, do="burst", count=count, first=block())
        answer = follower.ask(60.0, do="wait_count", count=count, within_s=50.0)
        if "error" in answer:
            raise RowFailed(answer["error"])
        ours_agent = (agent.rss_bytes() - before_agent) / count
        ours_proxy = (follower.rss_bytes() - before_proxy) / count
    return [
        _figure("agent", ours_agent, AGENT_BYTES_MAX, theirs),
        _figure("proxy", ours_proxy, PROXY_BYTES_MAX, theirs),
    ]


def _figure(who: str, ours: float, budget: int, theirs: float) -> Figure:
    what = f"memory per session, {who}"
    return Figure(what, "bytes", ours, f"<= {budget} bytes", ours <= budget, theirs, "Redis, key and value")
