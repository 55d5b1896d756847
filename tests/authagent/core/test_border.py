"""What has crossed one link between sites."""

import pytest

from authagent.core.border import CHANGES_BURST_S, CHANGES_S_MAX, Border, Traffic
from protocol.errors import RemoteProtocolError
from tests.authagent.core.machine import make_peer


def border() -> Border:
    return Border(make_peer(1, "1", "agent"), Traffic())


def test_lag_is_the_age_of_the_oldest_that_is_not_there() -> None:
    """What the other side has on stable storage counts no more."""
    one = border()
    assert (one.lag_s(9.0), one.queued) == (0.0, 0)
    one.crossed(5, 3, 100, 10.0)
    one.crossed(8, 2, 50, 11.0)
    assert (one.lag_s(12.0), one.queued) == (2.0, 5)
    one.stored(7)
    assert (one.lag_s(12.0), one.queued) == (1.0, 2)
    one.stored(8)
    assert (one.lag_s(12.0), one.queued) == (0.0, 0)
    assert one.traffic == Traffic(events_out=5, bytes_out=150)


def test_what_is_stored_here_is_told_once() -> None:
    """Each sequence of the other side's log, once the position at which it was merged is on stable storage."""
    one = border()
    one.heard_up_to(4, position=10)
    one.heard_up_to(4, position=11)
    one.heard_up_to(6, position=12)
    assert one.newly_stored(9) is None
    assert one.newly_stored(11) == 4
    assert one.newly_stored(11) is None
    assert one.newly_stored(20) == 6


def test_a_flood_costs_the_link() -> None:
    """A burst is let through; more than a site can make, for longer, is not. What was saved up is bounded."""
    one = border()
    burst = int(CHANGES_S_MAX * CHANGES_BURST_S)
    one.arrived(1, burst, 1, 0.0)
    one.arrived(2, CHANGES_S_MAX, 1, 1.0)
    with pytest.raises(RemoteProtocolError, match="50000 changes a second"):
        one.arrived(3, 1, 1, 1.0)
    one.arrived(4, burst, 1, 1e6)
    with pytest.raises(RemoteProtocolError):
        one.arrived(5, 1, 1, 1e6)
