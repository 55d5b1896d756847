"""What one side of a comparison owes the other, made into Bulk messages only as they are asked for.

Rules of this file:

- Nothing is made in advance: a table of a million sessions waits here as a few iterators and masks.
- One call makes at most one batch of about 500 changes, and gives out messages of at most 64 KiB, one at a time.
- What is sent is what the table holds at that moment, not what it held when it was promised. Newer is never wrong.

The order is: barriers, items and repairs (who is logged out matters most), then everything (a snapshot), then activity.
"""

from collections import deque
from collections.abc import Iterator
from itertools import islice

import attrs

from protocol import limits
from protocol.changes import Changes, EndRun, LoginRun
from protocol.codec import encode_payloads
from protocol.disclosure import Disclosure
from protocol.messages import Bulk
from protocol.session import Origin, State
from protocol.states import full_mask


@attrs.frozen
class Debt:
    """Records of one page that the peer lacks: some whole, of others only the end. Masks as in protocol.states."""

    origin: Origin
    page: int
    mask: bytes
    end_mask: bytes


class Supply:
    """The debts of one side of comparison `number`. `sent` counts changes given out, `sent_bytes` their payloads."""

    def __init__(self, table: Disclosure, number: int) -> None:
        self.sent = 0
        self.sent_bytes = 0
        self._table = table
        self._number = number
        self._debts: deque[Debt] = deque()
        self._barriers: Iterator[Changes] = iter(())
        self._items: Iterator[Changes] = iter(())
        self._everything: Iterator[Changes] = iter(())
        self._activity: Iterator[Changes] = iter(())
        self._made: deque[bytes] = deque()

    def owe(self, debt: Debt) -> None:
        """Some records of one page."""
        self._debts.append(debt)

    def owe_barriers(self) -> None:
        """All barriers."""
        barriers = iter(self._table.barriers())
        parts = iter(lambda: tuple(islice(barriers, limits.BATCH_CHANGES_MAX)), ())
        self._barriers = (Changes(barriers=part) for part in parts)

    def owe_items(self) -> None:
        """All items."""
        self._items = self._table.item_slices()

    def owe_everything(self, now_ms: int) -> None:
        """A snapshot."""
        self._everything = self._table.slices(now_ms)

    def owe_activity(self, since_ms: int) -> None:
        """The activity since a time."""
        self._activity = self._table.touched_since(since_ms)

    def next(self) -> Bulk | None:
        """The next message; None when nothing is owed any more."""
        while not self._made:
            changes = self._next_changes()
            if changes is None:
                return None
            self.sent += len(changes)
            self._made.extend(encode_payloads(changes))
        payload = self._made.popleft()
        self.sent_bytes += len(payload)
        return Bulk(self._number, payload)

    def _next_changes(self) -> Changes | None:
        barriers = next(self._barriers, None)
        if barriers is not None:
            return barriers
        items = next(self._items, None)
        if items is not None:
            return items
        if self._debts:
            return self._pay()
        everything = next(self._everything, None)
        return next(self._activity, None) if everything is None else everything

    def _pay(self) -> Changes:
        """The records of as many debts as make up one batch. A page is forgotten only after what it held has expired,
        so what is no longer there is not owed."""
        logins: list[LoginRun] = []
        ends: list[EndRun] = []
        count = 0
        while self._debts and count < limits.BATCH_CHANGES_MAX:
            debt = self._debts.popleft()
            whole = self._table.select(debt.origin, debt.page, full_mask(debt.mask)) if debt.mask else Changes()
            ended = self._table.select(debt.origin, debt.page, full_mask(debt.end_mask)) if debt.end_mask else Changes()
            logins += whole.logins
            ends += (*whole.ends, *ended.ends, *filter(None, map(_end_of, ended.logins)))
            count += len(whole) + len(ended)
        return Changes(tuple(logins), tuple(ends))


def _end_of(run: LoginRun) -> EndRun | None:
    """The ends of a run of logins, all of which have ended; None when there is nothing to tell of them."""
    if run.states is None or min(run.states) < State.SUPERSEDED:
        return None
    return EndRun(run.origin, run.sequences, run.states, run.keys, run.users, run.expires_at)
