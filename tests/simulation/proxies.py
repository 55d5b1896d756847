"""proxyagent's machine in the simulation: a proxy whose users come and go.

Rules of this file: the machine is the shipping one; what a login or logout produced leaves at once, as in the shell
when nothing is under way.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import attrs

from protocol import codec
from protocol.errors import Code
from protocol.messages import Message, Ruling
from protocol.session import LoginId, Record
from protocol.table import Table
from proxyagent.core import commands as do
from proxyagent.core import events as on
from proxyagent.core.cache import NotHonoured
from proxyagent.core.client import Client
from proxyagent.core.outbox import Level
from proxyagent.core.questions import Question
from proxyagent.core.settings import AgentName, Settings
from proxyagent.notices import AgentFound
from proxyagent.session import Ended, Session
from tests.simulation.agents import AgentProcess, Answer
from tests.simulation.clocks import Clock
from tests.simulation.links import End, Wire
from tests.simulation.process import Process

if TYPE_CHECKING:
    from tests.simulation.world import World


class ProxyProcess(Process):
    """One proxy of a site; `agents` are those of Settings.agents, in the same order."""

    kind = "proxy"

    def __init__(
        self, world: "World", name: str, settings: Settings, clock: Clock, agents: Sequence[AgentProcess]
    ) -> None:
        super().__init__(world, name, settings.site, settings.id, clock)
        self.settings = settings
        self.agents = agents
        self.client: Client
        self._asked: dict[int, Answer] = {}  # who waits for the answer to each question
        self._own_heard_s = 0.0  # when an agent of its own site answered last, or its link ended
        self._away = False

    def may_go_to(self, others: Sequence[AgentProcess]) -> None:
        """Agents of other sites stand in for its own: [failover] other_sites. Before the first start."""
        self.agents = [*self.agents, *others]
        names = tuple(AgentName(agent.site, agent.id) for agent in self.agents)
        self.settings = attrs.evolve(self.settings, agents=names)

    @property
    def at_home(self) -> bool:
        """Whether an agent of its own site serves it, and no other link is there."""
        talk = self.client.conversation
        return talk is not None and talk.name.site == self.site and self.client.scout is None

    def start(self) -> None:
        """Begin with an empty copy."""
        if self.running:
            return
        self.begin()
        self._own_heard_s, self._away = self.loop.now_s, False
        self._asked.clear()
        self.client = Client(self.settings, self.dice, self.now())
        self.world.oracle.started(self)
        self.step(on.Started())
        self.settle()

    # -- what users do -------------------------------------------------------------------------------------------

    @property
    def table(self) -> Table:
        return self.client.cache.table

    @property
    def cluster_ms(self) -> int:
        """The time by which this proxy judges records."""
        return self.client.cache.clock.now_ms(self.now())

    def shown_under(self, key: str) -> LoginId | None:
        """Whom the table shows under a key; asking changes nothing."""
        view = self.table.view(key, self.cluster_ms)
        return None if view is None else view.login_id

    def login(self, key: str, user: str) -> Session:
        """Log a user in. The process must be active, here and below."""
        self.client.notice_pause(self.now())
        session = self.client.service.login(key, user, None, None, None, self.now())
        self.changed()
        return session

    def logout(self, key: str | None, user: str | None) -> Ended:
        self.client.notice_pause(self.now())
        ended = self.client.service.logout(key, user, self.now())
        self.changed()
        return ended

    def lookup(self, key: str, *, touch: bool) -> Session | None:
        """Who is shown under a key; with `touch` this is activity. A quiet session needs no thought, as in agent.py."""
        session = self.client.cache.shown.sessions.get(key)
        now_s = self.now().monotonic_s
        if session is not None and now_s < session.quiet_until_s:
            if touch:
                session.seen_s = now_s
            return session
        self.client.notice_pause(self.now())
        session = self.client.cache.lookup(key, self.now(), touch=touch)
        if touch:
            self.step(on.Changed())
        self.settle()
        return session

    def reached(self, what: Session | Ended) -> Level:
        """How far an act has got, as whoever waits for its acknowledgement asks; what was lost is reported anew."""
        level = self.client.service.reached(what)
        if self.client.outbox.has_unsent:
            self.step(on.Changed())
        return level

    def carried(self, session: Session) -> Record | None:
        """A session as its user carries it along, in a cookie."""
        self.client.notice_pause(self.now())
        return self.client.service.carried(session, self.now())

    def honour(self, brought: Record, key: str) -> Session | None:
        """Let a session go on that its user brought along; None where it is refused."""
        self.client.notice_pause(self.now())
        try:
            session = self.client.service.honour(brought, key, self.now())
        except NotHonoured:
            session = None
        self.changed()
        return session

    def changed(self) -> None:
        """What was done in the copy may leave."""
        self.step(on.Changed())
        self.settle()

    def resync(self) -> None:
        """As `proxyagent send-sync-to-agent`."""
        self.step(on.ResyncAsked())
        self.settle()

    # -- items ---------------------------------------------------------------------------------------------------

    def ask(self, question: Question, answer: Answer) -> int:
        """Have the master decide about an item; the number of the question. The caller settles."""
        number = self.client.cache.questions.ask(question)
        self._asked[number] = answer
        self.step(on.Changed())
        return number

    def give_up(self, number: int) -> None:
        """Nobody waits for the answer any more."""
        self._asked.pop(number, None)
        self.client.cache.questions.give_up(number)

    @property
    def alone_s(self) -> float:
        """For how long no agent has served it."""
        return self.now().monotonic_s - self.client.isolated_since[0] if self.client.isolated else 0.0

    def _hand_out(self, by: Process) -> None:
        """Give whoever has asked the answers that have come."""
        for number in list(self._asked):
            verdict = self.client.cache.questions.take(number)
            if verdict is not None:
                items = codec.decode_changes(verdict.payload).items if verdict.payload else ()
                self._asked.pop(number)(Ruling(verdict.ruling), items, by)

    # -- the machine ---------------------------------------------------------------------------------------------

    def step(self, event: on.Event) -> None:
        """Let the machine take an event, and perform what it says. The caller settles."""
        for command in self.client.step(event, self.now()):
            self._perform(command)

    @property
    def wakes_s(self) -> float:
        return self.client.deadline

    def woken(self) -> None:
        self.step(on.DeadlinePassed())

    def linked(self, wire: Wire) -> None:
        listener = wire.listener
        assert isinstance(listener, AgentProcess), "a proxy links to agents only"
        self._heard(listener)
        self.step(on.LinkOpened(wire.number, self.agents.index(listener), listener.name))

    def arrived(self, wire: Wire, messages: tuple[Message, ...]) -> None:
        self.step(on.MessagesReceived(wire.number, messages))
        self.world.oracle.heard(self, wire, messages)
        if self._asked:
            self._hand_out(wire.other(self))

    def ended(self, wire: Wire, end: End, by_peer: bool) -> None:
        talks = (self.client.conversation, self.client.scout)
        if any(talk is not None and talk.link == wire.number for talk in talks):  # not one that was left before
            self._heard(wire.other(self))
        self.step(on.LinkClosed(wire.number, end.code, end.text, end.elsewhere))

    def dial_failed(self, whom: Process, refused: Code | None, text: str, proven_dead: bool) -> None:
        assert isinstance(whom, AgentProcess), "a proxy dials agents only"
        if refused is not None:
            self._heard(whom)
        self.step(on.DialFailed(self.agents.index(whom), refused, text))

    def _heard(self, whom: Process | None) -> None:
        if whom is not None and whom.site == self.site:
            self._own_heard_s = self.loop.now_s

    def drained(self, number: int) -> None:
        self.step(on.LinkDrained(number))

    def _perform(self, command: do.Command) -> None:
        match command:
            case do.Send(link, message):
                self.world.network.transmit(link, self, message)
            case do.Dial(agent, timeout_s):
                self.world.network.dial(self, self.agents[agent], timeout_s)
            case do.Close(link, code, text):
                self._heard(self.world.network.peer(link, self))
                self.world.network.close(link, self, End(code, text))
            case do.AwaitRoom(link):
                self.world.network.room(link, self)
            case do.Notify(AgentFound(site=site)):
                was_away, self._away = self._away, site != self.site
                if self._away and not was_away:  # from one agent elsewhere to the next it may go at once
                    self.world.oracle.went_away(self, self.loop.now_s - self._own_heard_s)
            case do.Notify() | do.Log() | do.WakeWaiters():
                pass
