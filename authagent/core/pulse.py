"""Heartbeats: what this agent says of itself, and what a peer's word tells about equality.

Rules of this file:

- One heartbeat is made for all peers; only the echo differs. Other sites get their regular ones from sites.py, which
  also tells how much of the log has crossed. A proxy of another site hears as seldom as its site would.
- A digest is offered once cluster time is set, since without it there is no cut. Roots under different secrets are
  not comparable and prove nothing.
- Whoever follows judges against the lead's heartbeat, at the moment it is read: everything that the lead had sent
  before is merged then. A lead judges a follower only when that is at the log's end and has nothing to tell.
- Where followers are many, one that has just been sent changes is alive to us and we to it: its heartbeat is left out,
  but for every fifth. What heartbeats cost would else be what changes cost.
- Tables that stay different although they were compared (a full table refuses what it lacks) are compared again ever
  more seldom, so that a fault that comparing cannot mend costs little.

Source: DESIGN section 4, Detection and Resync.
"""

import attrs

from authagent.core.commands import Command, Send
from authagent.core.election import Election
from authagent.core.peer import Peer, Peers
from authagent.core.replication import Replication
from authagent.core.resync import Resync
from authagent.core.settings import Settings
from protocol.messages import Heartbeat, Role
from protocol.stamp import ClusterClock, Now
from protocol.table import Table

MINUTE_MS = 60_000

CUTS_APART_MAX = 2
"""How far a peer's cut may lie from ours: a node answers for the last three (DESIGN section 2, digest)."""

REGULAR_BEATS = 5
"""Of so many regular heartbeats to one busy follower one is sent: 1 s apart by default, before anybody is suspected."""

UNEQUAL_AFTER_S_MAX = 60.0
"""The most seldom that tables which stay different are compared."""


@attrs.define
class Pulse:
    """One agent's heartbeats."""

    settings: Settings
    table: Table
    peers: Peers
    election: Election
    replication: Replication
    resync: Resync
    clock: ClusterClock
    unsure: bool = False
    _patience_s: float = 0.0
    _beats: int = 0

    def tick(self, now: Now) -> list[Command]:
        """The regular word, once every heartbeat interval."""
        self._beats += 1
        told, self.replication.told = self.replication.told, set()
        common = self._common(now)
        return [
            self._to(peer, common, now)
            for peer in self.peers
            if not peer.is_remote and (peer.link not in told or self._turn_of(peer)) and self._near(peer)
        ]

    def _near(self, peer: Peer) -> bool:
        """Whether this beat is one for the peer, as far away as it is."""
        spaced = round(self.settings.wan_heartbeat_interval_s / self.settings.heartbeat_interval_s)
        return not peer.away or (self._beats + peer.link) % max(1, spaced) == 0

    def _turn_of(self, peer: Peer) -> bool:
        """Links take turns, so that the beats that are sent are spread over the intervals."""
        return peer.is_partner or (self._beats + peer.link) % REGULAR_BEATS == 0

    def beat(self, now: Now) -> list[Command]:
        """A word to everybody, now: there is news."""
        common = self._common(now)
        return [self._to(peer, common, now) for peer in self.peers]

    def greet(self, peer: Peer, now: Now) -> Command:
        """A word to one, at once."""
        return self._to(peer, self._common(now), now)

    def undecided(self, now: Now) -> Heartbeat:
        """For a link that waits at the door: alive, and nothing to offer yet."""
        return attrs.evolve(self._common(now), role=Role.STARTING, unsure=True)

    def judge_follower(self, peer: Peer, message: Heartbeat, now: Now) -> None:
        """A follower at our log's end with nothing of its own to tell must have our digest."""
        log = self.replication.log
        if message.pending or not self.comparable(message, now):
            return
        if (message.log_id, message.sequence) == (log.log_id, log.sequence):
            peer.compared(message.root == self.table.root(message.cut_min), now)

    def judge_lead(self, peer: Peer, message: Heartbeat, now: Now) -> list[Command]:
        """The lead's digest must be ours; if it stays different, compare."""
        compares = self.election.role != Role.MASTER or self.election.loses  # of two masters the one that yields
        if self.replication.complete is None:  # the first comparison runs, or was given up
            again = compares and self.replication.streaming
            return self.resync.open(peer, self.clock.now_ms(now)) if again else []
        if not self.comparable(message, now):
            return []
        peer.compared(message.root == self.table.root(message.cut_min), now)
        if peer.equal:
            self._patience_s = self.settings.unequal_after_s
        since_s = peer.unequal_since_s
        if since_s is None or now.monotonic_s - since_s < max(self._patience_s, self.settings.unequal_after_s):
            return []
        if not compares:
            return []
        self._patience_s = min(UNEQUAL_AFTER_S_MAX, 2 * max(self._patience_s, self.settings.unequal_after_s))
        peer.unequal_since_s = None
        return self.resync.open(peer, self.clock.now_ms(now))

    def comparable(self, message: Heartbeat, now: Now) -> bool:
        """Whether the root is under our secret, at a cut for which our own is at hand (a far one costs a scan)."""
        if message.root is None or message.secret_id != self.resync.secret_id:
            return False
        return abs(message.cut_min - self.clock.now_ms(now) // MINUTE_MS) <= CUTS_APART_MAX

    def _common(self, now: Now) -> Heartbeat:
        now_ms = self.clock.now_ms(now)
        cut_min = now_ms // MINUTE_MS
        if self.election.role == Role.MASTER:
            log_id, sequence = self.replication.log.log_id, self.replication.relayed
        else:
            log_id, sequence = self.replication.cursor
        return Heartbeat(
            role=self.election.said,
            term=self.election.term,
            unsure=self.unsure,
            log_id=log_id,
            sequence=sequence,
            cut_min=cut_min,
            root=self.table.root(cut_min) if self.clock.is_set else None,
            secret_id=self.resync.secret_id,
            cluster_ms=now_ms if self.clock.is_set else None,
            wall_ms=now.wall_ms,
            sent_ms=now.boot_ms,
            echo_ms=None,
            held_ms=0,
            pending=0,
            sessions=self.table.alive,
        )

    def _to(self, peer: Peer, common: Heartbeat, now: Now) -> Command:
        echo_ms, held_ms = peer.offsets.echo(now)
        comparing = self.resync.comparing(peer.link)
        made = attrs.evolve(common, echo_ms=echo_ms, held_ms=held_ms, comparing=comparing)
        if peer.is_remote:
            disclosed = self.resync.disclosed(peer)
            if disclosed is not self.table and common.root is not None:
                made = attrs.evolve(made, root=disclosed.root(common.cut_min))
            sites = sorted({each.site for each in self.peers if each.is_remote and each is not peer})
            made = attrs.evolve(made, sequence=peer.crossed, sites=tuple(sites))
        return Send((peer.link,), made)
