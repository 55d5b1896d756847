"""What this proxy has to tell the master and has not had acknowledged.

Rules of this file:

- An entry leaves at level `site` only. Until then it is re-sent, in order, on every new link; login ids make the
  repetition harmless.
- What one tick produces leaves in one Report, at most BATCH_CHANGES_MAX changes and one ordinary frame each. Columns
  are built and encoded once, when a batch first leaves, whatever links come and go.
- The outbox is bounded. When it is full its content goes, and `lost` is set: the table holds the same facts, so the
  next link begins with a comparison, which carries them. Nothing is refused, nothing waits.
- Nothing leaves before the first master's time is known (`hold`, `release`): until then stamps are provisional.

Theory. Batches bear serials that only grow, so that a host program can wait for "whatever held my login" across
links. Report numbers begin at 1 on each link; a batch remembers the number of its last Report on this one.
"""

from collections import deque
from collections.abc import Callable, Iterable
from typing import Literal, TypeAlias

import attrs

from protocol import limits
from protocol.changes import Changes, LoginRun, TouchRun
from protocol.messages import Report
from protocol.session import Login, Origin
from proxyagent.core.columns import joined

Level: TypeAlias = Literal["local", "master", "site"]
"""How far a change has got (DESIGN section 4): applied here; in the master's memory; on stable storage."""

LEVELS: dict[Level, int] = {"local": 0, "master": 1, "site": 2}
"""Which is further."""

Encode: TypeAlias = Callable[[Changes], Iterable[bytes]]


@attrs.define
class Batch:
    """What one tick produced. `last_report` is the number of its last Report on this link, 0 before it was sent.

    `changes` and `payloads` are both None where the outbox was emptied after the batch had been sent.
    """

    events: int
    changes: Changes | None
    payloads: tuple[bytes, ...] | None = None
    last_report: int = 0


