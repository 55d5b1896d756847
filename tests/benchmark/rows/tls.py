"""What TLS costs: the throughput and latency rows again, with and without it, in turn."""

from tests.benchmark.certificates import write_certificates
from tests.benchmark.farm import open_farm
from tests.benchmark.figures import Figure, median
from tests.benchmark.job import Bench, Crew, burst, our_crew, pace

RATE = 1_000
THROUGHPUT_SHARE_MIN = 0.85
P50_MORE_MS_MAX = 0.3
ROUNDS = 3


def measure(bench: Bench) -> list[Figure]:
    """Own certificates on loopback, where links are plain by default."""
    count = bench.scaled(150_000, 20_000)
    seconds = bench.scaled(6, 2)
    folder = bench.place("tls")
    more = write_certificates(folder)
    rates: dict[str, list[float]] = {"plain": [], "tls": []}
    p50_ms: dict[str, list[float]] = {"plain": [], "tls": []}
    with open_farm(bench.place("plain")) as plain, open_farm(folder, more=more) as secured:
        crews: dict[str, Crew] = {}
        for name, farm in (("plain", plain), ("tls", secured)):
            farm.start_pair()
            crews[name] = our_crew(farm)
            burst(crews[name], 5_000, 0)
        for number in range(ROUNDS):
            for name, crew in crews.items():
                rates[name].append(burst(crew, count, 5_000 + number * count))
        for _ in range(ROUNDS):
            for name, crew in crews.items():
                p50_ms[name].append(pace(crew, RATE, seconds / ROUNDS, levels=[]).p50_ms)
    with_tls, without = median(rates["tls"]), median(rates["plain"])
    more_ms = median(p50_ms["tls"]) - median(p50_ms["plain"])
    return [
        Figure(
            "throughput with TLS",
            "1/s",
            with_tls,
            f">= {THROUGHPUT_SHARE_MIN} x plain",
            with_tls >= THROUGHPUT_SHARE_MIN * without,
            without,
            "ours, plain",
        ),
        Figure("TLS adds to p50 at 1,000/s", "ms", more_ms, f"<= {P50_MORE_MS_MAX} ms", more_ms <= P50_MORE_MS_MAX),
    ]
