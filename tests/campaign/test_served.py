"""How long proxies wait for a server: what counts, and what does not."""

from typing import Any

from tests.campaign.served import Served


def login(at: float, s: float, *, acknowledged: bool = True) -> dict[str, Any]:
    """One login as a proxy tells it."""
    return {"event": "login", "at": at, "s": s, "acknowledged": acknowledged}


def test_the_first_login_begun_after_the_fault_counts() -> None:
    """Not one begun before it, nor one that was not acknowledged, nor the second."""
    served = Served()
    served.watch(100.0, {"proxy1", "proxy2"})
    served.hear("proxy1", login(99.9, 0.5))
    served.hear("proxy1", login(100.1, 8.0, acknowledged=False))
    assert not served.all_served
    served.hear("proxy1", login(100.5, 0.25))
    served.hear("proxy1", login(101.0, 0.25))
    served.hear("proxy3", login(101.0, 0.25))
    served.hear("proxy2", login(101.0, 1.0))
    assert served.all_served
    assert served.seconds == [0.75, 2.0]


def test_who_was_not_served_before_the_next_fault_is_told_apart() -> None:
    """It has waited until then."""
    served = Served()
    served.watch(100.0, {"proxy1", "proxy2"})
    served.hear("proxy1", login(100.0, 0.5))
    served.watch(110.0, {"proxy1"})
    assert (served.seconds, served.unserved) == ([0.5], [10.0])
