"""The curves: bounded, in time, and rates that tell what happened."""

from pathlib import Path

import proxyagent
from authagent.page import history
from authagent.page.history import History, Sample, sample
from tests.authagent.running import clock, run_agents, until, write_files


def at(seconds: float, logins: int = 0, sessions: int = 0) -> Sample:
    return Sample(at_s=seconds, sessions=sessions, logins_total=logins, logouts_total=0, timeouts_total=0, lag_events=0)


def test_nothing_is_shown_before_the_first_sample() -> None:
    """And one sample is no rate."""
    kept = History()
    assert kept.curves() == []
    kept.add(at(1.0, logins=50))
    assert [curve.now for curve in kept.curves()] == [0, 0, 0, 0, 0]


def test_a_rate_is_told_over_ten_seconds() -> None:
    """100 logins in each second are 100 a second, also where samples come late."""
    kept = History()
    for second in (0, 1, 2, 3, 7, 8, 12, 13):
        kept.add(at(float(second), logins=100 * second))
    (logins,) = [curve for curve in kept.curves() if curve.name == "Logins"]
    assert logins.now == 100.0
    assert set(logins.points) == {100.0}


def test_the_past_is_bounded() -> None:
    """Five minutes, in points of five seconds, the newest among them."""
    kept = History()
    for second in range(10_000):
        kept.add(at(float(second), sessions=second))
    sessions = kept.curves()[0]
    assert len(sessions.points) == (history.SAMPLES_MAX - 1) / history.POINT_S + 1
    assert sessions.now == sessions.points[-1] == 9_999


def test_a_sample_that_is_not_later_is_dropped() -> None:
    """A clock that stood still divides nothing by zero."""
    kept = History()
    for _ in range(3):
        kept.add(at(1.0, logins=5))
    assert kept.curves()[1].points == ()


async def test_samples_of_a_pair(tmp_path: Path) -> None:
    """Master and slave count the same sessions and logins; nobody is behind."""
    path = write_files(tmp_path, agents=2)
    async with run_agents(path, 1, 2) as agents, proxyagent.open_proxy_agent(path, id="p1") as proxy:
        for number in range(20):
            proxy.login(f"10.0.0.{number}", user="alice")

        def samples() -> list[Sample]:
            return [sample(each.server.agent, each.server.tally, clock().monotonic_s) for each in agents]

        await until(lambda: [(each.sessions, each.logins_total) for each in samples()] == [(20, 20)] * 2)
        await until(lambda: [each.lag_events for each in samples()] == [0, 0])
