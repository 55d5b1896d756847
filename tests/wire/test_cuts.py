"""However a stream of bytes is cut, the same messages come out of it."""

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import limits
from protocol.connection import EXPECTED, Phase
from protocol.errors import RemoteProtocolError
from protocol.framing import frame
from protocol.messages import Farewell, Message, Ping, Pong
from tests.wire import samples
from tests.wire.pair import NOW, Cut, Pair, bytewise, opened, whole

ORDINARY = tuple(
    sample
    for sample in samples.MESSAGES
    if type(sample) in EXPECTED[Phase.OPEN] and type(sample) not in (Ping, Farewell)
)


def with_trailing(data: bytes) -> Iterable[bytes]:
    """Each frame comes with the first byte of the next one."""
    return [data[:1], data[1:]]


@pytest.mark.parametrize("cut", [whole, bytewise, with_trailing])
@pytest.mark.parametrize("sample", ORDINARY, ids=lambda sample: type(sample).__name__)
def test_each_message_passes_both_ways(sample: Message, cut: Cut) -> None:
    """Whole, byte by byte and with trailing bytes, from either end."""
    pair = opened(cut)
    beyond = frame(b"\x91\x0b")[:3]
    assert pair.feed(pair.listener, pair.dialler.send(sample) + beyond) == [sample]
    assert pair.feed(pair.dialler, pair.listener.send(sample) + beyond) == [sample]


@given(st.lists(st.integers(1, 60), max_size=40))
def test_any_cut_of_many_messages_is_the_same(sizes: list[int]) -> None:
    """All messages in one stream, cut anywhere, come out once each and in order."""
    pair = opened()
    stream = b"".join(map(pair.dialler.send, ORDINARY))
    received, place = [], 0
    for size in [*sizes, len(stream)]:
        received += pair.listener.receive_data(stream[place : place + size], NOW)
        place += size
    assert received == list(ORDINARY)


@pytest.mark.parametrize("cut", [whole, bytewise])
def test_a_handshake_may_come_in_any_pieces(cut: Cut) -> None:
    """Both ends reach OPEN, and know each other."""
    pair = opened(cut)
    assert pair.listener.peer("x").id == "squid-1"
    assert pair.dialler.peer("x").id == "1"


def test_what_follows_the_welcome_at_once_is_not_lost() -> None:
    """A large frame in the same piece as the Welcome counts under the bound of a proven link."""
    pair = Pair()
    pair.feed(pair.listener, pair.dialler.start(NOW))
    pair.feed(pair.dialler, pair.listener.replies())
    pair.feed(pair.listener, pair.dialler.replies())
    welcome = pair.listener.welcome()
    large = Pong(1), samples.messages.Bulk(1, bytes(4 * limits.HANDSHAKE_FRAME_BYTES_MAX))
    assert pair.feed(pair.dialler, welcome + b"".join(map(pair.listener.send, large))) == list(large)


@pytest.mark.parametrize("cut", [whole, bytewise])
def test_what_was_right_before_a_breach_is_handed_out(cut: Cut) -> None:
    """The messages before garbage come, then the breach, and then nothing but the breach."""
    pair = opened()
    stream = pair.dialler.send(Pong(1)) + pair.dialler.send(Pong(2)) + b"\xff\xff\xff\xff" + pair.dialler.send(Pong(3))
    received: list[Message] = []
    with pytest.raises(RemoteProtocolError, match="a frame of 4294967295 bytes"):
        received.extend(message for piece in [*cut(stream), b""] for message in pair.listener.receive_data(piece, NOW))
    assert received == [Pong(1), Pong(2)]
    with pytest.raises(RemoteProtocolError):
        pair.listener.receive_data(pair.dialler.send(Pong(4)), NOW)
