"""Look-up at the proxy, with expiry check and touch, beside a Redis GET on loopback."""

from tests.benchmark.farm import open_farm
from tests.benchmark.figures import Figure
from tests.benchmark.job import Bench
from tests.benchmark.peer import open_redis

HOT_KEYS = 1_000
MANY_KEYS = 200_000
HOT_US_MAX = 0.5
RANDOM_US_MAX = 1.2
TIMES_FASTER_MIN = 200


def measure(bench: Bench) -> list[Figure]:
    """Our proxy has no agent here: a look-up asks nobody."""
    rounds = bench.scaled(1_000_000, 100_000)
    many = bench.scaled(MANY_KEYS, 20_000)
    with open_redis(bench.place("lookup-redis"), replica=False) as redis:
        get_us = redis.worker("reader").ask(do="lookup", count=HOT_KEYS, rounds=bench.scaled(30_000, 3_000))["us"]
    with open_farm(bench.place("lookup")) as farm:
        hot_us = farm.proxy("p0").ask(do="lookup", count=HOT_KEYS, rounds=rounds)["us"]
        random_us = farm.proxy("p1").ask(do="lookup", count=many, rounds=rounds, shuffled=True)["us"]
    faster = get_us / hot_us
    return [
        Figure("look-up, hot", "us", hot_us, f"<= {HOT_US_MAX} us", hot_us <= HOT_US_MAX, get_us, "Redis GET"),
        Figure(
            f"look-up, at random over {many:,}",
            "us",
            random_us,
            f"<= {RANDOM_US_MAX} us",
            random_us <= RANDOM_US_MAX,
            get_us,
            "Redis GET",
        ),
        Figure(
            "look-up, times faster than the peer",
            "x",
            faster,
            f">= {TIMES_FASTER_MIN} x",
            faster >= TIMES_FASTER_MIN,
        ),
    ]
