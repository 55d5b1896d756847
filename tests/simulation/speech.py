"""How messages travel: as the objects they are, or as bytes through the shipping codec, in the dialect of the sender.

Rules of this file:

- Objects are for speed; they are frozen, so nobody can change what another has said.
- So are batches of changes: what one reader has unpacked, the next need not unpack again.
- As bytes each message is encoded, and decoded by whoever reads it. A sender that speaks a newer version adds fields
  nobody knows and now and then a message nobody knows; an older one leaves off the fields that were added last.
- In a run of mixed versions each link begins with the shipping handshake, its Hello in the dialect of the dialler.

Source: promise 12 (N and N+1 interoperate); protocol/messages.py, protocol/connection.py.
"""

import functools
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, TypeAlias

import msgpack

from protocol import codec, framing
from protocol.connection import Phase
from protocol.errors import Code, RemoteProtocolError
from protocol.messages import Error, Message
from protocol.schema import BY_NUMBER
from tests.simulation.process import Process
from tests.wire.pair import Pair, identity, whole

Dialect: TypeAlias = Literal["ours", "newer", "older"]

UNKNOWN_NUMBER = 9_999
UNKNOWN_SHARE = 0.02
"""So often a newer sender says something that nobody knows."""

HANDSHAKES_MAX = 12
"""Deriving keys takes milliseconds, and later links of a run have nothing new to say."""

NEW_FIELDS = ("a field", 7, True, None, (1, (2, b"deep")))


@contextmanager
def remembered_payloads() -> Iterator[None]:
    """While this lasts, whoever unpacks a payload that was unpacked before gets the same frozen changes."""
    unpack = codec.decode_changes
    codec.decode_changes = functools.lru_cache(maxsize=512)(unpack)
    try:
        yield
    finally:
        codec.decode_changes = unpack


class Speech:
    """What all links of a run speak. `dialects` names the processes that speak another version than ours."""

    def __init__(self, seed: str, as_bytes: bool, dialects: dict[str, Dialect]) -> None:
        self._dice = random.Random(seed)
        self._as_bytes = as_bytes or bool(dialects)
        self._dialects = dialects
        self.unknown_said = self.unknown_heard = self.hands_shaken = 0

    def say(self, sender: Process, messages: list[Message]) -> tuple[Message | bytes, ...]:
        """What travels for some messages."""
        if not self._as_bytes:
            return tuple(messages)
        dialect = self._dialects.get(sender.name, "ours")
        bodies = [translated(codec.encode(message), dialect) for message in messages]
        if dialect == "newer" and self._dice.random() < UNKNOWN_SHARE:
            self.unknown_said += 1
            bodies.append(msgpack.packb((UNKNOWN_NUMBER, *NEW_FIELDS)))
        return tuple(bodies)

    def hear(self, segments: list[Message | bytes]) -> tuple[list[Message], list[Message]]:
        """The messages in what has arrived, and what the connection itself answers."""
        if not self._as_bytes:
            return segments, []  # type: ignore[return-value]
        messages: list[Message] = []
        replies: list[Message] = []
        for segment in segments:
            assert isinstance(segment, bytes), "bytes are said as bytes"
            try:
                messages.append(codec.decode(segment))
            except RemoteProtocolError as error:
                if error.code is not Code.UNKNOWN_MESSAGE:
                    raise
                self.unknown_heard += 1
                replies.append(Error(error.code, str(error)))
        return messages, replies

    def shake_hands(self, dialler: Process, listener: Process) -> None:
        """In a run of mixed versions, let the shipping connections prove each other."""
        if not self._dialects or self.hands_shaken >= HANDSHAKES_MAX:
            return
        newer = "newer" in (self._dialects.get(dialler.name), self._dialects.get(listener.name))
        pair = Pair(
            dialler=identity(dialler.kind, dialler.id, site=dialler.site, versions=(1, 2 if newer else 1)),
            listener=identity(listener.kind, listener.id, site=listener.site),
            cut=restated if newer else whole,
        )
        pair.shake_hands()
        assert pair.dialler.phase is pair.listener.phase is Phase.OPEN, "two versions do not interoperate"
        self.hands_shaken += 1


def translated(body: bytes, dialect: Dialect) -> bytes:
    """The body of one frame as another version would say it."""
    if dialect == "ours":
        return body
    fields = msgpack.unpackb(body, use_list=False, raw=False)
    if dialect == "newer":
        return bytes(msgpack.packb((*fields, *NEW_FIELDS)))
    least = BY_NUMBER[fields[0]].least
    return bytes(msgpack.packb(fields[: least + 1])) if _plain(fields[least + 1 :]) else body


def restated(data: bytes) -> list[bytes]:
    """Whole frames of the handshake as a newer version would say them."""
    bodies = framing.FrameReader(1 << 16).feed(data)
    return [framing.frame(translated(body, "newer")) for body in bodies]


def _plain(fields: tuple[object, ...]) -> bool:
    """Whether fields say no more than their absence would."""
    return all(not field for field in fields)
