"""One link without its socket: bytes in, messages out; messages in, bytes out.

Rules of this file:

- Everything that comes passes receive_data, everything that leaves passes start, send, welcome, refuse or farewell.
- What is allowed when stands in EXPECTED and nowhere else. Both ends are this one class.
- The peer's breaches are RemoteProtocolError and end the connection for good; ours are LocalProtocolError.
- A Ping is answered here, and so is a message whose number is unknown; the owner sees neither. Replies wait in
  `replies()` for the shell to send.
- What was right before a breach is handed out first, so that it makes no difference how the bytes were cut.

Phases:

    listener    HELLO -> PROOF -> DECISION -> OPEN -> CLOSED
    dialler     CHALLENGE -> WELCOME ------> OPEN -> CLOSED

In DECISION the dialler is proven, and the shell says welcome() or refuse().
"""

import enum
from collections.abc import Mapping

from protocol import limits, messages
from protocol.codec import HANDSHAKE_ARRAY_MAX, decode, encode
from protocol.errors import Code, LocalProtocolError, RemoteProtocolError
from protocol.framing import FrameReader, frame
from protocol.handshake import Dialling, Listening, Peer
from protocol.messages import Challenge, Error, Farewell, Hello, Message, Ping, Pong, Proof, Refusal, Welcome
from protocol.stamp import Now


class Phase(enum.Enum):
    """What a connection waits for."""

    HELLO = "HELLO"
    PROOF = "PROOF"
    DECISION = "DECISION"
    CHALLENGE = "CHALLENGE"
    WELCOME = "WELCOME"
    OPEN = "OPEN"
    CLOSED = "CLOSED"


EXPECTED: Mapping[Phase, frozenset[type[Message]]] = {
    Phase.HELLO: frozenset({Hello}),
    Phase.PROOF: frozenset({Proof}),
    Phase.DECISION: frozenset(),
    Phase.CHALLENGE: frozenset({Challenge, Refusal}),
    Phase.WELCOME: frozenset({Welcome, Refusal}),
    Phase.OPEN: frozenset(messages.ALL) - frozenset(messages.BEFORE_PROOF),
    Phase.CLOSED: frozenset(),
}
"""The messages that a peer may send in each phase."""

_INTERCEPTED = frozenset({Ping, Farewell})


