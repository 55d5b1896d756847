"""authagent's machine in the world: its clocks, its disk, its links.

Rules of this file:

- The machine is the shipping one. A commit takes COMMIT_S and takes everything along that waits then.
- A process that is killed keeps its disk, unless the disk is lost too.
- What the machine commands is checked where an order is promised: a term is written before anybody hears of it.
"""

import random
from collections.abc import Callable

import attrs

from authagent.core import commands as do
from authagent.core import events as on
from authagent.core.agent import Agent
from authagent.core.settings import Settings
from protocol import codec, framing
from protocol.changes import Changes
from protocol.errors import Code
from protocol.messages import (
    Bulk,
    Compare,
    Compared,
    Creation,
    Message,
    Nodes,
    Pages,
    Redemption,
    Role,
    Ruling,
    Want,
)
from protocol.stamp import Now
from protocol.table import Table
from tests.scenarios.telling import ITEM_REQUESTS, Teller
from tests.scenarios.world import EPOCH_MS, End, Process, Wire, World

COMMIT_S = 0.002
FOR_PARTNER = 1000
"""Added to the number of a request that is carried out for the partner."""

SITE = "lan1"
DIGEST_KEY = b"k" * 32
SECRET_ID = b"sec1"


class AgentProcess(Process):
    """One agent. `wall_ahead_ms` is how wrong its wall clock is."""

    def __init__(self, world: World, id: int, partner: int | None, *, name: str = "", wall_ahead_ms: int = 0) -> None:
        super().__init__(world, name or f"a{id}")
        self.id, self.partner_id = id, partner
        self.wall_ahead_ms = wall_ahead_ms
        self.partner: Process | None = None
        self.disk: list[bytes] = []
        self.disk_term = 0
        self.disk_clock: int | None = None
        self.disk_lost_count = 0
        self.store_works = True
        self.settings = Settings(site=SITE, id=id, partner=partner)
        self.requests = ITEM_REQUESTS  # a transcript counts its own from 1
        self.terms: list[int] = []  # of the masterships it announced, since its disk is what it is
        self.answers: list[do.Answer] = []
        self.told: list[Changes] = []
        self.on_role: Callable[[AgentProcess, Role, int], None] = lambda agent, role, term: None
        self.teller = Teller(world)
        self.agent: Agent
        self._unsynced: list[tuple[int, bytes]] = []
        self._committing = False
        self._asked_by: dict[int, int] = {}

    # -- life -----------------------------------------------------------------------------------------------------

    def now(self) -> Now:
        milliseconds = int(self.world.now_s * 1000)
        return Now(self.world.now_s, milliseconds + 1_000_000 * self.id, EPOCH_MS + milliseconds + self.wall_ahead_ms)

    def start(self) -> None:
        """Load the table from disk and begin."""
        self.begin()
        table = Table(digest_key=DIGEST_KEY)
        for payload in self.disk:
            table.merge(codec.decode_changes(payload), None)
        self.agent = Agent(self.settings, table, random.Random(self.world.random.random()), SECRET_ID)
        self._unsynced, self._committing = [], False
        self.step(on.Started(self.disk_term, self.disk_clock))

    def lose_power(self) -> None:
        """As kill, and its machine starts anew too: what was kept of its boot clock means nothing any more."""
        self.kill()
        self.disk_clock = None

    def stop(self) -> None:
        """As SIGTERM."""
        self.step(on.StopAsked())

    def ask_switch(self, request: int) -> None:
        """As `authagent switch` at this agent."""
        slave = self.role == Role.SLAVE
        self.step(on.AdminAsked(request, b"switch") if slave else on.SwitchAsked(request))

    @property
    def table(self) -> Table:
        return self.agent.table

    @property
    def root(self) -> bytes:
        return self.table.root(self.now().wall_ms // 60_000)

    def ask(self, question: Creation | Redemption) -> int:
        """As the control socket: have an item made or redeemed; the number by which `ruling` knows it."""
        self.requests += 1
        self.step(on.ItemAsked(attrs.evolve(question, question=self.requests)))
        return self.requests

    def ruling(self, number: int) -> Ruling | None:
        """What was decided, once it is."""
        found = next((each for each in self.answers if each.request == number and each.ruling), None)
        return None if found is None else Ruling(found.ruling)

    def lose_disk(self) -> None:
        self.disk, self.disk_term, self.disk_clock, self.terms = [], 0, None, []
        self.disk_lost_count += 1

    def step(self, event: on.Event) -> None:
        """Let the machine take an event, and perform what it says."""

        def act() -> None:
            for command in self.agent.step(event, self.now()):
                self._perform(command)

        self.do(act)

    @property
    def role(self) -> Role:
        return self.agent.election.role

    @property
    def wakes_s(self) -> float:
        deadline = self.agent.deadline
        return float("inf") if deadline is None else deadline

    def woken(self) -> None:
        self.step(on.DeadlinePassed())

    # -- links ----------------------------------------------------------------------------------------------------

    def linked(self, wire: Wire) -> None:
        other = wire.other(self)
        agent = isinstance(other, AgentProcess)
        self.step(
            on.LinkOpened(
                link=wire.number,
                kind="agent" if agent else "proxy",
                site=SITE,
                id=str(getattr(other, "id")),  # noqa: B009 - whoever links has one
                incarnation=incarnation(other),
                address=other.name,
                software="test",
                configuration_equal=True,
                wall_offset_ms=other.wall_ahead_ms - self.wall_ahead_ms if isinstance(other, AgentProcess) else 0,
                dialled=wire.dialler is self,
            )
        )

    def arrived(self, wire: Wire, messages: tuple[Message, ...]) -> None:
        self.step(on.MessagesReceived(wire.number, messages))

    def ended(self, wire: Wire, end: End, by_peer: bool) -> None:
        self.step(on.LinkClosed(wire.number, end.code, end.text, by_peer))

    def _dial_failed(self, refused: Code | None, text: str, proven_dead: bool) -> None:
        self.step(on.DialFailed(refused, text, proven_dead))

    # -- commands -------------------------------------------------------------------------------------------------

    def _perform(self, command: do.Command) -> None:
        self.teller.command(self, command)
        match command:
            case do.Send(links, message):
                for link in links:
                    self.world.transmit(link, self, (message,))
                    if isinstance(message, (Bulk, Compare, Nodes, Pages, Want, Compared)):
                        self._await_room(link)
            case do.Relay(links, frames):
                messages = tuple(codec.decode(body) for body in framing.FrameReader(1 << 24).feed(frames))
                for link in links:
                    self.world.transmit(link, self, messages)
            case do.Persist(position, payload):
                self._unsynced.append((position, payload))
                self._commit_soon()
            case do.Close(link, code, text, elsewhere):
                self.world.close_link(link, self, End(code, text, elsewhere))
            case _:
                self._perform_rarely(command)

    def _perform_rarely(self, command: do.Command) -> None:
        match command:
            case do.PersistTerm(term):
                self.disk_term = term
            case do.PersistClock(offset_ms):
                self.disk_clock = offset_ms
            case do.Dial(timeout_s):
                assert self.partner is not None, "there is nobody to dial"
                self.world.dial(self, self.partner, timeout_s, self._dial_failed)
            case do.AnnounceRole(role, term):
                assert self.disk_term >= term or role != Role.MASTER, "a term is written before anybody hears of it"
                self.on_role(self, role, term)
            case do.Tell(_, changes):
                self.told.append(changes)
            case do.Answer(request, _, _, _, error):
                self.answers.append(command)
                link = self._asked_by.pop(request, None)
                if link is not None:
                    answer = (error or "switched").encode()
                    self.later(0.0, lambda: self.step(on.AdminDone(link, request - FOR_PARTNER, answer)))
            case do.CarryOut(link, request, b"switch"):
                self._asked_by[request + FOR_PARTNER] = link
                self.later(0.0, lambda: self.step(on.SwitchAsked(request + FOR_PARTNER)))
            case do.CarryOut(link, request, body):
                self.later(0.0, lambda: self.step(on.AdminDone(link, request, b"done: " + body)))
            case do.Exit():
                self.kill()
            case do.Log():
                pass
            case _:
                raise AssertionError(f"unexpected {command!r}")

    def _await_room(self, link: int) -> None:
        self.world.room(link, self, lambda: self.step(on.LinkDrained(link)))

    def _commit_soon(self) -> None:
        if not self._committing and self.store_works:
            self._committing = True
            self.later(COMMIT_S, self._commit)

    def _commit(self) -> None:
        self._committing = False
        if not self.store_works or not self._unsynced:
            return
        position = self._unsynced[-1][0]
        self.disk += [payload for _, payload in self._unsynced]
        self._unsynced.clear()
        self.step(on.Stored(position))

    def mend_store(self) -> None:
        """The store works again, and writes what waited."""
        self.store_works = True
        if self._unsynced:
            self._commit_soon()


def incarnation(process: Process) -> int:
    """What tells one run of a process from another."""
    return sum(map(ord, process.name)) * 1000 + process.generation


def pair(world: World, *, wall_ahead_ms: int = 0) -> tuple[AgentProcess, AgentProcess]:
    """Two agents of one site; agent 2's wall clock is ahead by `wall_ahead_ms`."""
    one, two = AgentProcess(world, 1, 2), AgentProcess(world, 2, 1, wall_ahead_ms=wall_ahead_ms)
    one.partner, two.partner = two, one
    return one, two
