"""What an LDAP directory may answer, and what is asked of it with a name and a password.

Rules of this file:

- The back end is the shipping one, over streams that give the input and then end, or stay silent. Time is its own.
- Whatever comes is somebody, nobody, or the one documented error, in one line that quotes nothing, and in time.
- Somebody is let in only after the bind with their own password was answered with success.
"""

import random
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgpack
import trio
from trio.testing import MockClock

from protocol.configuration import LdapSettings
from proxyagent.login.directory import Directory
from proxyagent.login.identity import Unavailable
from tests.fuzz import inputs
from tests.fuzz.taking import hold

PASSWORD = "wonder&land"
USERS = ("alice", "ALICE", "*", ")(uid=*", "\0", "\ud800", "x" * 300, "")
NAME = "uid=alice,dc=a"
READER = "cn=reader"

_COMMON: dict[str, Any] = {"base": "dc=a", "timeout_s": 5.0}
SETTINGS = (
    LdapSettings(urls=("ldap://127.0.0.1",), **_COMMON),
    LdapSettings(urls=("ldap://127.0.0.1",), bind_dn=READER, group_base="dc=g", **_COMMON),
    LdapSettings(urls=("ldap://127.0.0.1", "ldap://127.0.0.2"), bind_dn=READER, **_COMMON),
)
CODES = (0, 0, 0, 0, 0, 1, 3, 4, 10, 14, 32, 49, 50, 53, 80, 127)
NAMES = (b"alice", b"Alice", b"", b"\xff", b"<b>", b"\0", b"x" * 400, b"ali\xc3\xa7e")


def make(chance: random.Random) -> bytes:
    """Which settings, who asks, whether it falls silent at its end, and the answer to each question, in pieces."""
    kind = chance.randrange(len(SETTINGS))
    answers = [_spoilt(each, chance) for each in _right(kind, chance)]
    user = chance.choice(USERS) if chance.random() < 0.2 else "alice"
    asked = [user.encode(errors="surrogatepass"), PASSWORD if chance.random() < 0.9 else ""]
    return msgpack.packb([kind, asked, chance.random() < 0.3, answers])  # type: ignore[no-any-return]


def _right(kind: int, chance: random.Random) -> list[bytes]:
    """What a directory that knows alice answers, one question after the other; perhaps it does not know her."""
    asked_as = [_result(0x61, 0)] if SETTINGS[kind].bind_dn else []
    known = chance.random() < 0.9
    found = _entry(NAME.encode(), b"uid", b"Alice") if known else b""
    groups = [*asked_as, _entry(b"cn=g", b"cn", b"staff") + _entry(b"cn=h", b"CN", b"<b>") + _result(0x65, 0)]
    answers = [*asked_as, found + _result(0x65, 0), _result(0x61, 0 if chance.random() < 0.8 and known else 49)]
    answers += groups if SETTINGS[kind].group_base else []
    return [answer.replace(b"\x02\x01\x00", bytes((2, 1, number))) for number, answer in enumerate(answers, 1)]


def _spoilt(answer: bytes, chance: random.Random) -> list[bytes]:
    what = chance.random()
    if what < 0.08:
        answer = inputs.spoiled(answer, chance)
    elif what < 0.12:
        answer = answer.replace(b"Alice", chance.choice(NAMES)[:5].ljust(5, b"x"))
    elif what < 0.16:
        answer = answer[:-5] + bytes((chance.choice(CODES),)) + answer[-4:]
    elif what < 0.2:
        answer = chance.choice(ODD) + answer
    elif what < 0.22:
        answer += chance.choice(ODD)
    cut = chance.randrange(len(answer) + 1)
    return [piece for piece in (answer[:cut], answer[cut:]) if piece]


def _ber(tag: int, *parts: bytes) -> bytes:
    body = b"".join(parts)
    length = bytes((len(body),)) if len(body) < 128 else b"\x82" + len(body).to_bytes(2, "big")
    return bytes((tag,)) + length + body


def _result(tag: int, code: int) -> bytes:
    """The end of an answer, of the message that is numbered later."""
    done = _ber(tag, bytes((0x0A, 1, code)), _ber(4), _ber(4))
    return _ber(0x30, b"\x02\x01\x00", done)


def _entry(name: bytes, attribute: bytes, *values: bytes) -> bytes:
    texts = _ber(0x31, *(_ber(4, value) for value in values))
    found = _ber(0x64, _ber(4, name), _ber(0x30, _ber(0x30, _ber(4, attribute), texts)))
    return _ber(0x30, b"\x02\x01\x00", found)


