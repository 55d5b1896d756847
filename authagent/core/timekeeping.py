"""Whose time an agent keeps: at a master its own wall clock leads, a slave follows its master.

Rules of this file:

- The site's time outlives its agents. One that crashed finds it on its disk: the machine's boot clock has gone on. A
  machine that has started anew has but its wall clock, which may be wrong.
- As long as a proxy has kept the site's time, a master goes on with it: no proxy that knows better follows another.
  So until one follows, the first that has kept a time far from ours is believed.
- A time that nobody else knows of may step. Once a proxy follows, it is slewed and never stepped, whatever wall clocks
  say; and nothing is forgotten before that.
- A slave that is far from its master's time takes it over at once: promoted, it shifts nothing.

Source: DESIGN section 4, Clocks; docs/decisions/0015.
"""

import enum
from collections.abc import Iterable

import attrs

from authagent.core import commands as do
from authagent.core.commands import Command
from authagent.core.peer import Peer
from authagent.core.settings import Settings
from protocol.messages import Heartbeat
from protocol.stamp import ClusterClock, Now, Offset

KEPT_MS = 50
"""How far time may have moved against the boot clock before the disk is told: slewing, that is once in ten seconds."""

WORD_LATE_MS_MAX = 60_000
"""A word may have waited for so long on its way: one that is no further away may be of our time, and just old."""


class Whose(enum.Enum):
    """Whose time it is that an agent keeps."""

    OWN = "of our wall clock; nobody else knows of it"
    KEPT = "of the site, as this agent kept it before it crashed; nobody follows yet"
    TOLD = "of another that has kept it, by its word alone"
    SITE = "of the site: others keep it too"


@attrs.define
class Timekeeping:
    """Cluster time at one agent."""

    settings: Settings
    clock: ClusterClock
    whose: Whose = Whose.OWN
    kept_ms: int | None = None  # the offset that is on disk

    def shared_ms(self, now: Now) -> int | None:
        """Cluster time; None as long as nobody shares it, since nothing may be forgotten by such a time."""
        return self.clock.now_ms(now) if self.whose == Whose.SITE else None

    def judging_ms(self, peer: Peer, now: Now) -> int | None:
        """The time by which a peer's stamps are judged; None where the partner has judged them by a better one."""
        return self.shared_ms(now) if peer.is_partner else self.clock.now_ms(now)

    def promoted(self, linked: Iterable[Peer], now: Now) -> list[Command]:
        """This agent is master from now on; who is linked may have told its time before."""
        commands = self._go_on(now)
        self.lead(now)
        told = [(peer, peer.heartbeat) for peer in linked if peer.heartbeat is not None]
        return commands + [command for peer, message in told for command in self.heard(peer, message, now)]

    def _go_on(self, now: Now) -> list[Command]:
        """With what a crash has left, whatever the wall clock says."""
        if self.whose != Whose.OWN or self.kept_ms is None:
            return []
        self.whose = Whose.KEPT
        self.clock.accept(_offset(self.kept_ms, now), now)
        ahead_ms = self.clock.now_ms(now) - now.wall_ms
        if abs(ahead_ms) <= self.settings.max_clock_offset_ms:
            return []
        return [do.Log("clock.kept", "alarm", {"ahead_s": round(ahead_ms / 1000, 1)})]

    def lead(self, now: Now) -> None:
        """As master, at each tick."""
        own = _offset(now.wall_ms - now.boot_ms, now)
        if self.whose == Whose.OWN and self._is_far(own, now):
            self.clock.accept(own, now)
        self.clock.lead(now)

    def resigned(self, lead: Peer, now: Now) -> None:
        """This agent is slave from now on: it compares tables by its master's word until it has measured its time."""
        if self.whose == Whose.SITE or lead.heartbeat is None:
            return
        told = _told(lead.heartbeat, now)
        if self._is_far(told, now):
            self.whose = Whose.TOLD
            self.clock.accept(told, now)

    def follow(self, lead: Peer, now: Now) -> None:
        """As slave, at each tick."""
        sample = lead.offsets.best
        if sample is None or sample.cluster_ms is None:
            return
        self.whose = Whose.SITE
        if self._is_far(sample, now):
            self.clock.accept(sample, now)
        else:
            self.clock.follow(sample, now)

    def followed(self, peer: Peer) -> None:
        """A peer takes our time for the site's."""
        if _keeps_ours(peer):
            self.whose = Whose.SITE

    def heard(self, peer: Peer, message: Heartbeat, now: Now) -> list[Command]:
        """As master: a follower's word. What it took on its way is not known yet; the next word puts that right."""
        if self.whose == Whose.SITE or not self.clock.is_set or not _keeps_ours(peer):
            return []
        told, before_ms = _told(message, now), self.clock.now_ms(now)
        if not self._is_far(told, now, 0 if self.whose == Whose.TOLD else WORD_LATE_MS_MAX):
            return []
        self.whose = Whose.TOLD
        self.clock.accept(told, now)
        ahead_s = (self.clock.now_ms(now) - before_ms) / 1000
        return [do.Log("clock.taken", "alarm", {"peer": peer.name, "ahead_s": round(ahead_s, 1)})]

    def persist(self, now: Now) -> list[Command]:
        """At each tick, and once somebody follows: what the disk must know to go on with this time after a crash."""
        offset_ms = self.clock.offset_ms(now)
        known = self.kept_ms is not None and abs(offset_ms - self.kept_ms) < KEPT_MS
        if known or self.whose != Whose.SITE:
            return []
        self.kept_ms = offset_ms
        return [do.PersistClock(offset_ms)]

    def _is_far(self, sample: Offset, now: Now, late_ms: int = 0) -> bool:
        """Whether another's time is too far from ours to be slewed to; not where it keeps none.

        Unlike ClusterClock.distance_ms it counts where ours was never set: what that was read from may be wrong too.
        """
        if sample.cluster_ms is None:
            return False
        away_ms = abs(sample.cluster_ms + now.boot_ms - self.clock.now_ms(now))
        return away_ms > self.settings.max_clock_offset_ms + late_ms


def _offset(cluster_ms: int, now: Now) -> Offset:
    """Cluster time less own boot clock, known without asking anybody."""
    return Offset(0, cluster_ms, cluster_ms, now.boot_ms)


def _told(message: Heartbeat, now: Now) -> Offset:
    """A peer's clocks by its word alone, behind by the time that this was on its way."""
    cluster_ms = None if message.cluster_ms is None else message.cluster_ms - now.boot_ms
    return Offset(0, cluster_ms, message.wall_ms - now.boot_ms, now.boot_ms)


def _keeps_ours(peer: Peer) -> bool:
    """Whether it is this site's time that a peer keeps: another site's proxy keeps that of its own agents."""
    return peer.is_proxy and not peer.away
