"""What other programs answer us: HAProxy's runtime socket, squid's manager, receivers of webhooks, our own daemon.

Rules of this file:

- The code is the shipping one, over a stream that gives pieces of the input and then ends.
- Whatever answers, it is understood or one of the documented errors of who asks, and a helper of squid's is answered.
"""

import random
from typing import Any, Self

import h11
import msgpack
import trio
from trio.testing import MockClock

from protocol.configuration import ClientSettings
from protocol.io.http import post
from proxyagent.integrations.client_key import ClientKeys
from proxyagent.integrations.haproxy.runtime import MapChanges, Runtime, RuntimeFailed
from proxyagent.integrations.squid.manager import Growth, _keys
from proxyagent.integrations.squid.questions import Questions
from tests.fuzz import inputs
from tests.fuzz.taking import finished, hold

RUNTIME = (
    b"0x55d0 10.3.4.5 alice\n0x55d1 2001:db8::1 Stra\xc3\x9fe\n\n",
    b"Name: HAProxy\nVersion: 2.6\nPid: 71\nUptime_sec: 9\n",
    b"0x7f: proto=tcpv4 src=10.3.4.5:51 fe=web be=<NONE>\n0x7e: proto=tcpv6 src=2001:db8::1:5 x\n0x7d: src=unix:1 x\n",
    b"Unknown map identifier. Please use #<id> or <file>.\n", b"Key not found.\n",
    b"Pid: 1\nUptime_sec: " + b"9" * 5_000,
    b"0x1 a \n0x1 a b\n", b"Pid: 1: 2\nUptime_sec: -1\n", b"\n" * 50, b"0x7f: proto= src=[::ffff:10.3.4.5]:1 \n", b"",
)  # fmt: skip
_REQUEST = b"""\
Connection: 0x%x
\tFD 16, read %d, wrote %d
\tFD desc: Reading next request
\tremote: 10.3.4.%d:50
\tnrequests: 1
uri example.org:443

"""
PAGES = (
    _REQUEST % (1, 5, 5, 5) + _REQUEST % (2, 7, 7, 6), _REQUEST % (1, 9, 9, 5),
    b"Connection: 0x1\n\tFD 1, read 1, wrote 1\n",
    b"Connection: 0x1\n\tFD 1, read 1, wrote 1\n" + b"\n" * 80, (_REQUEST % (1, 77, 1, 1)).replace(b"77", b"7" * 5_000),
    _REQUEST % (1, 5, 5, 5) + b"\n\n\n\t\t\n" * 40, b"\tremote: [2001:db8::1]:9\n", b"HTTP/1.1 200 OK\r\n\r\n",
)  # fmt: skip
HTTP = (
    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 503 No\r\n\r\n", b"HTTP/1.1 204 x",
    b"HTTP/1.1 302 Found\r\nLocation: http://evil.test/\r\n\r\n", b"SSH-2.0-OpenSSH\r\n\r\n",
    b"HTTP/1.1 101 Up\r\n\r\n",
    b"HTTP/1.0 999 \r\nTransfer-Encoding: chunked, x\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 1, 2\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nX: " + b"x" * (post.HEADER_BYTES_MAX + 9), b"HTTP/1.1 102 x\r\n\r\n" * 40, b"\0",
)  # fmt: skip
DAEMON = (
    b"1 OK user=alice\n2 ERR\n",
    b"3 OK\n",
    b"1 ERR\n1 ERR\n",
    b"x\n",
    b"-1 OK\n",
    b"1 NO\n" + b"9" * 5_000 + b" OK\n",
)
KINDS = {
    "page": PAGES,
    "post": HTTP,
    "daemon": DAEMON,
    "map": RUNTIME,
    "info": RUNTIME,
    "change": RUNTIME,
    "cut": RUNTIME,
}
PATIENT = ("map", "info", "change", "cut")
"""What asks with deadlines, and so needs a loop."""


