"""How long until a login is acknowledged, in the master's memory and on the storage of both agents."""

from tests.benchmark.farm import open_farm
from tests.benchmark.figures import Figure, median
from tests.benchmark.job import Bench, our_crew, pace, peer_crew
from tests.benchmark.machine import fdatasync_ms
from tests.benchmark.peer import open_redis

RATE = 1_000
P50_MS_MAX = 0.8


def measure(bench: Bench) -> list[Figure]:
    """The peer's WAIT 1 is memory on the replica and no disk, so it stands beside both."""
    seconds = bench.scaled(10, 2)
    with open_redis(bench.place("acknowledged-redis")) as redis:
        peer = peer_crew(redis)
        pace(peer, RATE, 1.0)
        theirs = median(pace(peer, RATE, seconds).acknowledged_ms["site"])
    with open_farm(bench.place("acknowledged")) as farm:
        farm.start_pair()
        crew = our_crew(farm)
        pace(crew, RATE, 1.0, levels=["site"])
        master = median(pace(crew, RATE, seconds, levels=["master"]).acknowledged_ms["master"])
        site = median(pace(crew, RATE, seconds, levels=["site"]).acknowledged_ms["site"])
    sync_ms = fdatasync_ms(str(bench.folder))
    site_max = P50_MS_MAX + sync_ms
    name = "Redis WAIT 1"
    budget = f"<= {P50_MS_MAX} ms + one fdatasync ({sync_ms:.2f} ms here)"
    return [
        Figure("acknowledged at master, p50", "ms", master, f"<= {P50_MS_MAX} ms", master <= P50_MS_MAX, theirs, name),
        Figure("acknowledged at site, p50", "ms", site, budget, site <= site_max, theirs, name),
    ]
