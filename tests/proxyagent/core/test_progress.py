"""What outlives a link."""

from protocol import messages as wire
from tests.proxyagent.core.bench import Bench


def test_the_next_link_goes_on_where_the_last_one_ended() -> None:
    """The log and the position of the copy are asked for again, and the comparison that made it full is remembered."""
    bench = Bench()
    bench.start()
    bench.serve()
    bench.hear(bench.heartbeat(echo=True, sequence=5))
    progress = bench.client.progress
    assert progress.complete and bench.client.settings.agents[0] in progress.compared_ms
    bench.close()
    bench.open(1)
    bench.hear(bench.heartbeat(echo=True))
    asked = bench.only(wire.Follow)
    assert (asked.log_id, asked.sequence) == (progress.log_id, progress.sequence) == (asked.log_id, 5)
