"""One link with the master of another site: what has crossed it, both ways, and what is known of the other side.

Rules of this file:

- Holds facts and answers questions about them; sites.py decides.
- The other side `holds` all we had when it asked, once a comparison of this link is over or its cursor was still in
  our log; with what has crossed since, it holds every login that arose here.
- What came over this link is bounded: whoever floods it loses it.
"""

from collections import deque
from typing import NamedTuple

import attrs

from authagent.core.peer import Peer
from protocol.errors import RemoteProtocolError
from protocol.filter import EVERYTHING, Filter

CHANGES_S_MAX = 50_000
"""Changes that one other site may send in a second, on average over CHANGES_BURST_S: more than a site can make."""

CHANGES_BURST_S = 10.0


class Sent(NamedTuple):
    """Something that crossed and is not known to be on stable storage there."""

    sequence: int
    at_s: float
    changes: int


@attrs.define
class Traffic:
    """What has crossed between two sites since this agent started: single changes, and the bytes of their payloads."""

    events_out: int = 0
    bytes_out: int = 0
    events_in: int = 0
    bytes_in: int = 0

    def left(self, changes: int, size: int) -> None:
        """So much was sent."""
        self.events_out += changes
        self.bytes_out += size

    def came(self, changes: int, size: int) -> None:
        """So much was taken in."""
        self.events_in += changes
        self.bytes_in += size


@attrs.define(eq=False)
class Border:
    """One link. Times are monotonic seconds."""

    peer: Peer
    traffic: Traffic
    filter: Filter = EVERYTHING
    beat_due_s: float = 0.0
    # the other side as our follower
    follows: bool = False
    holds: bool = False
    confirmed: int = 0  # how far our log is on stable storage there
    sent: deque[Sent] = attrs.field(factory=deque)
    # we as its follower
    asked: bool = False
    log_id: int = 0  # of its log, once it has told where its Crossings begin
    cursor: int = 0
    complete: bool = False  # we have all it had then
    early: bool = False  # the comparison under way began too early: another one must come after it
    news: bool = False  # the comparison under way has brought something that was not known here
    heard: deque[tuple[int, int]] = attrs.field(factory=deque)  # (position of our store, sequence of its log)
    # equality
    differs_since_s: float | None = None
    patience_s: float = 0.0
    position: int = -1  # of our store when the digests were compared last
    _allowance: float = CHANGES_S_MAX * CHANGES_BURST_S
    _allowed_s: float | None = None

    def crossed(self, sequence: int, changes: int, size: int, now_s: float) -> None:
        """A Crossing has been sent, up to `sequence` of our log."""
        self.sent.append(Sent(sequence, now_s, changes))
        self.traffic.left(changes, size)

    def stored(self, sequence: int) -> None:
        """The other side has our log up to here on stable storage."""
        self.confirmed = max(self.confirmed, sequence)
        while self.sent and self.sent[0].sequence <= sequence:
            self.sent.popleft()

    def arrived(self, sequence: int, changes: int, size: int, now_s: float) -> None:
        """A Crossing has come. Raises RemoteProtocolError when there are too many."""
        self.traffic.came(changes, size)
        last_s = now_s if self._allowed_s is None else self._allowed_s
        refill = (now_s - last_s) * CHANGES_S_MAX
        self._allowance = min(CHANGES_S_MAX * CHANGES_BURST_S, self._allowance + refill) - changes
        self._allowed_s = now_s
        if self._allowance < 0:
            raise RemoteProtocolError(f"more than {CHANGES_S_MAX} changes a second from one site")

    def heard_up_to(self, sequence: int, position: int) -> None:
        """All of the other side's log up to here has been merged, and is at `position` of our store."""
        if sequence > self.cursor:
            self.cursor = sequence
            self.heard.append((position, sequence))

    def newly_stored(self, stored: int) -> int | None:
        """How far the other side's log is on stable storage here, if that is news."""
        reached = None
        while self.heard and self.heard[0][0] <= stored:
            reached = self.heard.popleft()[1]
        return reached

    def lag_s(self, now_s: float) -> float:
        """How old the oldest change is that is not known to be on stable storage there."""
        return now_s - self.sent[0].at_s if self.sent else 0.0

    def has(self, sequence: int) -> bool:
        """Whether the other side is known to have all that arose here up to this place of our log."""
        return self.holds and self.confirmed >= sequence

    @property
    def queued(self) -> int:
        """Changes not known to be on stable storage there."""
        return sum(each.changes for each in self.sent)
