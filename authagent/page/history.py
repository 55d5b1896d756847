"""The last minutes of an agent's numbers: what the page draws its small curves from. Pure.

Rules of this file:

- One sample a second, five minutes of them: 300 tuples, whoever watches or not.
- Rates are differences of counters that only grow, over the time that really passed: a late sample is no peak.
"""

from collections import deque
from collections.abc import Sequence
from itertools import pairwise

import attrs

from authagent.admin.status import lag_events
from authagent.core.agent import Agent
from authagent.tally import Tally
from protocol.messages import Role

SAMPLES_MAX = 301
POINT_S = 5.0
"""Seconds in one point of a curve."""

RATE_OVER_S = 10.0
"""A rate is told over so long: a number that people can read before it changes."""


@attrs.frozen(kw_only=True)
class Sample:
    """The numbers of one moment; the totals since the start."""

    at_s: float
    sessions: int
    logins_total: int
    logouts_total: int
    timeouts_total: int
    lag_events: int


def sample(agent: Agent, tally: Tally, now_s: float) -> Sample:
    """The numbers as they are now."""
    return Sample(
        at_s=now_s,
        sessions=agent.table.alive,
        logins_total=tally.logins_total,
        logouts_total=tally.logouts_total,
        timeouts_total=tally.timeouts_total,
        lag_events=_behind(agent) if agent.election.role == Role.SLAVE else _furthest_behind(agent),
    )


def _furthest_behind(agent: Agent) -> int:
    """Of a master: how far its slowest follower is behind."""
    return max((lag_events(agent, peer) or 0 for peer in agent.peers), default=0)


def _behind(agent: Agent) -> int:
    """Of a slave: how far it is behind itself."""
    lead = agent.peers.get(agent.replication.lead)
    log_id, sequence = agent.replication.cursor
    if lead is None or lead.heartbeat is None or lead.heartbeat.log_id != log_id:
        return 0
    return max(0, lead.heartbeat.sequence - sequence)


@attrs.frozen
class Curve:
    """One number: its name, what it is now, its unit, and how it came there (oldest first, POINT_S apart)."""

    name: str
    now: float
    unit: str
    points: tuple[float, ...]


@attrs.define
class History:
    """Samples, newest last."""

    _samples: deque[Sample] = attrs.field(factory=lambda: deque(maxlen=SAMPLES_MAX))

    def add(self, sample: Sample) -> None:
        """Take in the next sample; one that is not later than the last is dropped."""
        if not self._samples or sample.at_s > self._samples[-1].at_s:
            self._samples.append(sample)

    def curves(self) -> list[Curve]:
        """What the page shows: sessions, logins, logouts, timeouts, lag. Empty without a sample."""
        if not self._samples:
            return []
        samples, points = list(self._samples), self._points()
        last = samples[-1]
        return [
            Curve("Sessions", last.sessions, "", tuple(each.sessions for each in points)),
            self._rate("Logins", "logins_total", points),
            self._rate("Logouts", "logouts_total", points),
            self._rate("Timeouts", "timeouts_total", points),
            Curve("Lag", last.lag_events, "events", tuple(each.lag_events for each in points)),
        ]

    def _points(self) -> list[Sample]:
        """Samples about POINT_S apart, the newest among them."""
        picked: list[Sample] = []
        for sample in reversed(self._samples):
            if not picked or picked[-1].at_s - sample.at_s >= POINT_S:
                picked.append(sample)
        return picked[::-1]

    def _rate(self, name: str, total: str, points: Sequence[Sample]) -> Curve:
        rates = tuple(_per_s(before, after, total) for before, after in pairwise(points))
        last = self._samples[-1]
        since = next((each for each in self._samples if last.at_s - each.at_s <= RATE_OVER_S), last)
        return Curve(name, _per_s(since, last, total), "a second", rates)


def _per_s(before: Sample, after: Sample, total: str) -> float:
    passed_s = after.at_s - before.at_s
    if passed_s <= 0:
        return 0.0
    grown: int = getattr(after, total) - getattr(before, total)
    return max(0.0, grown / passed_s)
