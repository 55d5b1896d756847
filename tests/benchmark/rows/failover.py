"""kill -9 of the master: how long until every proxy has a login acknowledged by the other agent; beside Sentinel."""

import time

import redis
from redis.sentinel import Sentinel

from tests.benchmark.children import Child, RowFailed
from tests.benchmark.farm import Farm, open_farm
from tests.benchmark.figures import Figure, median, percentile
from tests.benchmark.job import Bench, our_crew
from tests.benchmark.peer import DOWN_AFTER_MS, MASTER_NAME, RedisFarm, open_redis, wait_for

P99_S_MAX = 0.5
TIMES_FASTER_MIN = 4
LOGIN_WITHIN_S = 15.0


def measure(bench: Bench) -> list[Figure]:
    """Ours with four proxies; the slowest proxy of each round counts."""
    rounds = bench.scaled(20, 2)
    peer_rounds = bench.scaled(5, 1)
    with open_redis(bench.place("failover-redis"), sentinels=True) as redis_farm:
        theirs = [_peer_round(redis_farm) for _ in range(peer_rounds)]
    with open_farm(bench.place("failover")) as farm:
        farm.start_pair()
        crew = our_crew(farm)
        ours = [_our_round(farm, [crew.publisher, *crew.subscribers], number) for number in range(rounds)]
    p99, faster = percentile(ours, 0.99), median(theirs) / median(ours)
    note = f"{rounds} kills, p50 {median(ours):.2f} s; the peer's p50 of {peer_rounds} is beside it"
    name = f"Sentinel, down-after {DOWN_AFTER_MS / 1000:g} s"
    return [
        Figure(
            "failover after kill -9, p99", "s", p99, f"<= {P99_S_MAX} s", p99 <= P99_S_MAX, median(theirs), name, note
        ),
        Figure(
            "failover, times faster than the peer (p50)",
            "x",
            faster,
            f">= {TIMES_FASTER_MIN} x",
            faster >= TIMES_FASTER_MIN,
        ),
    ]


def _our_round(farm: Farm, proxies: list[Child], number: int) -> float:
    """Kill the master, take the time, bring it back as the slave."""
    master = 1 if number % 2 == 0 else 2
    killed_ns = time.monotonic_ns()
    farm.agents[master].kill()
    for proxy in proxies:
        proxy.send(do="login", key=f"{proxy.name}:{number}", user="user", within_s=LOGIN_WITHIN_S)
    ends = []
    for proxy in proxies:
        answer = proxy.answer(LOGIN_WITHIN_S + 5.0)
        if "error" in answer:
            raise RowFailed(f"{proxy.name}: {answer['error']}")
        ends.append(answer["acknowledged_ns"])
    farm.start_agent(master)
    farm.wait_roles({master: "slave", 3 - master: "master"})
    return (max(ends) - killed_ns) / 1e9


def _peer_round(farm: RedisFarm) -> float:
    """The same with Sentinel: until a client that asks the Sentinels can write."""
    sentinel = Sentinel([("127.0.0.1", port) for port in farm.sentinel_ports], socket_timeout=0.2)
    _host, port = sentinel.discover_master(MASTER_NAME)
    began = time.monotonic()
    farm.servers[port].kill()
    client = sentinel.master_for(MASTER_NAME, socket_timeout=0.2)
    wait_for(lambda: client.set("probe", began), "a write after the failover", 30.0)
    seconds = time.monotonic() - began
    _new_host, new_port = sentinel.discover_master(MASTER_NAME)
    farm.start_server(port, replica_of=new_port)
    follower = redis.Redis(port=new_port)
    wait_for(lambda: follower.wait(1, 100) == 1, "the old master follows", 30.0)
    wait_for(lambda: _replica_seen(farm), "the Sentinels see the replica", 30.0)
    return seconds


def _replica_seen(farm: RedisFarm) -> bool:
    for port in farm.sentinel_ports:
        client = redis.Redis(port=port)
        replicas = client.sentinel_slaves(MASTER_NAME)
        if not any(not each["is_disconnected"] and not each["is_sdown"] for each in replicas):
            return False
    return True
