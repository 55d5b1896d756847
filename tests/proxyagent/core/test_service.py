"""What a host program asks: answered at once, checked first."""

import pytest

from proxyagent.core.inputs import WrongType
from proxyagent.errors import LimitExceeded
from tests.proxyagent.core.bench import Bench


def test_what_is_refused_changes_nothing() -> None:
    """A bad argument leaves no record, no report and no notice."""
    bench = Bench()
    bench.client.endings.start(bench.now)
    with pytest.raises(LimitExceeded):
        bench.login("a", "")
    with pytest.raises(LimitExceeded):
        bench.logout("\0")
    with pytest.raises(WrongType):
        bench.login("a", 5)  # type: ignore[arg-type]
    assert bench.client.outbox.events == 0
    assert bench.client.cache.table.records == 0
    assert bench.client.endings.take() == []


def test_time_left_counts_activity_and_lifetime() -> None:
    """Idle time counts from the last activity, seen here and not reported included; what is forgotten has none."""
    bench = Bench()
    service = bench.client.service
    session = bench.login("a", idle_timeout_s=100, lifetime_s=1_000)
    bench.pass_s(30)
    assert service.idle_left_s(session, bench.now) == 70
    assert service.lifetime_left_s(session, bench.now) == 970
    bench.lookup("a")
    assert service.idle_left_s(session, bench.now) == 100
    bench.pass_s(2_000)
    assert (service.idle_left_s(session, bench.now), service.lifetime_left_s(session, bench.now)) == (0, 0)
    stranger = Bench().login("x")
    assert service.idle_left_s(stranger, bench.now) == 0


def test_a_flush_reports_what_was_seen_in_a_quiet_time() -> None:
    """Before leaving, activity that would have waited for its interval is put into the outbox."""
    bench = Bench()
    bench.login("a")
    bench.pass_s(3)
    session = bench.lookup("a")
    session.seen_s = bench.now.monotonic_s
    bench.client.service.flush(bench.now)
    assert bench.client.outbox.events == 2
