"""Which activity crosses to other sites: of a session at once after a quiet interval, then once an interval, the last
one always.

An interval is a tenth of the session's idle timeout. Coalescing delays, it drops nothing (DESIGN section 3, touch; the
WAN is coarser than the LAN, section 4). What is kept here is kept for sessions that were active within an interval.
"""

from collections.abc import Iterator

import attrs

from protocol.changes import TouchRun
from protocol.session import LoginId, State
from protocol.table import Table
from protocol.wheel import Wheel

SHARE = 10
"""Of an idle timeout in one interval."""


@attrs.define
class Activity:
    """The touches of one site, on their way out. Times are monotonic seconds."""

    table: Table
    _quiet: dict[LoginId, bool] = attrs.field(factory=dict)  # crossed lately; whether there was activity since
    _wheel: Wheel[LoginId] = attrs.field(factory=Wheel)

    def seen(self, run: TouchRun, now_s: float) -> Iterator[LoginId]:
        """Activity at this site, merged already; whose crosses now."""
        for sequence in run.sequences:
            login_id = LoginId(*run.origin, sequence)
            if login_id in self._quiet:
                self._quiet[login_id] = True
            elif self._settle(login_id, now_s):
                yield login_id

    def due(self, now_s: float) -> Iterator[LoginId]:
        """Whose activity was held back, and whose interval is over."""
        for login_id in self._wheel.turn(now_s):
            if self._quiet.pop(login_id, False) and self._settle(login_id, now_s):
                yield login_id

    def forget(self) -> None:
        """Nobody follows any more: comparisons carry what was held back."""
        self._quiet.clear()
        self._wheel = Wheel()

    def _settle(self, login_id: LoginId, now_s: float) -> bool:
        """An interval begins, if there is a session whose activity matters."""
        record = self.table.record(login_id)
        if record is None or record.state != State.ALIVE:
            return False
        self._quiet[login_id] = False
        self._wheel.put(now_s + record.login.idle_timeout_s / SHARE, login_id)
        return True
