"""A world for pure agents: clocks, links and stores that exist only as numbers, driven event by event.

Rules of this file:

- The machines are the shipping ones; everything around them is a toy that is exact about order and time.
- Time moves only in `run`. Messages take LATENCY_S, a commit takes COMMIT_S, a refused connection answers at once, a
  silent one never does.
- Nothing is random but by the seed.
"""

import heapq
import itertools
import random
from collections.abc import Callable, Iterator

import attrs

from authagent.core import commands as do
from authagent.core import events as on
from authagent.core.agent import Agent
from authagent.core.settings import Settings
from protocol import codec, framing
from protocol.changes import Changes
from protocol.errors import Code
from protocol.messages import Message, Role
from protocol.stamp import Now
from protocol.table import Table

LATENCY_S = 0.0005
COMMIT_S = 0.002
EPOCH_MS = 1_790_000_000_000
DIGEST_KEY = b"k" * 32


@attrs.define(eq=False)
class Wire:
    """One link between two ends; each end is an endpoint and the number it knows the link by."""

    number: int
    ends: tuple["Endpoint", "Endpoint"]
    open: bool = True

    def other(self, end: "Endpoint") -> "Endpoint":
        return self.ends[1] if self.ends[0] is end else self.ends[0]


class Endpoint:
    """Whatever can hold a link: an agent's process or a scripted proxy."""

    name: str

    def delivered(self, wire: Wire, messages: tuple[Message, ...]) -> None:
        raise NotImplementedError

    def disconnected(self, wire: Wire, code: Code | None, text: str, proven_dead: bool) -> None:
        raise NotImplementedError


class World:
    """The clock, the queue of what happens next, and who can reach whom."""

    def __init__(self, seed: int = 1) -> None:
        self.now_s = 0.0
        self.random = random.Random(seed)
        self.lines: list[str] = []
        self.cuts: set[frozenset[str]] = set()  # reset and refused
        self.silences: set[frozenset[str]] = set()  # dropped without a word
        self._queue: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._wires = itertools.count(1)
        self.wires: list[Wire] = []

    def after(self, delay_s: float, act: Callable[[], None]) -> None:
        heapq.heappush(self._queue, (self.now_s + delay_s, next(self._order), act))

    def run(self, seconds: float) -> None:
        """Let everything happen that is due within `seconds`."""
        end_s = self.now_s + seconds
        while self._queue and self._queue[0][0] <= end_s:
            self.now_s, _, act = heapq.heappop(self._queue)
            act()
        self.now_s = end_s

    def say(self, who: str, text: str) -> None:
        self.lines.append(f"{self.now_s:8.3f}  {who:7} {text}")

    # -- links ----------------------------------------------------------------------------------------------------

    def silent(self, a: Endpoint, b: Endpoint) -> bool:
        return frozenset((a.name, b.name)) in self.silences

    def connect(self, a: Endpoint, b: Endpoint) -> Wire:
        wire = Wire(next(self._wires), (a, b))
        self.wires.append(wire)
        return wire

    def transmit(self, wire: Wire, sender: Endpoint, messages: tuple[Message, ...]) -> None:
        receiver = wire.other(sender)

        def arrive() -> None:
            if wire.open and not self.silent(sender, receiver):
                receiver.delivered(wire, messages)

        self.after(LATENCY_S, arrive)

    def disconnect(self, wire: Wire, by: Endpoint | None, code: Code | None = None, text: str = "") -> None:
        """End a link; the other side learns of it unless the way is silent."""
        if not wire.open:
            return
        wire.open = False
        self.wires.remove(wire)
        for end in wire.ends:
            if end is by or self.silent(*wire.ends):
                continue

            def tell(end: Endpoint = end) -> None:
                end.disconnected(wire, code, text, True)

            self.after(LATENCY_S, tell)

    def between(self, a: str, b: str) -> Iterator[Wire]:
        return (wire for wire in list(self.wires) if {end.name for end in wire.ends} == {a, b})


