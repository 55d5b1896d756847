"""A full copy of 1,000,000 sessions to a proxy that knows nothing, and how long the loops on both sides stood still."""

import os
import time
from pathlib import Path

import redis

from tests.benchmark.children import RowFailed
from tests.benchmark.farm import open_farm
from tests.benchmark.figures import Figure
from tests.benchmark.job import Bench
from tests.benchmark.keys import address, block
from tests.benchmark.peer import open_redis, wait_for

SESSIONS = 1_000_000
SECONDS_MAX = 3.0
STALL_MS_MAX = 50.0
FILL_WITHIN_S = 240.0


def measure(bench: Bench) -> list[Figure]:
    """Time runs from the new proxy's first step, when its program is loaded, until all sessions are known to it."""
    count = bench.scaled(SESSIONS, 50_000)
    theirs = _peer(bench, count)
    folder = bench.place("snapshot")
    stalls = folder / "stalls"
    os.environ["STALLS"] = str(stalls)
    with open_farm(folder, agent_program=("-m", "tests.benchmark.agent_program")) as farm:
        farm.start_pair()
        filler = farm.proxy("p0")
        filler.ask(FILL_WITHIN_S, do="burst", count=count, first=block())
        farm.wait_roles({1: "master", 2: "slave"}, within_s=60.0)
        began_ns = time.monotonic_ns()
        learner = farm.proxy("p1")
        done = learner.ask(FILL_WITHIN_S, do="wait_count", count=count, within_s=FILL_WITHIN_S - 10)
        if "error" in done:
            raise RowFailed(done["error"])
        seconds = (done["at_ns"] - learner.greeting["began_ns"]) / 1e9
        proxy_stall_ms = learner.ask(do="stalls")["longest_s"] * 1000
        agent_stall_ms = _longest_ms(stalls, began_ns)
    what = f"snapshot of {count:,}"
    return [
        Figure(what, "s", seconds, f"<= {SECONDS_MAX:g} s", seconds <= SECONDS_MAX, theirs, "Redis full resync"),
        Figure(f"{what}, agent's loop stalled", "ms", agent_stall_ms, "<= 50 ms", agent_stall_ms <= STALL_MS_MAX),
        Figure(f"{what}, proxy's loop stalled", "ms", proxy_stall_ms, "<= 50 ms", proxy_stall_ms <= STALL_MS_MAX),
    ]


def _longest_ms(stalls: Path, since_ns: int) -> float:
    """The longest step of either agent since then; what is not written down was shorter than 5 ms."""
    lines = [line.split() for line in stalls.read_text().splitlines()] if stalls.exists() else []
    return max((float(taken) * 1000 for at, taken in lines if int(at) >= since_ns), default=0.0)


def _peer(bench: Bench, count: int) -> float:
    """A new replica of a master with as many keys."""
    with open_redis(bench.place("snapshot-redis"), replica=False) as farm:
        client = redis.Redis(port=farm.master_port)
        for start in range(0, count, 10_000):
            pipe = client.pipeline(transaction=False)
            for index in range(start, min(start + 10_000, count)):
                pipe.set(address(index), f"user{index}", ex=43_200)
            pipe.execute()
        follower = redis.Redis(port=farm.ports[1])
        farm.start_server(farm.ports[1])
        began = time.monotonic()
        follower.replicaof("127.0.0.1", str(farm.master_port))
        wait_for(lambda: follower.info("replication")["master_link_status"] == "up", "the replica is in step", 60.0)
        wait_for(lambda: follower.dbsize() == count, "the replica has all keys", 60.0)
        return time.monotonic() - began
