"""Logins on one proxy until they are visible on three others and acknowledged by the slave: how many a second."""

from tests.benchmark.farm import open_farm
from tests.benchmark.figures import Figure, median
from tests.benchmark.job import Bench, burst, our_crew, peer_crew
from tests.benchmark.peer import open_redis

EVENTS_A_SECOND_MIN = 150_000
TIMES_PEER_MIN = 5
ROUNDS = 3


def measure(bench: Bench) -> list[Figure]:
    """The median of ROUNDS, ours and the peer's taken in turn, because the machine has good and bad minutes."""
    count = bench.scaled(150_000, 20_000)
    peer_count = bench.scaled(60_000, 10_000)
    ours: list[float] = []
    peers: list[float] = []
    with open_redis(bench.place("throughput-redis")) as redis, open_farm(bench.place("throughput")) as farm:
        farm.start_pair()
        crew, peer = our_crew(farm), peer_crew(redis)
        burst(crew, 5_000, 0)
        burst(peer, 5_000, 0)
        for number in range(ROUNDS):
            ours.append(burst(crew, count, 5_000 + number * count))
            peers.append(burst(peer, peer_count, 5_000 + number * peer_count))
    rate, peer_rate = median(ours), median(peers)
    name = "Redis SET + PUBLISH + WAIT 1"
    met = rate >= EVENTS_A_SECOND_MIN
    times_met = rate >= TIMES_PEER_MIN * peer_rate
    note = f"{ROUNDS} rounds: " + ", ".join(f"{each:,.0f}" for each in ours)
    return [
        Figure("logins, visible everywhere", "1/s", rate, f">= {EVENTS_A_SECOND_MIN:,}/s", met, peer_rate, name, note),
        Figure("logins, times the peer", "x", rate / peer_rate, f">= {TIMES_PEER_MIN} x", times_met),
    ]
