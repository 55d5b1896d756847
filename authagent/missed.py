"""Logouts that a proxy has missed because it is not linked: what its users may still do there.

Rules of this file:

- Nothing is kept while every proxy that is listed by name is linked; so on a healthy site it costs nothing.
- The last LOGOUTS_MAX are kept, from the moment at which the first of them was lost sight of.
"""

from collections import deque
from typing import NamedTuple

import attrs

from protocol.changes import Changes
from protocol.session import State

LOGOUTS_MAX = 1_000

ENDS = (State.LOGGED_OUT, State.ADMINISTRATOR)


class Logout(NamedTuple):
    """One session that was ended: when (monotonic), whose, and until when it could have lived (cluster time)."""

    at_s: float
    user: str
    expires_at: int


@attrs.define
class Missed:
    """Who is not linked since when, and what was ended meanwhile. Times are monotonic seconds."""

    _left_s: dict[str, float] = attrs.field(factory=dict)
    _logouts: deque[Logout] = attrs.field(factory=lambda: deque(maxlen=LOGOUTS_MAX))

    @property
    def watching(self) -> bool:
        """Whether anybody is away, so that `note` must be told of changes."""
        return bool(self._left_s)

    def left(self, proxy: str, now_s: float) -> None:
        """A proxy was lost sight of; harmless when that is known."""
        self._left_s.setdefault(proxy, now_s)

    def only(self, proxies: set[str], now_s: float) -> None:
        """Exactly these are away."""
        self._left_s = {proxy: self._left_s.get(proxy, now_s) for proxy in proxies}
        if not proxies:
            self._logouts.clear()

    def note(self, changes: Changes, now_s: float) -> None:
        """Changes that were news, while somebody is away."""
        for run in changes.ends:
            for user, state, expires_at in zip(run.users, run.states, run.expires_at, strict=True):
                if state in ENDS:
                    self._logouts.append(Logout(now_s, user, expires_at))

    def by(self, proxy: str, now_ms: int) -> dict[str, float]:
        """Users whose logout this proxy has missed, with how many seconds their sessions could still live."""
        since_s = self._left_s.get(proxy, float("inf"))
        missed: dict[str, float] = {}
        for logout in self._logouts:
            if logout.at_s >= since_s and logout.expires_at > now_ms:
                missed[logout.user] = max(missed.get(logout.user, 0.0), (logout.expires_at - now_ms) / 1000)
        return missed
