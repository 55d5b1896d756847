"""Whether a master's time may be followed, and following it.

Rules of this file:

- None is followed whose time is more than max_clock_offset from the one kept: `Refused` is raised for the owner, who
  closes the link and stays without this master. Where an operator has said so, any time is taken instead.
- Before a round trip is measured, a heartbeat's own word will do to go on by, not to set the clock by.
"""

from protocol.stamp import Now, OffsetEstimator
from proxyagent.core.cache import Cache

COARSE_MS = 1_000
"""How much a heartbeat's way here may add to the difference of clocks before a round trip is measured."""


class Refused(Exception):
    """This proxy will not have this master; the text is for the operator."""


def follow(cache: Cache, estimator: OffsetEstimator, cluster_ms: int, now: Now, *, any_time: bool) -> bool | None:
    """Follow the time of a master that says it is `cluster_ms` now. Raises Refused.

    Returns True when its time is measured and kept, None when not enough is known to set the clock by but it is near
    the one kept, False when too little is known to go on.
    """
    clock, sample = cache.clock, estimator.best
    if sample is None or sample.cluster_ms is None:  # none yet, or the last is from before it served
        near = abs(cluster_ms - clock.now_ms(now)) <= cache.settings.max_clock_offset_ms + COARSE_MS
        return None if clock.is_set and near else False
    if not clock.is_set:
        cache.fix_times(clock.follow(sample, now))
    elif clock.distance_ms(sample, now) > cache.settings.max_clock_offset_ms:
        if not any_time:
            check(cache, estimator, now)
        clock.accept(sample, now)
        cache.shown.unsettle_all()
    else:
        clock.follow(sample, now)
    return True


def check(cache: Cache, estimator: OffsetEstimator, now: Now) -> None:
    """Raise Refused where the measured time of a master is too far from the one kept; changes nothing."""
    clock, sample = cache.clock, estimator.best
    if sample is None or sample.cluster_ms is None or not clock.is_set:
        return
    away_ms = clock.distance_ms(sample, now)
    if away_ms > cache.settings.max_clock_offset_ms:
        raise Refused(
            f"its cluster time is {away_ms / 1000:.1f} s from the one kept here; "
            "set the clocks right, or accept it with: proxyagent send-sync-to-agent"
        )
