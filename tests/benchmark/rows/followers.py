"""1,000 proxies on one agent at 5,000 events a second: what the agent burns, and how long a login takes to arrive."""

import time

from tests.benchmark.children import RowFailed, worker
from tests.benchmark.farm import open_farm
from tests.benchmark.figures import Figure, percentile
from tests.benchmark.job import Bench
from tests.benchmark.keys import block

FOLLOWERS = 1_000
RATE = 5_000
CORES_MAX = 0.5
P99_MS_MAX = 150.0


def measure(bench: Bench) -> list[Figure]:
    """No peer: Redis would have to send 5,000,000 messages a second. The followers share the machine's cores."""
    count = bench.scaled(FOLLOWERS, 50)
    seconds = bench.scaled(10, 2)
    with open_farm(bench.place("followers")) as farm:
        farm.start_agent(1)
        farm.wait_roles({1: "master"})
        publisher = farm.proxy("p0")
        swarm = worker("swarm", "tests.benchmark.swarm", farm.folder, str(farm.config), str(count), within_s=120.0)
        farm.children.append(swarm)
        agent = farm.agents[1]
        cpu_s, began = agent.cpu_s(), time.monotonic()
        done = publisher.ask(seconds * 3 + 30.0, do="pace", rate=RATE, seconds=seconds, first=block(), levels=[])
        cores = (agent.cpu_s() - cpu_s) / (time.monotonic() - began)
        seen = swarm.ask(60.0, do="stamps")
    if seen["linked"] < count:
        raise RowFailed(f"{count - seen['linked']} of {count} followers lost their links; {swarm.log_end()}")
    delays = [(at - done["sent_ns"][key]) / 1e6 for key, times in seen["seen_ns"].items() for at in times]
    if not delays:
        raise RowFailed("no follower saw a login")
    p99 = percentile(delays, 0.99)
    what = f"{count:,} proxies at {RATE:,} events/s"
    return [
        Figure(f"{what}, agent's processor", "cores", cores, f"<= {CORES_MAX} cores", cores <= CORES_MAX),
        Figure(f"{what}, p99", "ms", p99, f"<= {P99_MS_MAX:g} ms", p99 <= P99_MS_MAX),
    ]