def make(chance: random.Random) -> bytes:
    """Who answers, and some pieces of what it says."""
    kind = chance.choice([*KINDS] if chance.random() < 0.4 else ["page", "post", "daemon"])
    pieces = [chance.choice(KINDS[kind]) for _ in range(chance.randrange(1, 4))]
    said = [inputs.spoiled(piece, chance) if chance.random() < 0.5 else piece for piece in pieces]
    return msgpack.packb([kind, said])  # type: ignore[no-any-return]


class _Stream:
    """Whoever reads is given one piece after another."""

    def __init__(self, pieces: list[bytes]) -> None:
        self._pieces = [each[at : at + 1_000] for each in pieces for at in range(0, len(each), 1_000)]
        self.ended = 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exception: object) -> None:
        pass

    async def send_all(self, data: bytes) -> None:
        pass

    async def receive_some(self, bytes_max: int) -> bytes:
        self.ended += not self._pieces
        assert self.ended < 3, "an end is an end"
        return self._pieces.pop(0) if self._pieces else b""


class _Answered(Runtime):
    """A runtime socket that answers each question with the same pieces."""

    said: list[bytes]

    async def _connect(self) -> Any:
        return _Stream(self.said)


class Services:
    """Each input is the answer of one of them."""

    def __init__(self) -> None:
        self.accepted = 0
        """Answers that were taken for one."""

    def __call__(self, data: bytes) -> None:
        kind, said = msgpack.unpackb(data)
        if kind == "page":
            self._look(said)
        elif kind == "post":
            self._post(said)
        elif kind == "daemon":
            self._ask(said)
        else:
            trio.run(self._command, kind, said, clock=MockClock(autojump_threshold=0))

    def _look(self, pages: list[bytes]) -> None:
        growth, keys = Growth(), ClientKeys(ClientSettings())
        assert not growth.clients(pages[0]), "the first look counts for nothing"
        for page in pages:
            clients = growth.clients(page)
            assert not clients or b"remote: " in page
            self.accepted += bool([*_keys(clients, keys)])
        assert not growth.clients(pages[-1]), "what has not grown is no activity"

    def _post(self, said: list[bytes]) -> None:
        request = h11.Request(method="POST", target="/", headers=[("host", "a.test"), ("content-length", "1")])
        try:
            status = finished(post._exchange(_Stream(said), request, b"x"))  # type: ignore[arg-type]
        except h11.RemoteProtocolError as error:
            hold("\n" not in str(error), "it is told in one line")
            return
        self.accepted += 1
        assert 200 <= status <= 999 and str(status).encode() in b"".join(said)

    def _ask(self, said: list[bytes]) -> None:
        questions = Questions("session")
        questions.asked(b"5 10.3.4.5\n6 10.3.4.6\n7 10.3.4.7\n", 0.0)
        for piece in said:
            questions.answered(piece)
        self.accepted += len(questions) < 3
        questions.give_up(1.0)
        channels = [reply.partition(b" ")[0] for reply in questions.replies]
        assert sorted(channels) == [b"5", b"6", b"7"], "each question is answered once"
        assert all(reply.count(b"\n") == 1 and reply.split()[1][:2] in (b"OK", b"ER") for reply in questions.replies)

    async def _command(self, kind: str, said: list[bytes]) -> None:
        haproxy = _answered(said)
        try:
            match kind:
                case "map":
                    entries = await haproxy.map_entries("m")
                    assert all(key and " " not in key for key in entries)
                case "info":
                    identity = await haproxy.identity()
                    assert identity.follows(identity)
                case "change":
                    await haproxy.change_map("m", MapChanges(delete=["a"], set={"b": "x;y"}, add={"c": "é\n"}))
                case _:
                    await haproxy.shut_down_clients(["10.3.4.5", "2001:db8::1"])
        except RuntimeFailed as failed:
            hold("\n" not in str(failed) and len(str(failed)) < 400, "it is told in one line")
            return
        self.accepted += 1


def _answered(said: list[bytes]) -> _Answered:
    made = _Answered("/run/haproxy.sock")
    object.__setattr__(made, "said", said)
    return made
