"""Whose time an agent keeps: at a master its own wall clock leads, a slave follows its master.

Rules of this file:

- The site's time outlives its agents: as long as a proxy has kept it, a master goes on with it. One that started alone
  leads by its own wall clock at first, which may be wrong; no proxy that knows better follows such a time, so until one
  does, the first that has kept another time is believed.
- Once a proxy follows, time is slewed and never stepped, whatever wall clocks say.
- A slave that is far from its master's time takes it over at once: promoted, it shifts nothing.

Source: DESIGN section 4, Clocks; docs/decisions/0015.
"""

import attrs

from authagent.core import commands as do
from authagent.core.commands import Command
from authagent.core.peer import Peer
from authagent.core.settings import Settings
from protocol.messages import Heartbeat
from protocol.stamp import ClusterClock, Now, Offset


@attrs.define
class Timekeeping:
    """Cluster time at one agent."""

    settings: Settings
    clock: ClusterClock
    _alone: bool = False  # the time is that of our own wall clock, and no proxy follows it yet

    def lead(self, now: Now) -> None:
        """As master: at its promotion, and at each tick."""
        self._alone = self._alone or not self.clock.is_set
        self.clock.lead(now)

    def follow(self, lead: Peer, now: Now) -> None:
        """As slave, at each tick."""
        sample = lead.offsets.best
        if sample is None or sample.cluster_ms is None:
            return
        self._alone = False
        if self.clock.distance_ms(sample, now) > self.settings.max_clock_offset_ms:
            self.clock.accept(sample, now)
        else:
            self.clock.follow(sample, now)

    def followed(self, peer: Peer) -> None:
        """A proxy of this site takes our time for the site's."""
        self._alone = self._alone and not _keeps_ours(peer)

    def heard(self, peer: Peer, message: Heartbeat, now: Now) -> list[Command]:
        """As master: a follower's word. What it took on its way is not known yet; the next word puts that right."""
        if not self._alone or not _keeps_ours(peer) or message.cluster_ms is None:
            return []
        away_ms = message.cluster_ms - self.clock.now_ms(now)
        if abs(away_ms) <= self.settings.max_clock_offset_ms:
            return []
        ahead_ms = -now.boot_ms
        self.clock.accept(Offset(0, message.cluster_ms + ahead_ms, message.wall_ms + ahead_ms, now.boot_ms), now)
        return [do.Log("clock.taken", "alarm", {"peer": peer.name, "ahead_s": round(away_ms / 1000, 1)})]


def _keeps_ours(peer: Peer) -> bool:
    """Whether it is this site's time that a peer keeps: another site's proxy keeps that of its own agents."""
    return peer.is_proxy and not peer.away
