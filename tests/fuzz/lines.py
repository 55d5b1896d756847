"""What squid and HAProxy send to a proxy: lines for helpers, lines of the access log, datagrams of HAProxy's log.

Rules of this file:

- A line goes the whole way: squid, helper, `proxyagent run`, and back. Every line with a channel is answered once,
  those without never; OK says as whom somebody is logged in, and no word besides.
- Whoever is known by a log line was known before: logs log nobody in.
"""

import random
import re
import socket
from typing import Any

import msgpack

from protocol.configuration import ClientSettings
from protocol.io.log import quiet_log
from protocol.key import key
from proxyagent.integrations.client_key import ClientKeys
from proxyagent.integrations.haproxy.activity import Activity
from proxyagent.integrations.squid.answers import Answers, known_as
from proxyagent.integrations.squid.conversation import Helper, _recorded, take_log
from proxyagent.integrations.squid.fields import key_of
from proxyagent.integrations.squid.lines import Incoming
from proxyagent.integrations.squid.marks import Marks
from proxyagent.integrations.squid.questions import CHANNEL_DIGITS_MAX, ERR, LINE_BYTES_MAX, Lines, Questions
from proxyagent.testing import FakeProxyAgent
from tests.fuzz import inputs
from tests.fuzz.taking import finished

FRESH = 500
LINES_MAX = 6

FIELDS = (
    b"10.3.4.5", b"10.3.4.5 c3Bhcms", b"alice 10.3.4.5", b"bob 10.3.4.6", b"a%20b%0aOK%20user=root 10.3.4.7",
    b"- 10.3.4.5", b"%2d 10.3.4.5", b"%FF%fe 2001:db8::1", b"", b"::ffff:10.3.4.5 -", b"%00 10.3.4.5", b"% %zz",
    b"alice 10.3.4.5%00", b"fe80::1%25eth0", b"\xc3\x28 10.3.4.5", b"user=root 10.3.4.5 OK user=root",
)  # fmt: skip
CHANNELS = (b"0", b"1", b"7", b"12", b"999999999", b"1000000000", b"-1", b"", b"\xd9\xa3", b"1.5", b"0x1")
ANSWERED = re.compile(rb"[0-9]{1,9} (?:ERR|OK user=[A-Za-z0-9_.~%-]+)\n")
DATAGRAMS = (
    b"<134>Sep 22 10:00:00 haproxy[1]: session=10.3.4.5", b"session=", b"session=-", b"xsession=10.3.4.6",
    b"session=cookie:0123456789abcdef0123456789abcdef a", b"session=" + b"x" * 600, b"session=\xff",
    b"session=10.3.4.5+10.3.4.6", b"session=+++", b"session=::ffff:10.3.4.5", b"session=fe80::1%eth0", b"session=a\0b",
)  # fmt: skip
KINDS = ("session", "session", "login", "login", "daemon", "log", "activity")


def make(chance: random.Random) -> bytes:
    """Which of them, what it sends, and where that is cut in two."""
    kind = chance.choice(KINDS)
    if kind == "activity":
        sent = chance.choice(DATAGRAMS)
    else:
        sent = b"\n".join([*(_line(kind, chance) for _ in range(chance.randrange(1, LINES_MAX))), b""])
    if chance.random() < 0.4:
        sent = inputs.spoiled(sent, chance)
    if chance.random() < 0.02:
        sent = b"1 " + b"x" * (LINE_BYTES_MAX + chance.randrange(-4, 4)) + b"\n" + sent
    return msgpack.packb([kind, sent, chance.randrange(len(sent) + 1)])  # type: ignore[no-any-return]


def _line(kind: str, chance: random.Random) -> bytes:
    fields = chance.choice(FIELDS)
    if chance.random() < 0.2:
        fields = b" ".join(chance.choices(b" ".join(FIELDS).split(b" "), k=chance.randrange(5)))
    if kind == "daemon":
        fields = chance.choice((b"session ", b"login ", b"", b"other ")) + fields
    return (
        fields
        if kind == "log"
        else b"%b %b" % (chance.choice(CHANNELS[:4] if chance.random() < 0.7 else CHANNELS), fields)
    )


