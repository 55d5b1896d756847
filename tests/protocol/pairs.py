"""Two tables on one link, for tests of comparisons: messages travel encoded, in order, and are counted."""

from collections import deque
from collections.abc import Sequence

from protocol.changes import Changes, EndRun, LoginRun, TouchRun
from protocol.codec import decode, decode_changes, encode
from protocol.comparison import Comparison
from protocol.filter import EVERYTHING, Filter
from protocol.messages import Bulk, Message
from protocol.session import LoginId, Origin, State
from protocol.table import Table

KEY = b"k" * 32
SECRET_ID = b"abcd"
NOW_MS = 28_000_000 * 60_000 + 30_000
HOUR_MS = 3_600_000
FRAME_HEAD_BYTES = 4


def make_table(key: bytes = KEY) -> Table:
    return Table(digest_key=key, records_max=2_000_000)


def expiry(sequence: int) -> int:
    """Most logins have eleven hours left; every fifth expires within the next minute."""
    return NOW_MS + (60_000 if sequence % 5 == 4 else 11 * HOUR_MS)


def logins(origin: Origin, sequences: Sequence[int], *, states: bytes | None = None, site: str = "lan1") -> Changes:
    """Logins of an hour ago; all else follows from the sequence."""
    count = len(sequences)
    run = LoginRun(
        origin,
        sequences,
        site,
        [f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}" for number in sequences],
        [f"user{number % 5_000}" for number in sequences],
        [NOW_MS - HOUR_MS] * count,
        [expiry(number) for number in sequences],
        [7_200] * count,
        [()] * count,
        None,
        states,
    )
    return Changes(logins=(run,))


def ends(origin: Origin, sequences: Sequence[int], state: State = State.LOGGED_OUT) -> Changes:
    """The ends of what `logins` made."""
    (run,) = logins(origin, sequences).logins
    states = bytes([state]) * len(sequences)
    return Changes(ends=(EndRun(origin, sequences, states, run.keys, run.users, run.expires_at),))


def touches(origin: Origin, sequences: Sequence[int], active_at: int) -> Changes:
    return Changes(touches=(TouchRun(origin, sequences, [active_at] * len(sequences)),))


def contents(table: Table) -> dict[object, tuple[object, ...]]:
    """Everything a table must have in common with its like: what a login is, its state, and its activity while alive.

    The site and time of a login that ended before it arrived are known to whom it arrived only; so they are left out.
    """
    found: dict[object, tuple[object, ...]] = {}
    for changes in table.slices(NOW_MS):
        runs: tuple[LoginRun | EndRun, ...] = (*changes.logins, *changes.ends)
        for run in runs:
            for place, sequence in enumerate(run.sequences):
                proxy, epoch = run.origin
                record = table.record(LoginId(proxy, epoch, sequence))
                assert record is not None
                active_at = record.active_at if record.state == State.ALIVE else None
                found[record.login_id] = (
                    run.keys[place], run.users[place], run.expires_at[place], record.state, active_at,
                )  # fmt: skip
    for user, at in table.barriers():
        found[user] = (at,)
    return found


class Side:
    """One node's end of the link: its table, its machine while there is one, and what it has sent.

    `shown` is what is compared of the table, where that is not all of it.
    """

    def __init__(self, table: Table, filter: Filter = EVERYTHING) -> None:
        self.table = table
        self.shown = table.selection(filter)
        self.machine: Comparison | None = None
        self.out: deque[bytes] = deque()
        self.sent_bytes = 0
        self.sent_messages: list[Message] = []

    def send(self, messages: Sequence[Message]) -> None:
        for message in messages:
            body = encode(message)
            self.out.append(body)
            self.sent_bytes += len(body) + FRAME_HEAD_BYTES
            self.sent_messages.append(message)


class Pair:
    """The link and its owner's part: hands messages over, merges Bulk, asks for more.

    The two sides are `opener` and `answerer`; `now_ms` may be moved by the test, the answerer's apart by `ahead_ms`.
    """

    def __init__(self, opener: Table, answerer: Table, filter: Filter = EVERYTHING) -> None:
        self.opener = Side(opener, filter)
        self.answerer = Side(answerer, filter)
        self.now_ms = NOW_MS
        self.ahead_ms = 0

    def open(
        self,
        *,
        since_ms: tuple[int, int] = (0, 0),
        forced: tuple[bool, bool] = (False, False),
        secret_ids: tuple[bytes, bytes] = (SECRET_ID, SECRET_ID),
    ) -> None:
        """Begin a comparison; whatever was under way before is cut off, with everything in flight."""
        for side, initiator in ((self.opener, True), (self.answerer, False)):
            side.out.clear()
            place = 0 if initiator else 1
            side.machine = Comparison(
                side.shown, 1, initiator, secret_ids[place], forced[place], since_ms=since_ms[place]
            )
        assert self.opener.machine is not None
        self.opener.send(self.opener.machine.start(self.now_ms))

    def time_of(self, side: Side) -> int:
        return self.now_ms + (self.ahead_ms if side is self.answerer else 0)

    def deliver(self, side: Side) -> bool:
        """Hand the next message in flight to `side`; False when there is none."""
        sender = self.answerer if side is self.opener else self.opener
        if not sender.out or side.machine is None:
            return False
        message = decode(sender.out.popleft())
        if isinstance(message, Bulk):
            changes = decode_changes(message.payload)
            side.table.merge(changes, self.time_of(side))
            side.machine.received_bulk(len(changes))
        else:
            side.send(side.machine.receive(message, self.time_of(side)))
        return True

    def more(self, side: Side) -> bool:
        """Let `side` send what waits, one portion; False when nothing does."""
        assert side.machine is not None
        messages = side.machine.more(self.time_of(side))
        side.send(messages)
        return bool(messages)

    def run(self) -> None:
        """Carry on until both are done. A comparison that stands still or goes on for ever fails the test."""
        for _ in range(100_000):
            moved = [
                self.deliver(self.opener),
                self.deliver(self.answerer),
                self.more(self.opener),
                self.more(self.answerer),
            ]
            if not any(moved):
                assert self.opener.machine is not None
                assert self.answerer.machine is not None
                assert self.opener.machine.finished
                assert self.answerer.machine.finished
                return
        raise AssertionError("the comparison does not end")

    def compare(self, **options: tuple[int, int] | tuple[bool, bool] | tuple[bytes, bytes]) -> int:
        """Open, run to the end, and return the bytes that travelled both ways."""
        before = self.opener.sent_bytes + self.answerer.sent_bytes
        self.open(**options)  # type: ignore[arg-type]
        self.run()
        return self.opener.sent_bytes + self.answerer.sent_bytes - before
