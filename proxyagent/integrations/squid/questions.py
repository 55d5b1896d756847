"""What one helper has been asked and not answered yet: squid's lines in, squid's lines out, the daemon between. Pure.

Rules of this file:

- The standard library alone, and little of it: a helper starts in under 150 ms.
- Squid asks with a channel (`concurrency=N`), `CHANNEL FIELDS`, and gets `CHANNEL OK ...` or `CHANNEL ERR`, in any
  order.
- The daemon is asked with a number of our own, `NUMBER VERB FIELDS`, and answers `NUMBER OK ...` or `NUMBER ERR`: an
  answer that comes after its time meets no other question of the same channel.
- Every line that has a channel is answered once, in time. A line without one gets nothing: squid dies of an answer to
  a channel that it did not use.
"""

from typing import NamedTuple

DEADLINE_S = 1.0
"""For one question: squid itself would wait for ever, and a browser with it."""

LINE_BYTES_MAX = 64 * 1024
"""As long as squid's headers are at most (request_header_max_size)."""

WAITING_MAX = 20_000
"""Questions at one time; squid sends `concurrency` at most."""

CHANNEL_DIGITS_MAX = 9

ERR = b"ERR"


class Waiting(NamedTuple):
    """One question that the daemon has not answered."""

    channel: bytes
    fields: bytes
    asked_s: float


class Lines:
    """Splits a stream into lines. One that is too long comes as its first LINE_BYTES_MAX + 1 bytes."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[bytes]:
        """The lines that `data` completes, without their ends."""
        *lines, rest = (self._rest + data).split(b"\n")
        self._rest = rest[: LINE_BYTES_MAX + 1]
        return lines


class Questions:
    """All questions of one helper. `replies` is what squid has to be told; whoever writes it empties it."""

    def __init__(self, verb: str) -> None:
        self.replies: list[bytes] = []
        self.without_channel = 0
        self._verb = verb.encode()
        self._waiting: dict[int, Waiting] = {}
        self._number = 0
        self._squid = Lines()
        self._daemon = Lines()

    def __len__(self) -> int:
        """How many wait for the daemon."""
        return len(self._waiting)

    @property
    def oldest_s(self) -> float | None:
        """When the oldest of them was asked."""
        return next(iter(self._waiting.values())).asked_s if self._waiting else None

    def asked(self, data: bytes, now_s: float) -> bytes:
        """What squid wrote; returns what the daemon has to be asked."""
        questions = []
        for line in self._squid.feed(data):
            channel, _, fields = line.partition(b" ")
            if not channel.isdigit() or len(channel) > CHANNEL_DIGITS_MAX:
                self.without_channel += 1
            elif len(line) > LINE_BYTES_MAX or len(self._waiting) >= WAITING_MAX:
                self._reply(channel, ERR)
            else:
                self._number += 1
                self._waiting[self._number] = Waiting(channel, fields, now_s)
                questions.append(b"%d %b %b\n" % (self._number, self._verb, fields))
        return b"".join(questions)

    def answered(self, data: bytes) -> None:
        """What the daemon wrote."""
        for line in self._daemon.feed(data):
            number, _, answer = line.partition(b" ")
            waiting = self._waiting.pop(int(number), None) if number.isdigit() and len(number) < 20 else None
            if waiting is not None:
                sound = answer.startswith((b"OK", ERR)) and len(line) <= LINE_BYTES_MAX
                self._reply(waiting.channel, answer if sound else ERR)

    def again(self) -> bytes:
        """Everything that waits, to be asked on a new connection. Half a line of the old one is forgotten."""
        self._daemon = Lines()
        return b"".join(b"%d %b %b\n" % (number, self._verb, each.fields) for number, each in self._waiting.items())

    def give_up(self, asked_before_s: float) -> int:
        """Answer ERR to what was asked up to then; returns how many these were."""
        late = []
        for number, waiting in self._waiting.items():
            if waiting.asked_s > asked_before_s:
                break
            late.append(number)
        for number in late:
            self._reply(self._waiting.pop(number).channel, ERR)
        return len(late)

    def _reply(self, channel: bytes, answer: bytes) -> None:
        self.replies.append(b"%b %b\n" % (channel, answer))