class _Sent(Incoming):
    """A connection on which all of this has come, in two pieces."""

    def __init__(self, *pieces: bytes) -> None:
        self._pieces = list(pieces)
        self._lines = Lines()

    @property
    def peer(self) -> str:
        return ""

    async def receive(self) -> list[bytes] | None:
        return self._lines.feed(self._pieces.pop(0)) if self._pieces else None


class _Receiver:
    """A socket in which one datagram waits."""

    def __init__(self, datagram: bytes) -> None:
        self._waiting = [datagram]

    def recvfrom(self, bytes_max: int) -> tuple[bytes, Any]:
        if not self._waiting:
            raise BlockingIOError
        return self._waiting.pop()[:bytes_max], ""


class Proxy:
    """`proxyagent run` beside a squid and behind an HAProxy, where alice is logged in."""

    def __init__(self) -> None:
        self._left = 0
        self._agent: FakeProxyAgent
        self._keys = [ClientKeys(ClientSettings()), ClientKeys(ClientSettings(key="both", cookie="sid"))]
        self.accepted = 0
        """Inputs of which some line was answered with who somebody is."""

    def __call__(self, data: bytes) -> None:
        kind, sent, cut = msgpack.unpackb(data)
        if not self._left:
            self._begin()
        self._left -= 1
        pieces = sent[:cut], sent[cut:]
        keys = self._keys[len(sent) % 2]
        if kind in ("session", "login"):
            self._asked(kind, pieces, keys)
            return
        if kind == "daemon":
            self._said_to_daemon(pieces, keys)
            return
        before = {session.login_id for session in self._agent.sessions()}
        if kind == "log":
            finished(take_log(self._agent, keys, key_of(keys), _Sent(*pieces)))
        else:
            Activity("/nowhere", keys)._read(_receiver(sent), self._agent)
        assert {session.login_id for session in self._agent.sessions()} == before, "a log logs nobody in"

    def _begin(self) -> None:
        self._left, self._agent = FRESH, FakeProxyAgent()
        self._agent.login("10.3.4.5", user="alice")
        self._agent.login(key("10.3.4.5", "c3Bhcms"), user="carol")
        self._marks = Marks(self._agent)

    def _asked(self, verb: str, pieces: tuple[bytes, bytes], keys: ClientKeys) -> None:
        """Through the helper, the daemon and back."""
        questions, daemon, heard = Questions(verb), Lines(), b"".join(pieces)
        answers = Answers(self._agent, key_of(keys), self._marks, quiet_log())
        helper = Helper(self._agent, answers, _Sent())
        for piece in pieces:
            lines = daemon.feed(questions.asked(piece, 0.0))
            replies, logins = helper._answer(lines)
            questions.answered(b"".join([*replies, *_recorded(logins)]))
        assert not len(questions), "the daemon answers whatever it is asked"
        assert len(questions.replies) == sum(map(_has_channel, heard.split(b"\n")[:-1])), "each line is answered once"
        for reply in questions.replies:
            assert ANSWERED.fullmatch(reply), reply
        self.accepted += any(b" OK " in reply for reply in questions.replies)
        if verb == "session":
            known = {ERR, *(known_as(session.user) for session in self._agent.sessions())}
            said = {reply[:-1].partition(b" ")[2] for reply in questions.replies}
            assert said <= known, "asking alone lets nobody in"

    def _said_to_daemon(self, pieces: tuple[bytes, bytes], keys: ClientKeys) -> None:
        """By whoever may open its socket, without a helper."""
        answers = Answers(self._agent, key_of(keys), self._marks, quiet_log())
        daemon, helper = Lines(), Helper(self._agent, answers, _Sent())
        for piece in pieces:
            lines = daemon.feed(piece)
            replies, logins = helper._answer(lines)
            assert len(replies) + len(logins) <= len(lines) == piece.count(b"\n")
            assert all(reply.count(b"\n") == 1 for reply in (*replies, *_recorded(logins)))


def _has_channel(line: bytes) -> bool:
    channel = line.partition(b" ")[0]
    return 0 < len(channel) <= CHANNEL_DIGITS_MAX and all(0x30 <= digit <= 0x39 for digit in channel)


def _receiver(sent: bytes) -> socket.socket:
    return _Receiver(sent)  # type: ignore[return-value]  # as much of one as is asked for
