"""Two ends of a handshake, and an agent without its shell, for the tests of the protocol's rules."""

import random

import attrs

from authagent.core import commands as do
from authagent.core import events as on
from authagent.core.agent import Agent
from authagent.core.settings import Settings
from protocol.changes import Changes, LoginRun
from protocol.connection import Connection, Phase
from protocol.handshake import Dialling, Identity, Listening
from protocol.messages import Heartbeat, Message, Role
from protocol.secret import Secrets
from protocol.session import Origin
from protocol.stamp import Now
from protocol.table import Table

SECRET = "kQ3vX8pLr2Zt7Wm9Bn4Yc6Hd"
OTHER_SECRET = "Jf5sGh1TqAz8Uy3Re0Ow7Ix2"
DIGEST_KEY = b"k" * 32
SECRET_ID = b"sec1"
NOW_MS = 1_790_000_000_000
SALT = b"salt" * 4


def now(after_s: float = 0.0) -> Now:
    """One reading of clocks that agree."""
    after_ms = round(after_s * 1000)
    return Now(1_000.0 + after_s, 1_000_000 + after_ms, NOW_MS + after_ms)


def identity(kind: str = "proxy", id: str = "proxy1", *secrets: str, version: int = 1) -> Identity:
    """Who speaks."""
    lines = Secrets(secrets or (SECRET,))
    return Identity(kind, "lan1", id, 7, "test 1", b"12345678", lines, version, version)


def dialler(who: Identity | None = None, binding: bytes | None = None, line: str = SECRET) -> Connection:
    """The dialling end."""
    return Connection(Dialling(who or identity(), line.encode(), "cnonce", binding))


def listener(who: Identity | None = None, binding: bytes | None = None) -> Connection:
    """The listening end."""
    return Connection(Listening(who or identity("agent", "1"), "snonce", SALT, binding))


def shake_hands(here: Connection, there: Connection) -> None:
    """Carry bytes between a dialler and a listener until both rest; whoever is proven is welcomed."""
    there.receive_data(here.start(now()), now())
    for _ in range(4):
        if there.phase is Phase.DECISION:
            here.receive_data(there.welcome(), now())
            return
        if answer := there.replies():
            here.receive_data(answer, now())
        if answer := here.replies():
            there.receive_data(answer, now())


def linked() -> tuple[Connection, Connection]:
    """Two ends of an open link: the dialler's, the listener's."""
    here, there = dialler(), listener()
    shake_hands(here, there)
    assert here.phase is there.phase is Phase.OPEN
    return here, there


def logins(*keys: str, proxy: str = "proxy1", first: int = 0, at_ms: int = NOW_MS, user: str = "alice") -> Changes:
    """Fresh logins of one user, one a key."""
    count = len(keys)
    run = LoginRun(
        Origin(proxy, 1),
        range(first, first + count),
        "lan1",
        list(keys),
        [user] * count,
        [at_ms] * count,
        [at_ms + 3_600_000] * count,
        [1_800] * count,
        [()] * count,
    )
    return Changes(logins=(run,))


class LoneAgent:
    """An agent and what it said: links are numbers, time moves by hand."""

    def __init__(self, partner: int | None = None, term: int = 0) -> None:
        settings = Settings(site="lan1", id=1, partner=partner)
        self.table = Table(digest_key=DIGEST_KEY)
        self.agent = Agent(settings, self.table, random.Random(1), SECRET_ID)
        self.at_s = 0.0
        self.said: list[do.Command] = []
        self.step(on.Started(term))

    def step(self, event: on.Event) -> list[do.Command]:
        """One step now; what it commanded."""
        commands = self.agent.step(event, now(self.at_s))
        self.said += commands
        return commands

    def open(self, link: int, id: str, kind: str = "proxy", *, incarnation: int = 5) -> list[do.Command]:
        """A proven link that the other side dialled."""
        return self.step(on.LinkOpened(link, kind, "lan1", id, incarnation, "127.0.0.1:5", "test", True, 0, False))

    def hear(self, link: int, *messages: Message) -> list[do.Command]:
        """Messages on a link."""
        return self.step(on.MessagesReceived(link, messages))

    def stored(self) -> list[do.Command]:
        """Everything persisted so far is on stable storage."""
        positions = [command.position for command in self.said if isinstance(command, do.Persist)]
        return self.step(on.Stored(max(positions, default=0)))

    def wait(self, seconds: float, step_s: float = 0.05) -> list[do.Command]:
        """Let time pass in small steps, so that the agent is not late itself."""
        commands: list[do.Command] = []
        for _ in range(round(seconds / step_s)):
            self.at_s += step_s
            commands += self.step(on.DeadlinePassed())
        return commands


def sent(commands: list[do.Command], kind: type[Message], link: int | None = None) -> list[Message]:
    """The messages of a kind among commands, to one link or to any."""
    sends = [command for command in commands if isinstance(command, do.Send)]
    here = [command.message for command in sends if link is None or link in command.links]
    return [message for message in here if isinstance(message, kind)]


def closes(commands: list[do.Command]) -> list[do.Close]:
    """The links that are closed among commands."""
    return [command for command in commands if isinstance(command, do.Close)]


def heartbeat(role: Role = Role.PROXY, at_s: float = 0.0, **fields: object) -> Heartbeat:
    """A heartbeat with nothing to tell but the role."""
    at = now(at_s)
    quiet = Heartbeat(role, 0, False, 0, 0, 0, None, SECRET_ID, None, at.wall_ms, at.boot_ms, None, 0, 0, 0)
    return attrs.evolve(quiet, **fields)
