"""An agent's machine and the words that it hears, for the twins of authagent/core."""

import random
from typing import TypeVar

import attrs

from authagent.core import commands as do
from authagent.core import events as on
from authagent.core.agent import Agent
from authagent.core.peer import Peer, open_peer
from authagent.core.settings import Settings
from protocol import codec, framing
from protocol.changes import Changes, EndRun, LoginRun
from protocol.liveness import Punctuality
from protocol.messages import Heartbeat, Message, Role, Update
from protocol.session import Origin, State
from protocol.stamp import Now
from protocol.table import Table

SECRET_ID = b"sec1"
NOW_MS = 1_790_000_000_000
ORIGIN = Origin("p1", 1)
PAIRED = Settings(site="lan1", id=1, partner=2)
PARTNER_LINK = 9


def now(after_s: float = 0.0) -> Now:
    """One reading of clocks that agree."""
    after_ms = round(after_s * 1000)
    return Now(100.0 + after_s, 1_000_000 + after_ms, NOW_MS + after_ms)


def make_table() -> Table:
    return Table(digest_key=b"k" * 32)


def logins(*keys: str, first: int = 0, user: str = "alice", at_ms: int = NOW_MS, site: str = "lan1") -> Changes:
    """Fresh logins of one user, one a key."""
    count = len(keys)
    run = LoginRun(
        ORIGIN,
        range(first, first + count),
        site,
        list(keys),
        [user] * count,
        [at_ms] * count,
        [at_ms + 3_600_000] * count,
        [1_800] * count,
        [()] * count,
    )
    return Changes(logins=(run,))


def ends(*keys: str, first: int = 0, user: str = "alice", state: State = State.LOGGED_OUT) -> Changes:
    """The ends of what `logins` made."""
    count = len(keys)
    run = EndRun(
        ORIGIN,
        range(first, first + count),
        bytes([state]) * count,
        list(keys),
        [user] * count,
        [NOW_MS + 3_600_000] * count,
    )
    return Changes(ends=(run,))


def payload(*keys: str, first: int = 0) -> bytes:
    return codec.encode_changes(logins(*keys, first=first))


def opened(
    link: int,
    id: str = "p1",
    kind: str = "proxy",
    *,
    incarnation: int = 1,
    dialled: bool = False,
    wall_offset_ms: int = 0,
    configuration_equal: bool = True,
    site: str = "lan1",
) -> on.LinkOpened:
    return on.LinkOpened(
        link, kind, site, id, incarnation, f"host-{id}", "test", configuration_equal, wall_offset_ms, dialled
    )


def make_peer(link: int, id: str = "p1", kind: str = "proxy", at_s: float = 0.0, *, dialled: bool = False) -> Peer:
    return open_peer(opened(link, id, kind, dialled=dialled), now(at_s), PAIRED, Punctuality())


def heartbeat(role: Role = Role.PROXY, at_s: float = 0.0, **fields: object) -> Heartbeat:
    """A heartbeat with nothing to tell but the role."""
    at = now(at_s)
    quiet = Heartbeat(role, 0, False, 0, 0, 0, None, SECRET_ID, None, at.wall_ms, at.boot_ms, None, 0, 0, 0)
    return attrs.evolve(quiet, **fields)  # type: ignore[arg-type]


class Machine:
    """One agent, its clock, and everything that it has commanded."""

    def __init__(self, settings: Settings = PAIRED, term: int = 0) -> None:
        self.table = make_table()
        self.agent = Agent(settings, self.table, random.Random(1), SECRET_ID)
        self.at_s = 0.0
        self.said: list[do.Command] = []
        self.step(on.Started(term))

    def step(self, event: on.Event) -> list[do.Command]:
        """One step now; what it commanded."""
        commands = self.agent.step(event, now(self.at_s))
        self.said += commands
        return commands

    def hear(self, link: int, *messages: Message) -> list[do.Command]:
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

    def wait_hearing(self, seconds: float, link: int, **fields: object) -> list[do.Command]:
        """The same, with a heartbeat of the peer each 0.2 s."""
        commands: list[do.Command] = []
        for _ in range(round(seconds / 0.2)):
            commands += self.wait(0.2)
            commands += self.hear(link, heartbeat(at_s=self.at_s, **fields))  # type: ignore[arg-type]
        return commands

    @property
    def role(self) -> Role:
        return self.agent.election.role


def make_master(partner: bool = True) -> Machine:
    """A master: of a pair, with its slave on PARTNER_LINK that follows, or alone."""
    if not partner:
        return Machine(Settings(site="lan1", id=1, partner=None))
    machine = Machine()
    machine.step(opened(PARTNER_LINK, "2", "agent"))
    machine.hear(PARTNER_LINK, heartbeat(Role.STARTING))
    assert machine.role == Role.MASTER
    return machine


def make_slave(settings: Settings = PAIRED) -> Machine:
    """A slave whose master, on PARTNER_LINK, is of term 5 and log 77."""
    machine = Machine(settings)
    machine.step(opened(PARTNER_LINK, str(settings.partner), "agent"))
    machine.hear(PARTNER_LINK, heartbeat(Role.MASTER, term=5, log_id=77, cluster_ms=NOW_MS))
    assert machine.role == Role.SLAVE
    return machine


Kind = TypeVar("Kind", bound=Message)


def sent(commands: list[do.Command], kind: type[Kind], link: int | None = None) -> list[Kind]:
    """The messages of a kind among commands, to one link or to any."""
    sends = [command for command in commands if isinstance(command, do.Send)]
    here = [command.message for command in sends if link is None or link in command.links]
    return [message for message in here if isinstance(message, kind)]


def updates(commands: list[do.Command], link: int) -> list[Update]:
    """The Updates that are relayed to a link."""
    relays = [command for command in commands if isinstance(command, do.Relay) and link in command.links]
    bodies = framing.FrameReader(1 << 24).feed(b"".join(relay.frames for relay in relays))
    return [message for message in map(codec.decode, bodies) if isinstance(message, Update)]


def of(commands: list[do.Command], kind: type[do.Command]) -> list[do.Command]:
    return [command for command in commands if isinstance(command, kind)]


def logged(commands: list[do.Command]) -> list[str]:
    return [command.event for command in commands if isinstance(command, do.Log)]
