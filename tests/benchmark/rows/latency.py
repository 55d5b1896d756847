"""The same at 1,000 logins a second: how long until the slowest of three proxies knows a login."""

from tests.benchmark.farm import open_farm
from tests.benchmark.figures import Figure
from tests.benchmark.job import Bench, our_crew, pace, peer_crew
from tests.benchmark.peer import open_redis

RATE = 1_000
P50_MS_MAX = 0.5
P50_TIMES_PEER_MAX = 2
P99_MS_MAX = 1.5


def measure(bench: Bench) -> list[Figure]:
    """Ours without asking for acknowledgements, which have a row of their own; the peer as it does the job."""
    seconds = bench.scaled(10, 2)
    with open_redis(bench.place("latency-redis")) as redis:
        peer = peer_crew(redis)
        pace(peer, RATE, 1.0)
        theirs = pace(peer, RATE, seconds)
    with open_farm(bench.place("latency")) as farm:
        farm.start_pair()
        crew = our_crew(farm)
        pace(crew, RATE, 1.0, levels=[])
        ours = pace(crew, RATE, seconds, levels=[])
    name = "Redis PUBLISH"
    p50_met = ours.p50_ms <= P50_MS_MAX and ours.p50_ms <= P50_TIMES_PEER_MAX * theirs.p50_ms
    p50_budget = f"<= {P50_MS_MAX} ms and <= {P50_TIMES_PEER_MAX} x"
    p99_met = ours.p99_ms <= P99_MS_MAX
    return [
        Figure(f"visible at {RATE:,}/s, p50", "ms", ours.p50_ms, p50_budget, p50_met, theirs.p50_ms, name),
        Figure(f"visible at {RATE:,}/s, p99", "ms", ours.p99_ms, f"<= {P99_MS_MAX} ms", p99_met, theirs.p99_ms, name),
    ]
