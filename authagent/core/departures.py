"""Sending what arose at this site to the other sites: gathered for a moment, encoded once, the same bytes to each.

Rules of this file:

- A window lasts WINDOW (settings, 100 ms) or until WINDOW_CHANGES_MAX changes wait, whichever is first.
- A Crossing names how far the log has crossed with it. What was gathered crosses in another order than it arose; so of
  several Crossings only the last one says that anything more has.
- Whoever is sent the same shares one encoding: other sites that hold alike, and that one filter lets see alike.
- A replay of the log is sent in one piece; so it is bounded, and beyond that tables are compared.

Source: DESIGN section 4 (WAN), section 10.
"""

from collections.abc import Iterable, Iterator

import attrs

from authagent.core.activity import Activity
from authagent.core.border import Border
from authagent.core.commands import Command, Send
from authagent.core.gathering import Gathering
from authagent.core.log import Entry
from authagent.core.replication import Replication
from authagent.core.settings import Settings
from protocol import codec, crossing, framing
from protocol.changes import Changes
from protocol.crossing import Batch
from protocol.filter import Filter
from protocol.messages import Crossing, Update
from protocol.session import LoginId, Record
from protocol.table import Table

WINDOW_CHANGES_MAX = 500
"""About 32 KiB before compression."""

REPLAY_BYTES_MAX = 4 * 1024 * 1024
"""Of the log, before compression: about 80,000 logins. A queue of a link holds twice as much."""


@attrs.define
class Departures:
    """What leaves one site. `deadline` is when the window must be flushed, in monotonic seconds."""

    settings: Settings
    table: Table
    replication: Replication
    deadline: float | None = None
    _activity: Activity = attrs.field(init=False)
    _counted: int = 0  # of what waits, batches that are in _changes
    _changes: int = 0

    def __attrs_post_init__(self) -> None:
        self._activity = Activity(self.table)

    def open(self) -> None:
        """Another site follows: from here on changes are kept for it."""
        if self.replication.outgoing.waiting is None:
            self.replication.outgoing.waiting = []

    def close(self) -> None:
        """No other site follows."""
        self.replication.outgoing.waiting = None
        self._activity.forget()
        self._reset()

    def due(self, now_s: float) -> bool:
        """Whether the window must be flushed now; sets the deadline if not."""
        waiting = self.replication.outgoing.waiting
        if not waiting:
            return False
        self._changes += sum(map(len, waiting[self._counted :]))
        self._counted = len(waiting)
        if self.deadline is None:
            self.deadline = now_s + self.settings.wan_window_s
        return now_s >= self.deadline or self._changes >= WINDOW_CHANGES_MAX

    def flush(self, borders: Iterable[Border], now_s: float) -> list[Command]:
        """Send what waits to all that follow."""
        following = [border for border in borders if border.follows]
        gathering = self._gathered(now_s)
        commands: list[Command] = []
        groups: dict[tuple[bool, Filter], list[Border]] = {}
        for border in following:
            groups.setdefault((border.holds, border.filter), []).append(border)
        for alike in groups.values() if gathering else ():
            commands += self._send(alike, self._batches(gathering, alike[0]), now_s)
        for border in following:
            border.peer.crossed = self.replication.log.sequence
        return commands

    def replay(self, border: Border, sequence: int, now_s: float) -> list[Command]:
        """Send what the log holds beyond the other side's cursor; the window has been flushed before."""
        border.peer.crossed = sequence
        gathering = Gathering(self.table)
        for entry in self._own_after(sequence):
            changes = _changes_of(entry)
            gathering.add(changes)
            for run in changes.touches:
                for number in run.sequences:
                    gathering.touch(LoginId(*run.origin, number))
        commands = self._send([border], self._batches(gathering, border), now_s)
        border.peer.crossed = self.replication.log.sequence
        return commands

    def replayable(self, log_id: int, sequence: int) -> bool:
        """Whether a follower at this cursor can be brought up to date from the log."""
        if not self.replication.log.holds(log_id, sequence):
            return False
        return sum(len(entry.frame) for entry in self._own_after(sequence)) <= REPLAY_BYTES_MAX

    def _own_after(self, sequence: int) -> Iterator[Entry]:
        return (entry for entry in self.replication.log.after(sequence) if entry.site == self.settings.site)

    def _gathered(self, now_s: float) -> Gathering:
        """What waits, and activity that was held back for long enough."""
        gathering = Gathering(self.table)
        outgoing = self.replication.outgoing
        for changes in outgoing.waiting or ():
            gathering.add(changes)
            for run in changes.touches:
                for login_id in self._activity.seen(run, now_s):
                    gathering.touch(login_id)
        for login_id in self._activity.due(now_s):
            gathering.touch(login_id)
        if outgoing.waiting is not None:
            outgoing.waiting = []
        self._reset()
        return gathering

    def _reset(self) -> None:
        self.deadline, self._counted, self._changes = None, 0, 0

    def _batches(self, gathering: Gathering, border: Border) -> Iterator[Batch]:
        """What waits, for one other site. It is known to hold those of this site that have crossed from here."""
        site, strangers = self.settings.site, self.replication.outgoing.strangers

        def vouched(record: Record) -> bool:
            return border.holds and record.login.site == site and record.login_id[:2] not in strangers

        return gathering.batches(vouched, border.filter)

    def _send(self, borders: list[Border], batches: Iterable[Batch], now_s: float) -> list[Command]:
        """The batches, encoded once; the last of them says how far the log has crossed."""
        payloads = [
            (payload, 0 if piece else len(batch))
            for batch in batches
            for piece, payload in enumerate(crossing.encode(batch))
        ]
        commands: list[Command] = []
        for border in borders:
            for place, (payload, changes) in enumerate(payloads, 1):
                last = place == len(payloads)
                sequence = self.replication.log.sequence if last else border.peer.crossed
                border.crossed(sequence, changes, len(payload), now_s)
                commands.append(Send((border.peer.link,), Crossing(sequence, payload)))
        return commands


def _changes_of(entry: Entry) -> Changes:
    message = codec.decode(entry.frame[framing.HEADER_BYTES :])
    assert isinstance(message, Update), "the log holds Updates"
    return codec.decode_changes(message.payload)
