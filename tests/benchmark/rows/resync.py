"""A comparison of two tables of 1,000,000 sessions: when they are equal, and when they differ in 100.

For the differences a proxy is cut off; it logs in 50 users, another proxy 50 others, and the master is killed, so that
the cut-off proxy's cursor names a log that is gone. Healed, it must compare. Bytes are those on its wire, both ways,
handshake and heartbeats included.
"""

import time
from pathlib import Path

from tests.benchmark.children import Child, RowFailed, worker
from tests.benchmark.farm import Farm, open_farm
from tests.benchmark.figures import Figure, median
from tests.benchmark.job import Bench
from tests.benchmark.keys import block
from tests.ports import free_port

SESSIONS = 1_000_000
DIFFERENCES = 100
EQUAL_BYTES_MAX = 1024
BYTES_MAX = 64 * 1024
SECONDS_MAX = 0.5
ROUNDS = 5


def measure(bench: Bench) -> list[Figure]:
    """No peer: Redis has no such comparison; a replica whose backlog does not reach copies everything."""
    count = bench.scaled(SESSIONS, 50_000)
    ports, own_ports = (free_port(), free_port()), (free_port(), free_port())
    with open_farm(bench.place("resync"), ports=ports) as farm:
        wire = _start_wire(farm, farm.folder, ports, own_ports)
        farm.listen = {number: f"127.0.0.1:{port}" for number, port in zip((1, 2), own_ports, strict=True)}
        farm.start_pair()
        filler = farm.proxy("p0")
        filler.ask(240.0, do="burst", count=count, first=block())
        other = farm.proxy("p1")
        _right(other.ask(240.0, do="wait_count", count=count, within_s=230.0))
        equal_bytes = _equal(wire, other)
        apart_bytes, seconds = _apart(farm, wire, filler, other, count)
    what = f"resync, {count:,} sessions"
    many = f"{what}, {DIFFERENCES} differences"
    return [
        Figure(f"{what}, equal", "bytes", equal_bytes, f"<= {EQUAL_BYTES_MAX:,} bytes", equal_bytes <= EQUAL_BYTES_MAX),
        Figure(many, "bytes", apart_bytes, f"<= {BYTES_MAX:,} bytes", apart_bytes <= BYTES_MAX),
        Figure(many, "s", seconds, f"<= {SECONDS_MAX} s", seconds <= SECONDS_MAX),
    ]


def _start_wire(farm: Farm, folder: Path, ports: tuple[int, int], own_ports: tuple[int, int]) -> Child:
    pairs = [f"{port}={own}" for port, own in zip(ports, own_ports, strict=True)]
    wire = worker("wire", "tests.benchmark.wire", folder, *pairs)
    farm.children.append(wire)
    return wire


def _equal(wire: Child, proxy: Child) -> float:
    """Bytes of a forced comparison of equal tables; the median, since a heartbeat may fall into it."""
    counts = []
    for _ in range(ROUNDS):
        before = wire.ask(do="bytes", proxy=proxy.name)["bytes"]
        proxy.ask(do="resync")
        counts.append(wire.ask(do="bytes", proxy=proxy.name)["bytes"] - before)
    return float(median(counts))


def _apart(farm: Farm, wire: Child, filler: Child, other: Child, count: int) -> tuple[float, float]:
    """Bytes and seconds until both proxies know all, from the moment the healed one is linked again."""
    wire.ask(do="cut", proxy=other.name)
    _right(other.ask(do="wait_isolated", isolated=True, within_s=20.0))
    other.ask(do="make", count=DIFFERENCES // 2, first=block())
    farm.agents[1].kill()
    filler.ask(do="burst", count=DIFFERENCES // 2, first=block())
    before = wire.ask(do="bytes", proxy=other.name)["bytes"]
    wire.ask(do="heal")
    _right(other.ask(do="wait_isolated", isolated=False, within_s=20.0))
    linked_ns = time.monotonic_ns()
    for proxy in (filler, other):
        proxy.send(do="wait_count", count=count + DIFFERENCES, within_s=30.0)
    ends = [_right(proxy.answer(35.0))["at_ns"] for proxy in (filler, other)]
    passed = wire.ask(do="bytes", proxy=other.name)["bytes"] - before
    return float(passed), max(0.0, (max(ends) - linked_ns) / 1e9)


def _right(answer: dict[str, int]) -> dict[str, int]:
    if "error" in answer:
        raise RowFailed(str(answer["error"]))
    return answer
