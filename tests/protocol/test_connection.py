"""One link without its socket: phases, replies and breaches."""

import pytest

from protocol import messages
from protocol.codec import encode
from protocol.connection import EXPECTED, Connection, Phase
from protocol.errors import Code, LocalProtocolError, RemoteProtocolError
from protocol.framing import frame
from protocol.messages import Error, Farewell, Ping, Pong, Refusal, Report
from tests.wire import samples
from tests.wire.pair import AGENT, NOW, OTHER_LINE, Pair, identity, opened


def at(phase: Phase) -> Connection:
    """A connection that waits for this."""
    pair = Pair()
    match phase:
        case Phase.HELLO:
            return pair.listener
        case Phase.CHALLENGE:
            pair.dialler.start(NOW)
            return pair.dialler
        case Phase.OPEN:
            pair.shake_hands()
            return pair.listener
    pair.feed(pair.listener, pair.dialler.start(NOW))
    pair.feed(pair.dialler, pair.listener.replies())
    if phase is Phase.WELCOME:
        return pair.dialler
    if phase is Phase.DECISION:
        pair.feed(pair.listener, pair.dialler.replies())
    return pair.listener


@pytest.mark.parametrize("phase", [phase for phase in Phase if phase not in (Phase.CLOSED, Phase.DECISION)])
def test_only_what_is_expected_is_taken(phase: Phase) -> None:
    """In each phase every other message is a breach, and the table says which."""
    for sample in samples.MESSAGES:
        connection = at(phase)
        assert connection.phase is phase
        if type(sample) not in EXPECTED[phase]:
            with pytest.raises(RemoteProtocolError):
                connection.receive_data(frame(encode(sample)), NOW)
            assert connection.phase is Phase.CLOSED


def test_every_message_has_its_place() -> None:
    """The table leaves no message out, and no message of the handshake in."""
    assert frozenset().union(*EXPECTED.values()) == set(messages.ALL)
    assert not EXPECTED[Phase.OPEN] & set(messages.BEFORE_PROOF)


def test_the_listener_decides_about_the_proven() -> None:
    """Only in DECISION can a dialler be judged and welcomed; then both ends are open."""
    pair = Pair()
    with pytest.raises(LocalProtocolError):
        pair.listener.welcome()
    with pytest.raises(LocalProtocolError):
        pair.listener.hello(NOW)
    pair.shake_hands()
    assert (pair.dialler.phase, pair.listener.phase) == (Phase.OPEN, Phase.OPEN)
    assert pair.dialler.claimed is None
    claimed = pair.listener.claimed
    assert claimed is not None and claimed.id == "squid-1"


def test_a_refusal_of_the_listener_reaches_the_dialler() -> None:
    """Both ends are closed and hold it; what comes after is ignored."""
    listener = at(Phase.DECISION)
    refusal = Refusal(Code.DUPLICATE, "10.0.0.1:5 holds this id", 500, "2")
    data = listener.refuse(refusal)
    dialler = at(Phase.WELCOME)
    assert dialler.receive_data(data + frame(encode(Pong(1))), NOW) == []
    assert (dialler.phase, dialler.refusal, listener.refusal) == (Phase.CLOSED, refusal, refusal)
    assert dialler.receive_data(b"\xff" * 8, NOW) == []


def test_a_refusal_of_the_handshake_is_a_reply() -> None:
    """An unknown line is answered before anybody decides."""
    pair = Pair(dialler=identity("proxy", "squid-1", OTHER_LINE))
    pair.shake_hands()
    assert pair.listener.phase is pair.dialler.phase is Phase.CLOSED
    assert pair.dialler.refusal is not None and pair.dialler.refusal.code == Code.UNKNOWN_SECRET


def test_only_a_listener_refuses_and_only_in_time() -> None:
    """The other cases are our own mistakes."""
    for connection in (at(Phase.WELCOME), at(Phase.OPEN)):
        with pytest.raises(LocalProtocolError):
            connection.refuse(Refusal(1, ""))


def test_a_ping_is_answered_in_place() -> None:
    """The owner does not see it; the Pong bears its number."""
    pair = opened()
    assert pair.feed(pair.listener, pair.dialler.send(Ping(42)) + pair.dialler.send(Pong(1))) == [Pong(1)]
    assert pair.feed(pair.dialler, pair.listener.replies()) == [Pong(42)]
    assert pair.listener.replies() == b""


def test_an_unknown_message_is_answered_and_skipped() -> None:
    """Promise 12: it costs an Error and nothing more."""
    pair = opened()
    stream = frame(b"\x92\xcc\xc8\x01") + pair.dialler.send(Pong(1))
    assert pair.feed(pair.listener, stream) == [Pong(1)]
    (error,) = pair.feed(pair.dialler, pair.listener.replies())
    assert error == Error(Code.UNKNOWN_MESSAGE, "message 200 is unknown to this version")


def test_an_unknown_message_of_a_stranger_is_a_breach() -> None:
    """Before the proof nothing is skipped."""
    with pytest.raises(RemoteProtocolError):
        at(Phase.HELLO).receive_data(frame(b"\x92\xcc\xc8\x01"), NOW)


def test_a_farewell_ends_it() -> None:
    """What comes before it is handed out, what comes after is not, and nothing more can be sent."""
    pair = opened()
    stream = pair.dialler.send(Pong(1)) + pair.dialler.say_farewell(Code.STOPPING, "bye", "2")
    assert pair.feed(pair.listener, stream + frame(encode(Pong(2)))) == [Pong(1)]
    assert pair.listener.farewell == Farewell(1, "bye", "2")
    for connection in (pair.dialler, pair.listener):
        with pytest.raises(LocalProtocolError):
            connection.send(Pong(3))
        with pytest.raises(LocalProtocolError):
            connection.say_farewell(Code.STOPPING, "")


def test_after_a_breach_only_a_farewell_can_be_said() -> None:
    """So that the peer learns what it broke."""
    pair = opened()
    with pytest.raises(RemoteProtocolError):
        pair.feed(pair.listener, frame(b"\xc1"))
    assert pair.feed(pair.dialler, pair.listener.say_farewell(Code.PROTOCOL, "broken")) == []
    assert pair.dialler.farewell == Farewell(Code.PROTOCOL, "broken")


def test_nothing_of_ours_leaves_before_the_link_is_open() -> None:
    """Nor a message of the handshake afterwards."""
    with pytest.raises(LocalProtocolError, match="while HELLO"):
        at(Phase.HELLO).send(Pong(1))
    with pytest.raises(LocalProtocolError, match="Refusal cannot be sent while OPEN"):
        at(Phase.OPEN).send(Refusal(1, ""))


def test_an_abandoned_connection_is_closed() -> None:
    """The stream has ended without a word."""
    connection = at(Phase.OPEN)
    connection.abandon()
    assert connection.phase is Phase.CLOSED


def test_the_bound_on_frames_grows_with_the_proof() -> None:
    """4 KiB before it, 1 MiB after."""
    large = frame(encode(Report(1, bytes(900_000))))
    assert at(Phase.OPEN).receive_data(large, NOW) == [Report(1, bytes(900_000))]
    with pytest.raises(RemoteProtocolError, match="allowed are 1 to 4096"):
        at(Phase.HELLO).receive_data(large, NOW)


def test_a_listener_starts_silent() -> None:
    """The dialler speaks first."""
    pair = Pair(listener=AGENT)
    assert pair.listener.start(NOW) == b"" != pair.dialler.start(NOW)