def _nested(depth: int) -> bytes:
    """A search with a filter that says "not" so often, as if the directory asked us."""
    said = _ber(0x87, b"x")
    for _ in range(depth):
        said = _ber(0xA2, said)
    head = (_ber(4), b"\x0a\x01\x00", b"\x0a\x01\x00", b"\x02\x01\x00", b"\x02\x01\x00", b"\x01\x01\x00")
    return _ber(0x30, b"\x02\x01\x01", _ber(0x63, *head, said, _ber(0x30)))


ODD = (
    b"\x30\x84\xff\xff\xff\xff", b"\x30\x80", b"\x30\x00", b"\0" * 40, b"HTTP/1.1 400 Bad Request\r\n\r\n", _nested(3),
    _nested(3_000), _result(0x78, 2), _result(0x61, 0), _result(0x65, 0).replace(b"\x02\x01\x00", b"\x02\x01\x07"),
    _entry(b"", b"uid", b"Alice"), _entry(b"cn=b", b"uid"), _entry(b"cn=b", b"uid", b"a", b"alice", b"\xff"),
    _ber(0x30, b"\x02\x09" + b"\xff" * 9, _ber(0x61)), _ber(0x30, b"\x02\x01\x01", _ber(0x73, _ber(4, b"ldap://evil"))),
    _ber(0x30, b"\x02\x01\x01", _ber(0x7F, b"x")), b"\x30\x82\x40\x00" + b"x" * 900, b"\x1f" + b"\xff" * 60,
)  # fmt: skip


class _Stream(trio.abc.Stream):
    """A directory that answers one question after the other."""

    def __init__(self, answers: list[list[bytes]], silent: bool) -> None:
        self._answers = [[*pieces] for pieces in answers]
        self._silent = silent
        self._waiting: list[bytes] = []
        self.asked: list[bytes] = []

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await trio.lowlevel.checkpoint()
        self.asked.append(bytes(data))
        self._waiting = self._answers.pop(0) if self._answers else []

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        await trio.lowlevel.checkpoint()
        if not self._waiting and self._silent:
            await trio.sleep_forever()
        return self._waiting.pop(0) if self._waiting else b""

    async def wait_send_all_might_not_block(self) -> None:
        await trio.lowlevel.checkpoint()

    async def aclose(self) -> None:
        await trio.lowlevel.checkpoint()


class Directories:
    """Each input is a log-in, and what the directory makes of it."""

    def __init__(self) -> None:
        self._directories = [Directory(each, "", "of the reader") for each in SETTINGS]
        self.accepted = 0
        """Log-ins of somebody."""

    def __call__(self, data: bytes) -> None:
        kind, (user, password), silent, answers = msgpack.unpackb(data)
        name, streams = user.decode(errors="surrogatepass"), [_Stream(answers, silent) for _ in range(2)]
        with _network(list(streams)):
            trio.run(self._check, kind, name, password, streams, answers, clock=MockClock(autojump_threshold=0))

    async def _check(
        self, kind: int, user: str, password: str, streams: list[_Stream], answers: list[list[bytes]]
    ) -> None:
        timeout_s, began_s = SETTINGS[kind].timeout_s, trio.current_time()
        try:
            found = await self._directories[kind].check(user, password, "10.0.0.1")
        except Unavailable as error:
            quoted = PASSWORD in str(error) or "of the reader" in str(error)
            hold("\n" not in str(error) and not quoted and len(str(error)) < 400, "one line, which quotes nothing")
            return
        finally:
            assert trio.current_time() - began_s <= timeout_s + 0.01, "a check has its time"
        if found is None:
            return
        self.accepted += 1
        question = 1 + bool(SETTINGS[kind].bind_dn)
        assert password and any(_is_let_in(each, answers, question) for each in streams), "nobody else is let in"
        assert found.user.encode() in b"".join(b"".join(pieces) for pieces in answers)


def _is_let_in(stream: _Stream, answers: list[list[bytes]], question: int) -> bool:
    """Whether the password was asked for, and the answer to that has a bind's success in it."""
    if len(stream.asked) <= question or PASSWORD.encode() not in stream.asked[question]:
        return False
    return re.search(rb"\x61[\x05-\x84].{0,4}?\x0a\x01\x00", b"".join(answers[question]), re.DOTALL) is not None


@contextmanager
def _network(streams: list[_Stream]) -> Iterator[None]:
    """Where directories listen."""
    before = trio.open_tcp_stream

    async def opened(host: str, port: int) -> Any:
        await trio.lowlevel.checkpoint()
        return streams.pop(0)

    trio.open_tcp_stream = opened  # type: ignore[assignment]
    try:
        yield
    finally:
        trio.open_tcp_stream = before