class AgentProcess(Endpoint):
    """One agent with its clocks and its disk. `wall_ahead_ms` is how wrong its wall clock is."""

    def __init__(self, world: World, id: int, partner: int | None, wall_ahead_ms: int = 0) -> None:
        self.world = world
        self.id, self.partner_id = id, partner
        self.name = f"a{id}"
        self.wall_ahead_ms = wall_ahead_ms
        self.partner: AgentProcess | None = None
        self.disk: list[bytes] = []
        self.disk_term = 0
        self.running = False
        self.paused_until_s = 0.0
        self.incarnation = 0
        self.told: list[Changes] = []
        self.answers: list[do.Answer] = []
        self.agent: Agent
        self._unsynced: list[tuple[int, bytes]] = []

    # -- life -----------------------------------------------------------------------------------------------------

    def now(self) -> Now:
        boot_ms = int(self.world.now_s * 1000) + 1_000_000 * self.id
        return Now(self.world.now_s, boot_ms, EPOCH_MS + int(self.world.now_s * 1000) + self.wall_ahead_ms)

    def start(self) -> None:
        settings = Settings(site="lan1", id=self.id, partner=self.partner_id)
        table = Table(digest_key=DIGEST_KEY)
        for payload in self.disk:
            table.merge(codec.decode_changes(payload), self.now().wall_ms)
        self.agent = Agent(settings, table, random.Random(self.world.random.random()), b"sec1")
        self.running = True
        self.incarnation += 1
        self._unsynced = []
        self.step(on.Started(self.disk_term))
        self._arm()

    def kill(self, *, disk: bool = True) -> None:
        """The process is gone without a word; with `disk` false its store too."""
        self.running = False
        self._unsynced = []
        if not disk:
            self.disk, self.disk_term = [], 0
        for wire in [wire for wire in self.world.wires if self in wire.ends]:
            self.world.disconnect(wire, self)

    def pause(self, seconds: float) -> None:
        """As SIGSTOP and SIGCONT: what arrives meanwhile waits."""
        self.paused_until_s = self.world.now_s + seconds

    def step(self, event: on.Event) -> None:
        """Step the machine and perform what it says; later if the process is paused."""
        if not self.running:
            return
        if self.world.now_s < self.paused_until_s:
            self.world.after(self.paused_until_s - self.world.now_s, lambda: self.step(event))
            return
        for command in self.agent.step(event, self.now()):
            self._perform(command)

    def _arm(self) -> None:
        """Wake the machine at its deadline, for as long as this incarnation lives."""
        incarnation = self.incarnation

        def look() -> None:
            if self.incarnation != incarnation or not self.running:
                return
            deadline = self.agent.deadline
            if self.world.now_s >= self.paused_until_s and deadline is not None and deadline <= self.world.now_s:
                self.step(on.DeadlinePassed())
            wait_s = max(0.001, min(0.01, (self.agent.deadline or 0.01) - self.world.now_s))
            self.world.after(max(wait_s, self.paused_until_s - self.world.now_s), look)

        self.world.after(0.001, look)

    # -- commands -------------------------------------------------------------------------------------------------

    def _perform(self, command: do.Command) -> None:
        match command:
            case do.Send(links, message):
                for link in links:
                    self._transmit(link, (message,))
            case do.Relay(links, frames):
                messages = tuple(codec.decode(body) for body in framing.FrameReader(1 << 20).feed(frames))
                for link in links:
                    self._transmit(link, messages)
            case do.Close(link, code, text, elsewhere):
                self._close(link, code, text, elsewhere)
            case do.Persist(position, payload):
                self._unsynced.append((position, payload))
                incarnation = self.incarnation
                self.world.after(COMMIT_S, lambda: self._commit(position, incarnation))
            case do.PersistTerm(term):
                self.disk_term = term
            case do.Dial(timeout_s):
                self._dial(timeout_s)
            case do.Tell(_, changes):
                self.told.append(changes)
            case do.Answer():
                self.answers.append(command)
            case do.Log(event, grade, keys):
                if event not in ("link.opened", "link.lost"):
                    told = " ".join(f"{name}={value}" for name, value in keys.items())
                    self.world.say(self.name, f"{event} {told}".rstrip() + ("" if grade == "info" else f" ({grade})"))
            case do.AnnounceRole():
                pass
            case do.Exit():
                self.world.say(self.name, "exits")
                self.kill()
            case _:
                raise AssertionError(f"unexpected {command!r}")

    def _wire(self, link: int) -> Wire | None:
        return next((wire for wire in self.world.wires if wire.number == link and self in wire.ends), None)

    def _transmit(self, link: int, messages: tuple[Message, ...]) -> None:
        wire = self._wire(link)
        if wire is not None:
            self.world.transmit(wire, self, messages)

    def _close(self, link: int, code: Code, text: str, elsewhere: str) -> None:
        wire = self._wire(link)
        if wire is None:
            return
        other = wire.other(self)
        if not isinstance(other, AgentProcess):
            told = f"{code.name} to {other.name}" + (f" -> a{elsewhere}" if elsewhere else "")
            self.world.say(self.name, f"closes {told}")
        self.world.disconnect(wire, self, code, text)

    def _commit(self, position: int, incarnation: int) -> None:
        if incarnation != self.incarnation or not self.running:
            return
        self.disk += [payload for at, payload in self._unsynced if at <= position]
        self._unsynced = [(at, payload) for at, payload in self._unsynced if at > position]
        self.step(on.Stored(position))

    def _dial(self, timeout_s: float) -> None:
        partner, incarnation = self.partner, self.incarnation
        assert partner is not None, "nobody to dial"

        def answer() -> None:
            if incarnation != self.incarnation or not self.running:
                return
            if self.world.silent(self, partner) or self.world.now_s < partner.paused_until_s:
                self.world.after(timeout_s, lambda: self.step(on.DialFailed(None, "timed out", proven_dead=False)))
            elif not partner.running or frozenset((self.name, partner.name)) in self.world.cuts:
                self.step(on.DialFailed(None, "refused", proven_dead=True))
            else:
                wire = self.world.connect(self, partner)
                partner.opened(wire, self, dialled=False)
                self.opened(wire, partner, dialled=True)

        self.world.after(LATENCY_S, answer)

    def opened(self, wire: Wire, other: Endpoint, *, dialled: bool) -> None:
        agent = isinstance(other, AgentProcess)
        offset_ms = other.wall_ahead_ms - self.wall_ahead_ms if isinstance(other, AgentProcess) else 0
        self.step(
            on.LinkOpened(
                link=wire.number,
                kind="agent" if agent else "proxy",
                site="lan1",
                id=str(other.id) if isinstance(other, AgentProcess) else other.name,
                incarnation=getattr(other, "incarnation", 1) + hash(other.name) % 1000,
                address=other.name,
                software="test",
                configuration_equal=True,
                wall_offset_ms=offset_ms,
                dialled=dialled,
            )
        )

    def delivered(self, wire: Wire, messages: tuple[Message, ...]) -> None:
        self.step(on.MessagesReceived(wire.number, messages))

    def disconnected(self, wire: Wire, code: Code | None, text: str, proven_dead: bool) -> None:
        self.step(on.LinkClosed(wire.number, code, text, proven_dead))

    @property
    def role(self) -> Role:
        return self.agent.election.role


def pair(seed: int = 1, wall_ahead_ms: int = 0) -> tuple[World, AgentProcess, AgentProcess]:
    """Two agents of one site; agent 2's wall clock is ahead by `wall_ahead_ms`."""
    world = World(seed)
    one, two = AgentProcess(world, 1, 2), AgentProcess(world, 2, 1, wall_ahead_ms)
    one.partner, two.partner = two, one
    return world, one, two
