"""authagent's machine in the simulation: its clocks, its disk, its links.

Rules of this file:

- The machine is the shipping one, and commands are performed in the order in which they come, as its shell does.
- What it says is shown to the oracle where a promise hangs on it: acknowledgements, roles, and the first words after
  a pause.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

import attrs

from authagent.core import commands as do
from authagent.core import events as on
from authagent.core.agent import Agent
from authagent.core.settings import Settings
from protocol import codec, framing
from protocol.errors import Code
from protocol.item import Item
from protocol.messages import (
    Acknowledgement,
    Bulk,
    Compare,
    Compared,
    Creation,
    Following,
    Heartbeat,
    Message,
    Nodes,
    Pages,
    Redemption,
    Revocation,
    Role,
    Ruling,
    Stored,
    Verdict,
    Want,
)
from protocol.table import Table
from tests.simulation.clocks import Clock
from tests.simulation.disk import Disk
from tests.simulation.links import End, Wire
from tests.simulation.process import Process

if TYPE_CHECKING:
    from tests.simulation.world import World

DIGEST_KEY = b"k" * 32
SECRET_ID = b"sec1"
TELLING = (Heartbeat, Acknowledgement, Following, Stored, Verdict)
BULKY = (Bulk, Compare, Nodes, Pages, Want, Compared)

FIRST_QUESTION = 1_000
"""Operators' questions have lesser numbers."""

Answer = Callable[[Ruling, tuple[Item, ...], Process], None]


class AgentProcess(Process):
    """One agent of a site."""

    kind = "agent"

    def __init__(self, world: "World", name: str, settings: Settings, clock: Clock, commit_s: float) -> None:
        super().__init__(world, name, settings.site, str(settings.id), clock)
        self.settings = settings
        self.partner: AgentProcess | None = None
        self.disk = Disk(self, commit_s)
        self.disk.stored = lambda position: self.step(on.Stored(position))
        self.disk.slices = self._slices
        self.agent: Agent
        self.leaving = False
        self._asked: dict[int, Answer] = {}  # who waits for the answer to each question about an item
        self._questions = FIRST_QUESTION
        self._decides: Process = self  # whose word an answer is: a slave hands on what its master decides

    # -- life -----------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Load the table from disk and begin."""
        if self.running:
            return
        self.begin()
        self.leaving = False
        self._asked.clear()
        content = self.disk.opened()
        table = Table(digest_key=DIGEST_KEY, max_clock_offset_ms=self.settings.max_clock_offset_ms)
        for payload in content.payloads:
            table.merge(codec.decode_changes(payload), None)
        self.agent = Agent(self.settings, table, self.dice, SECRET_ID)
        self.world.oracle.started(self)
        self.step(on.Started(content.term, content.clock_ms))
        self.settle()

    def kill(self, *, power: bool = False) -> None:
        if self.running:
            super().kill(power=power)
            self.disk.crash(self.dice)
            if power:
                self.disk.content.clock_ms = None  # the boot clock begins anew with the machine
            self.world.oracle.ended(self)

    def stop(self) -> None:
        """As SIGTERM."""
        if self.active:
            self.leaving = True
            self.step(on.StopAsked())
            self.settle()

    def ask(self, question: Creation | Redemption | Revocation, answer: Answer) -> int:
        """As `authagent code`: have the master decide about an item; the number of the question. The caller settles."""
        self._questions += 1
        self._asked[self._questions] = answer
        self.step(on.ItemAsked(attrs.evolve(question, question=self._questions)))
        return self._questions

    def give_up(self, number: int) -> None:
        """Nobody waits for the answer any more."""
        self._asked.pop(number, None)

    def resumed(self, slept_s: float) -> None:
        self.world.oracle.resumed(self, slept_s)

    def step(self, event: on.Event) -> None:
        """Let the machine take an event, and perform what it says. The caller settles."""
        for command in self.agent.step(event, self.now()):
            self._perform(command)

    @property
    def table(self) -> Table:
        return self.agent.table

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
        true_s = self.loop.now_s
        self.step(
            on.LinkOpened(
                link=wire.number,
                kind=other.kind,
                site=other.site,
                id=other.id,
                incarnation=other.incarnation,
                address=other.name,
                software="test",
                configuration_equal=True,
                wall_offset_ms=other.clock.error_ms(true_s) - self.clock.error_ms(true_s),
                dialled=wire.dialler is self,
            )
        )

    def arrived(self, wire: Wire, messages: tuple[Message, ...]) -> None:
        if wire.other(self) is self.partner:
            self.world.oracle.met(self, messages)
        self._decides = self if self.role == Role.MASTER else wire.other(self)
        self.step(on.MessagesReceived(wire.number, messages))
        self._decides = self

    def ended(self, wire: Wire, end: End, by_peer: bool) -> None:
        self.step(on.LinkClosed(wire.number, end.code, end.text, by_peer))

    def dial_failed(self, whom: Process, refused: Code | None, text: str, proven_dead: bool) -> None:
        if whom is self.partner:
            self.step(on.DialFailed(refused, text, proven_dead))
        else:
            self.step(on.NotReached(whom.site, whom.id, refused, text))

    def drained(self, number: int) -> None:
        self.step(on.LinkDrained(number))

    # -- commands -------------------------------------------------------------------------------------------------

    def _perform(self, command: do.Command) -> None:
        network = self.world.network
        match command:
            case do.Send(links, message):
                for link in links:
                    network.transmit(link, self, message)
                    if isinstance(message, BULKY):
                        network.room(link, self)
                if isinstance(message, TELLING):
                    self.world.oracle.said(self, links, message)
            case do.Relay(links, frames):
                for message in [codec.decode(body) for body in framing.FrameReader(1 << 24).feed(frames)]:
                    for link in links:
                        network.transmit(link, self, message)
            case do.Persist(position, payload):
                self.disk.write(position, payload)
            case do.Close(link, code, text, elsewhere):
                network.close(link, self, End(code, text, elsewhere))
            case _:
                self._perform_rarely(command)

    def _perform_rarely(self, command: do.Command) -> None:
        match command:
            case do.PersistTerm(term):
                self.disk.write_term(term)
            case do.PersistClock(offset_ms):
                self.disk.write_clock(offset_ms)
            case do.Dial(timeout_s):
                assert self.partner is not None, "there is nobody to dial"
                self.world.network.dial(self, self.partner, timeout_s)
            case do.Reach(site, agent, timeout_s):
                self.world.network.dial(self, self.world.agent(f"{site}a{agent}"), timeout_s)
            case do.AnnounceRole(role, term):
                self.loop.note(self.number, role, term)
                self.world.oracle.announced(self, role, term)
            case do.Answer():
                self._hand_out(command)
            case do.CarryOut(link, request, body):
                self.later(0.0, self.step, on.AdminDone(link, request, b"done: " + body))
            case do.Exit():
                self._exit()
            case do.Log() | do.Tell():
                pass
            case _:
                raise AssertionError(f"unexpected {command!r}")

    def _hand_out(self, answered: do.Answer) -> None:
        """Give whoever has asked the answer; operators' questions are asked by nobody in particular."""
        answer = self._asked.pop(answered.request, None)
        if answer is not None:
            items = codec.decode_changes(answered.body).items if answered.body else ()
            answer(Ruling(answered.ruling), items, self._decides)

    def _exit(self) -> None:
        self.disk.close()
        super().kill()
        self.world.oracle.ended(self)

    def _slices(self) -> list[bytes]:
        slices = self.agent.table.slices(self.agent.duty.time.shared_ms(self.now()) or 0)
        return [payload for part in slices for payload in codec.encode_payloads(part)]