class Outbox:
    """The reports of one proxy. `encode` turns Changes into payloads (protocol.codec.encode_payloads)."""

    def __init__(self, encode: Encode, events_max: int = limits.OUTBOX_EVENTS_MAX) -> None:
        self._encode = encode
        self._events_max = events_max
        self._open_logins: list[Login] = []
        self._open_sequences: list[int] = []
        self._open_origin = Origin("", 0)
        self._open_touches: dict[Origin, dict[int, int]] = {}
        self._open_changes: list[Changes] = []
        self._open_events = 0
        self._waiting: deque[Batch] = deque()
        self._unsent = 0  # how many at the end of _waiting have not left on this link
        self._first_serial = 1  # of the first of _waiting
        self._linked = False
        self._held = True
        self._sent_report = 0
        self._master_report = 0
        self._site_serial = 0
        self._lost_serials = range(0)  # whose batches nobody will acknowledge, and what was acknowledged among them
        self.events = 0
        self.lost = False

    # -- putting in ------------------------------------------------------------------------------------------------

    def put_login(self, origin: Origin, sequence: int, login: Login) -> int:
        """Take a fresh login made here; returns the serial of the batch that will carry it. The hot path."""
        if origin is not self._open_origin:
            self._close_logins()
            self._open_origin = origin
        self._open_logins.append(login)
        self._open_sequences.append(sequence)
        return self._count(1)

    def put_touch(self, origin: Origin, sequence: int, active_at: int) -> None:
        """Take activity of one session; the latest of each counts."""
        touches = self._open_touches.setdefault(origin, {})
        if sequence not in touches:
            self._count(1)
            touches = self._open_touches.setdefault(origin, {})  # counting may have closed the batch
        touches[sequence] = active_at

    def put(self, changes: Changes) -> int:
        """Take changes of any kind; returns the serial of the batch that will carry them."""
        self._open_changes.append(changes)
        return self._count(len(changes))

    def _count(self, events: int) -> int:
        """Note so many events more; returns the serial that they have, and closes the batch when it is full."""
        serial = self._first_serial + len(self._waiting)
        self._open_events += events
        self.events += events
        if self._open_events >= limits.BATCH_CHANGES_MAX:
            self.close()
        return serial

    # -- taking out ------------------------------------------------------------------------------------------------

    @property
    def unacknowledged(self) -> bool:
        """Whether something sent on this link is not yet in the master's memory."""
        return self._sent_report > self._master_report

    @property
    def has_unsent(self) -> bool:
        return self._open_events > 0 or self._unsent > 0

    @property
    def next_serial(self) -> int:
        """The serial of what is put in next."""
        return self._first_serial + len(self._waiting)

    def link(self) -> None:
        """A new link to a master: everything that waits is to be sent again, numbered from 1."""
        self.close()
        while self._waiting and self._waiting[0].changes is None:  # emptied after it was sent: lost to this link
            self._lose(1)
        for batch in self._waiting:
            batch.last_report = 0
        self._unsent = len(self._waiting)
        self._linked = True
        self._sent_report = self._master_report = 0

    def unlink(self) -> None:
        """The link is gone: nothing is in any master's memory for sure."""
        self._linked = False
        self._sent_report = self._master_report = 0

    def take(self) -> list[Report]:
        """The Reports that may leave on this link now."""
        self.close()
        if not self._linked or self._held:
            return []
        reports = []
        for place in range(len(self._waiting) - self._unsent, len(self._waiting)):
            batch = self._waiting[place]
            if batch.payloads is None:
                assert batch.changes is not None, "only a batch that was sent is emptied on a link"
                batch.payloads = tuple(self._encode(batch.changes))
            for payload in batch.payloads:
                self._sent_report += 1
                reports.append(Report(self._sent_report, payload))
            batch.last_report = self._sent_report
        self._unsent = 0
        self._shed()
        return reports

    def acknowledge(self, master: int, site: int) -> bool:
        """Reports up to these numbers have got so far; returns whether the peer may say so: both were sent."""
        if max(master, site) > self._sent_report:
            return False
        self._master_report = max(self._master_report, master, site)
        while self._waiting and 0 < self._waiting[0].last_report <= site:
            self.events -= self._waiting.popleft().events
            self._site_serial = self._first_serial
            self._first_serial += 1
        return True

    def reached(self, serial: int) -> Level | None:
        """The level that a batch has reached; None when nobody will ever acknowledge it under this serial."""
        if serial < self._first_serial:
            return "site" if serial <= self._site_serial and serial not in self._lost_serials else None
        place = serial - self._first_serial
        if place < len(self._waiting) and 0 < self._waiting[place].last_report <= self._master_report:
            return "master"
        return "local"

    # -- before the first link -------------------------------------------------------------------------------------

    def release(self, fix: Callable[[Changes], Changes]) -> None:
        """The first master's time is known: everything stamped so far passes `fix`, and may leave from now on."""
        self.close()
        for batch in self._waiting:
            assert batch.changes is not None, "nothing was sent yet, so nothing was emptied"
            batch.changes = fix(batch.changes)
        self._held = False

    # -- packing ---------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """End the open batch: what comes next has the next serial."""
        if not self._open_events:
            return
        self._close_logins()
        for origin, touches in self._open_touches.items():
            run = TouchRun(origin, list(touches), list(touches.values()))
            self._open_changes.append(Changes(touches=(run,)))
        self._waiting.append(Batch(self._open_events, joined(self._open_changes)))
        self._unsent += 1
        self._open_changes, self._open_touches, self._open_events = [], {}, 0
        if not self._linked or self._held:
            self._shed()

    def _close_logins(self) -> None:
        if not self._open_logins:
            return
        keys, users, sites, login_at, expires_at, idle, attributes = map(list, zip(*self._open_logins, strict=True))
        run = LoginRun(
            self._open_origin,
            self._open_sequences,
            sites[0],
            keys,
            users,
            login_at,
            expires_at,
            idle,
            attributes,
        )
        self._open_changes.append(Changes(logins=(run,)))
        self._open_logins, self._open_sequences = [], []

    def _shed(self) -> None:
        """Empty the outbox when it is full: at the next link the comparison carries what was in it."""
        if self.events <= self._events_max:
            return
        self.lost = True
        self.events = 0
        if self._linked and not self._held:  # it has all left on this link, and may be acknowledged on it yet
            for batch in self._waiting:
                batch.events, batch.changes, batch.payloads = 0, None, None
            return
        self._lose(len(self._waiting))
        self._unsent = 0

    def _lose(self, batches: int) -> None:
        """Give up the oldest batches: whoever waits for them must report anew, whatever is acknowledged later."""
        for _ in range(batches):
            self._waiting.popleft()
        self._first_serial += batches
        self._lost_serials = range(self._lost_serials.start or self._first_serial - batches, self._first_serial)
