"""Which master's time a proxy follows."""

import pytest

from protocol.stamp import Now, OffsetEstimator
from proxyagent.core import timekeeping
from proxyagent.core.cache import Cache
from proxyagent.core.timekeeping import COARSE_MS, Refused
from tests.proxyagent.core.bench import Bench


def measured(bench: Bench, ahead_ms: int) -> OffsetEstimator:
    """A master so far ahead of this machine's wall clock, after one round trip."""
    estimator = OffsetEstimator()
    bench.cluster_ahead_ms = ahead_ms
    estimator.heard(bench.heartbeat(echo=True), bench.now)
    return estimator


def kept(bench: Bench, ahead_ms: int, *, any_time: bool = False) -> bool | None:
    cache, now = bench.client.cache, bench.now
    return timekeeping.follow(cache, measured(bench, ahead_ms), now.wall_ms + ahead_ms, now, any_time=any_time)


def ahead_ms(cache: Cache, now: Now) -> int:
    return cache.clock.now_ms(now) - now.wall_ms


def test_the_first_master_sets_the_clock() -> None:
    """Whatever its time is."""
    bench = Bench()
    assert kept(bench, 90_000) is True
    assert ahead_ms(bench.client.cache, bench.now) == 90_000


def test_one_that_is_far_off_is_refused_unless_told_otherwise() -> None:
    """Looking alone changes nothing; with any time accepted the clock is set anew."""
    bench = Bench()
    kept(bench, 0)
    with pytest.raises(Refused, match=r"5\.0 s from the one kept here"):
        kept(bench, 5_000)
    with pytest.raises(Refused):
        timekeeping.check(bench.client.cache, measured(bench, 5_000), bench.now)
    timekeeping.check(bench.client.cache, measured(bench, 1_000), bench.now)
    assert ahead_ms(bench.client.cache, bench.now) == 0
    assert kept(bench, 5_000, any_time=True) is True
    assert ahead_ms(bench.client.cache, bench.now) == 5_000


def test_before_a_round_trip_a_near_master_will_do() -> None:
    """Its word is near the time kept: go on, without following it; where none is kept, or it is far: wait."""
    bench = Bench()
    cache, now, nothing = bench.client.cache, bench.now, OffsetEstimator()
    bound_ms = cache.settings.max_clock_offset_ms + COARSE_MS
    assert timekeeping.follow(cache, nothing, now.wall_ms, now, any_time=False) is False
    timekeeping.check(cache, nothing, now)
    kept(bench, 0)
    assert timekeeping.follow(cache, nothing, now.wall_ms + bound_ms, now, any_time=False) is None
    assert timekeeping.follow(cache, nothing, now.wall_ms + bound_ms + 1, now, any_time=False) is False
    assert ahead_ms(cache, now) == 0
