"""Comparisons of this agent's table with its peers': when they begin, how many snapshots at once, when they are over.

Rules of this file:

- At most one comparison on a link. Who dialled numbers its comparisons oddly, who listened evenly.
- A snapshot is the only part that costs much: at most two are served at once, others wait with what they have.
- Another site is shown what the filter between the two lets pass, everybody else the whole table.
- What a comparison brings is merged and relayed by replication.py like everything else.

Source: DESIGN section 4, Resync.
"""

from collections.abc import Mapping
from typing import TypeAlias

import attrs

from authagent.core.commands import Command, Send
from authagent.core.peer import Peer
from protocol import limits
from protocol.comparison import Comparison, Way
from protocol.disclosure import Disclosure
from protocol.errors import RemoteProtocolError
from protocol.filter import Filter
from protocol.messages import Bulk, Compare, Compared, Nodes, Pages, SnapshotWait, Want
from protocol.table import Table

ComparisonMessage: TypeAlias = Compare | Nodes | Pages | Want | Compared | SnapshotWait

STALLED_MS = 10_000
"""A comparison in which nothing moved for so long is given up; the next heartbeats begin another."""


@attrs.define
class Resync:
    """All comparisons of one agent, by link."""

    table: Table
    secret_id: bytes
    filters: Mapping[str, Filter] = attrs.field(factory=dict)  # by name, of other sites for which there is one
    finished_count: int = 0
    snapshots_count: int = 0
    _comparisons: dict[int, Comparison] = attrs.field(factory=dict)
    _waiting: dict[int, None] = attrs.field(factory=dict)  # links whose snapshot waits for its turn, oldest first
    _know_items: dict[tuple[str, str], int | None] = attrs.field(factory=dict)  # by kind and name: which run of it does
    _number: int = 0
    _since_ms: dict[tuple[str, str], int] = attrs.field(factory=dict)  # by kind and name: when the last one began

    def disclosed(self, peer: Peer) -> Disclosure:
        """What of our table is compared with the peer's."""
        found = self.filters.get(peer.site) if peer.is_remote else None
        return self.table if found is None else self.table.selection(found)

    def knows_items(self, peer: Peer) -> bool:
        """Whether a peer keeps items: a comparison has told, on this link or an earlier one of the same process."""
        return self._know_items.get((peer.kind, peer.name)) == peer.incarnation

    def comparing(self, link: int) -> bool:
        """Whether a comparison is under way on this link."""
        return link in self._comparisons

    def open(self, peer: Peer, now_ms: int, *, forced: bool = False) -> list[Command]:
        """Begin a comparison with a peer, unless one is under way."""
        if peer.link in self._comparisons:
            return []
        self._number += 2
        number = self._number + 1 if peer.dialled else self._number
        comparison = self._make(peer, number, initiator=True, forced=forced)
        return [Send((peer.link,), message) for message in comparison.start(now_ms)]

    def receive(self, peer: Peer, message: ComparisonMessage, now_ms: int) -> tuple[list[Command], bool]:
        """One message of a comparison; also tells whether that finished it. Raises RemoteProtocolError."""
        if isinstance(message, Compare):
            self._know_items[peer.kind, peer.name] = peer.incarnation if message.items else None
        comparison = self._comparisons.get(peer.link)
        if comparison is None or comparison.number != message.comparison:
            if not isinstance(message, Compare):
                return [], False  # the rest of a comparison that was given up here
            if comparison is not None and comparison.initiator and comparison.way is None and peer.dialled:
                return [], False  # both began at once: the one that the dialler began goes on
            comparison = self._make(peer, message.comparison, initiator=False)
        commands: list[Command] = [Send((peer.link,), answer) for answer in comparison.receive(message, now_ms)]
        if comparison.serves_snapshot and isinstance(message, Compare) and not self._may_serve(peer.link):
            self._waiting[peer.link] = None
            commands.append(Send((peer.link,), SnapshotWait(comparison.number)))
        more, finished = self.more(peer, now_ms)
        return commands + more, finished

    def bulk(self, peer: Peer, message: Bulk, changes: int) -> None:
        """Records that arrived have been merged."""
        comparison = self._comparisons.get(peer.link)
        if comparison is not None and comparison.number == message.comparison:
            comparison.received_bulk(changes)

    def more(self, peer: Peer, now_ms: int) -> tuple[list[Command], bool]:
        """The next of what waits, when little is queued on the link; also tells whether the comparison is over now."""
        comparison = self._comparisons.get(peer.link)
        if comparison is None or peer.link in self._waiting:
            return [], False
        commands: list[Command] = [Send((peer.link,), message) for message in comparison.more(now_ms)]
        if not comparison.finished:
            return commands, False
        if comparison.way is Way.NEITHER:  # nothing was compared: the cuts are too far apart
            self.close(peer.link)
            return commands + (self.open(peer, now_ms, forced=True) if comparison.initiator else []), False
        self.finished_count += 1
        self.snapshots_count += comparison.serves_snapshot
        self._since_ms[peer.kind, peer.name] = comparison.began_ms
        peer.supplied = (comparison.sent, comparison.sent_bytes)
        self.close(peer.link)
        return commands, True

    def close(self, link: int) -> None:
        """The comparison on this link is over, or its link is gone; a snapshot that waited may have its turn.

        Whoever waited is served at its next LinkDrained, or at the next tick (agent.py).
        """
        self._comparisons.pop(link, None)
        self._waiting.pop(link, None)
        for waiting in list(self._waiting):
            if self._may_serve(waiting):
                del self._waiting[waiting]

    def stalled(self, link: int, now_ms: int) -> bool:
        """Whether the comparison on this link has come to nothing."""
        comparison = self._comparisons.get(link)
        return comparison is not None and link not in self._waiting and now_ms - comparison.moved_ms > STALLED_MS

    def _make(self, peer: Peer, number: int, *, initiator: bool, forced: bool = False) -> Comparison:
        if initiator is False and number % 2 == peer.dialled:
            raise RemoteProtocolError("comparison: a number of ours")
        since_ms = self._since_ms.get((peer.kind, peer.name), 0)
        comparison = Comparison(self.disclosed(peer), number, initiator, self.secret_id, forced, since_ms=since_ms)
        self._comparisons[peer.link] = comparison
        return comparison

    def _may_serve(self, link: int) -> bool:
        serving = sum(
            other.serves_snapshot and number != link and number not in self._waiting
            for number, other in self._comparisons.items()
        )
        return serving < limits.SNAPSHOTS_AT_ONCE_MAX
