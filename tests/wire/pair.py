"""A dialler and a listener without sockets: what one sends, the other receives, cut as the test likes."""

from collections.abc import Callable, Iterable

from protocol.connection import Connection, Phase
from protocol.handshake import Dialling, Identity, Listening
from protocol.messages import Message
from protocol.secret import Secrets
from protocol.stamp import Now

NOW = Now(100.0, 100_000, 1_790_000_000_000)
LINE = "correct-horse-battery-staple-0"
OTHER_LINE = "another-horse-battery-staple-1"
SALT = b"salt of the test"

Cut = Callable[[bytes], Iterable[bytes]]


def identity(
    kind: str = "agent", id: str = "1", *lines: str, site: str = "lan1", versions: tuple[int, int] = (1, 1)
) -> Identity:
    return Identity(kind, site, id, 7, "test 0.1", b"CONFHASH", Secrets(lines or (LINE,)), *versions)


PROXY = identity("proxy", "squid-1")
AGENT = identity("agent", "1")


def whole(data: bytes) -> Iterable[bytes]:
    return [data]


def bytewise(data: bytes) -> Iterable[bytes]:
    return [data[place : place + 1] for place in range(len(data))]


class Pair:
    """Both ends of one link. `sent` holds what each end has sent, in order."""

    def __init__(
        self,
        *,
        dialler: Identity = PROXY,
        listener: Identity = AGENT,
        dialler_binding: bytes | None = None,
        listener_binding: bytes | None = None,
        nonces: tuple[str, str] = ("dialler-nonce", "listener-nonce"),
        cut: Cut = whole,
    ) -> None:
        line = dialler.secrets.newest
        self.dialler = Connection(Dialling(dialler, line, nonces[0], dialler_binding))
        self.listener = Connection(Listening(listener, nonces[1], SALT, listener_binding))
        self.cut = cut
        self.sent: list[bytes] = []

    def feed(self, connection: Connection, data: bytes) -> list[Message]:
        """Everything that the data makes this end hand out."""
        return [message for piece in self.cut(data) for message in connection.receive_data(piece, NOW)]

    def shake_hands(self) -> None:
        """As far as it goes: both open, or one closed."""
        data, receiver, other = self.dialler.start(NOW), self.listener, self.dialler
        while data:
            self.sent.append(data)
            assert self.feed(receiver, data) == []
            data = receiver.replies()
            if receiver.phase is Phase.DECISION:
                data = receiver.welcome()
            receiver, other = other, receiver


def opened(cut: Cut = whole) -> Pair:
    """A pair with its handshake done."""
    pair = Pair(cut=cut)
    pair.shake_hands()
    assert pair.dialler.phase is pair.listener.phase is Phase.OPEN
    return pair
