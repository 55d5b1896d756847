"""The figures of a ProxyAgent."""

from proxyagent.statistics import statistics_of
from tests.proxyagent.core.bench import Bench


def test_figures_follow_what_happens() -> None:
    """Sessions, tombstones, outbox, agent and digest of one machine, isolated and served."""
    bench = Bench()
    bench.start()
    bench.login("a")
    bench.login("b", "bob")
    bench.logout("a")
    alone = statistics_of(bench.client, bench.now)
    assert (alone.sessions, alone.records, alone.tombstones, alone.agent) == (1, 2, 1, None)
    assert alone.outbox >= 3
    assert alone.isolated
    assert alone.digest_equal is None
    bench.serve()
    root = bench.client.cache.table.root(bench.now.wall_ms // 60_000)
    bench.hear(bench.heartbeat(echo=True, root=root))
    served = statistics_of(bench.client, bench.now)
    assert (served.agent, served.agent_site, served.isolated, served.synchronised) == ("1", "lan1", False, True)
    assert served.digest == root.hex()
    assert served.clock_offset_s == 0