class Connection:
    """One end of a link. The owner's messages are those of Phase.OPEN; the handshake is done inside.

    `refusal` is the Refusal that came or was sent, `farewell` the Farewell that came, `failure` the breach that ended
    it, each None until then.
    """

    def __init__(self, handshake: Dialling | Listening) -> None:
        self._handshake = handshake
        self.phase = Phase.CHALLENGE if isinstance(handshake, Dialling) else Phase.HELLO
        self.refusal: Refusal | None = None
        self.farewell: Farewell | None = None
        self.failure: RemoteProtocolError | None = None
        self._reader = FrameReader(limits.HANDSHAKE_FRAME_BYTES_MAX)
        self._replies: list[bytes] = []

    def start(self, now: Now) -> bytes:
        """What the dialler sends first; nothing for a listener. Call once, before all else."""
        return frame(encode(self._handshake.hello(now))) if isinstance(self._handshake, Dialling) else b""

    def receive_data(self, data: bytes | bytearray | memoryview, now: Now) -> list[Message]:
        """The owner's messages that are complete now. The caller must send replies() afterwards, and look at `phase`.

        Raises RemoteProtocolError at a breach and at every later call; messages before the breach are returned first,
        and `failure` is set by then. After a Farewell or a Refusal all else is ignored.
        """
        if self.failure is not None:
            raise self.failure
        received: list[Message] = []
        try:
            while self.phase not in (Phase.OPEN, Phase.CLOSED, Phase.DECISION):
                bodies = self._reader.feed(data, 1)
                data = b""
                if not bodies:
                    return received
                self._handshaken(decode(bodies[0], HANDSHAKE_ARRAY_MAX), now)
            if self.phase is Phase.OPEN:
                for body in self._reader.feed(data):
                    self._opened(body, received)
                    if self.farewell is not None:
                        return received
                if self._reader.failure is not None:
                    raise self._reader.failure
        except RemoteProtocolError as error:
            self.failure = error
            self.phase = Phase.CLOSED
            if not received:
                raise
        return received

    def replies(self) -> bytes:
        """What the connection itself has to say; empty when nothing. The caller sends it at once."""
        if not self._replies:
            return b""
        replies = b"".join(self._replies)
        self._replies.clear()
        return replies

    def send(self, message: Message) -> bytes:
        """The frame of one of the owner's messages. Raises LocalProtocolError when the link is not open for it."""
        if self.phase is not Phase.OPEN or type(message) not in EXPECTED[Phase.OPEN]:
            raise LocalProtocolError(f"{type(message).__name__} cannot be sent while {self.phase.value}")
        return frame(encode(message))

    def welcome(self) -> bytes:
        """The listener takes the proven dialler: the link is open."""
        if self.phase is not Phase.DECISION or not isinstance(self._handshake, Listening):
            raise LocalProtocolError("nobody is proven who could be welcomed")
        self._open()
        return frame(encode(self._handshake.welcome()))

    def refuse(self, refusal: Refusal) -> bytes:
        """The listener will not have this link, whatever the phase of its handshake."""
        if self.phase is Phase.OPEN or not isinstance(self._handshake, Listening):
            raise LocalProtocolError("only a listener refuses, and only before the link is open")
        self.refusal = refusal
        self.phase = Phase.CLOSED
        return frame(encode(refusal))

    def say_farewell(self, code: Code, text: str, elsewhere: str = "") -> bytes:
        """The last frame of an open link; nothing more may be sent."""
        if self.phase is not Phase.OPEN and self.failure is None:
            raise LocalProtocolError("only an open link ends with a farewell")
        self.phase = Phase.CLOSED
        return frame(encode(Farewell(code, text, elsewhere)))

    def peer(self, address: str) -> Peer:
        """Who is proven to be at the other end; `address` is where the shell has it from."""
        return self._handshake.peer(address)

    @property
    def claimed(self) -> Hello | None:
        """What a dialler says of itself, proven or not: for log lines only. None at the dialler's end."""
        return self._handshake.claimed if isinstance(self._handshake, Listening) else None

    def hello(self, now: Now) -> Hello:
        """The proven dialler's Hello, `wall_ms` as of `now`; for the listener to judge."""
        if self.phase is not Phase.DECISION or not isinstance(self._handshake, Listening):
            raise LocalProtocolError("nobody is proven who could be judged")
        return self._handshake.hello(now)

    def abandon(self) -> None:
        """The stream has ended without a word: nothing more is sent or received."""
        self.phase = Phase.CLOSED

    def _open(self) -> None:
        self.phase = Phase.OPEN
        self._reader.bytes_max = limits.BULK_FRAME_BYTES_MAX

    def _opened(self, body: bytes, received: list[Message]) -> None:
        """One frame of an open link."""
        try:
            message = decode(body)
        except RemoteProtocolError as error:
            if error.code is not Code.UNKNOWN_MESSAGE:
                raise
            self._replies.append(frame(encode(Error(error.code, str(error)))))
            return
        kind = type(message)
        if kind not in EXPECTED[Phase.OPEN]:
            raise RemoteProtocolError(f"{kind.__name__} on an open link")
        if kind not in _INTERCEPTED:
            received.append(message)
        elif isinstance(message, Ping):
            self._replies.append(frame(encode(Pong(message.nonce))))
        elif isinstance(message, Farewell):
            self.farewell = message
            self.phase = Phase.CLOSED

    def _handshaken(self, message: Message, now: Now) -> None:
        """One message of the handshake, and the step that it makes."""
        if type(message) not in EXPECTED[self.phase]:
            raise RemoteProtocolError(f"{type(message).__name__} where {self.phase.value} was due")
        handshake = self._handshake
        match message:
            case Refusal():
                self.refusal = message
                self.phase = Phase.CLOSED
            case Challenge() if isinstance(handshake, Dialling):
                self._replies.append(frame(encode(handshake.challenged(message, now))))
                self.phase = Phase.WELCOME
            case Welcome() if isinstance(handshake, Dialling):
                handshake.welcomed(message)
                self._open()
            case Hello() if isinstance(handshake, Listening):
                self._answer(handshake.greeted(message, now), Phase.PROOF)
            case Proof() if isinstance(handshake, Listening):
                refusal = handshake.proven(message, now)
                if refusal is None:
                    self.phase = Phase.DECISION
                else:
                    self._answer(refusal, Phase.CLOSED)
            case _:
                raise AssertionError(f"EXPECTED lets {type(message).__name__} in, and nobody takes it")

    def _answer(self, answer: Challenge | Refusal, phase: Phase) -> None:
        """The listener's reply, and the phase that follows if it is no refusal."""
        if isinstance(answer, Refusal):
            self._replies.append(self.refuse(answer))
        else:
            self._replies.append(frame(encode(answer)))
            self.phase = phase
