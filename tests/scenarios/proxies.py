"""proxyagent's machine in the world: a proxy whose users log in and out.

Rules of this file: the machine is the shipping one; what a login or logout produced leaves at once, as in the shell
when nothing is under way.
"""

import random
from collections.abc import Sequence

from protocol.errors import Code
from protocol.messages import Message, Ruling
from protocol.session import LoginId, State
from protocol.stamp import Now
from protocol.table import Table
from proxyagent.core import commands as do
from proxyagent.core import events as on
from proxyagent.core.client import Client
from proxyagent.core.outbox import Level
from proxyagent.core.questions import Question
from proxyagent.core.settings import AgentName, Settings
from proxyagent.session import Ended, Session
from tests.scenarios.agents import DIGEST_KEY, SECRET_ID, SITE
from tests.scenarios.telling import Teller
from tests.scenarios.world import EPOCH_MS, End, Process, Wire, World


class ProxyProcess(Process):
    """One proxy. `wall_ahead_ms` is how wrong its wall clock is; nobody minds."""

    def __init__(
        self, world: World, name: str, agents: Sequence[Process], *, id: str = "", wall_ahead_ms: int = 0
    ) -> None:
        super().__init__(world, name)
        self.id = id or name
        self.wall_ahead_ms = wall_ahead_ms
        self.agents = agents
        self.teller = Teller(world)
        self.settings = Settings(
            site=SITE,
            id=self.id,
            agents=tuple(AgentName(SITE, agent.name[1:]) for agent in agents),
            digest_key=DIGEST_KEY,
            digest_key_id=SECRET_ID,
            max_lifetime_ms=3_600_000,
        )
        self.client: Client

    def now(self) -> Now:
        milliseconds = int(self.world.now_s * 1000)
        boot_ms = milliseconds + 77_000 * len(self.name)
        return Now(self.world.now_s, boot_ms, EPOCH_MS + milliseconds + self.wall_ahead_ms)

    def start(self) -> None:
        """Begin with an empty copy."""
        self.begin()
        self.client = Client(self.settings, random.Random(self.world.random.random()), self.now())
        self.step(on.Started())

    # -- what users do -------------------------------------------------------------------------------------------

    @property
    def table(self) -> Table:
        return self.client.cache.table

    def login(self, key: str, user: str) -> Session:
        session = self.log_in(key, user)
        self.step(on.Changed())
        return session

    def log_in(self, key: str, user: str) -> Session:
        """A login whose report waits for `changed`."""
        self.client.notice_pause(self.now())
        return self.client.service.login(key, user, None, None, None, self.now())

    def changed(self) -> None:
        """What was done leaves."""
        self.step(on.Changed())

    def logout(self, key: str | None = None, user: str | None = None) -> Ended:
        self.client.notice_pause(self.now())
        ended = self.client.service.logout(key, user, self.now())
        self.step(on.Changed())
        return ended

    def lookup(self, key: str) -> Session | None:
        return self.client.cache.lookup(key, self.now(), touch=True)

    def ask(self, question: Question) -> int:
        """Have the master decide; the number by which `ruling` knows it."""
        number = self.client.cache.questions.ask(question)
        self.step(on.Changed())
        return number

    def ruling(self, number: int) -> Ruling | None:
        """What was decided, once it is; taken once."""
        verdict = self.client.cache.questions.take(number)
        return None if verdict is None else Ruling(verdict.ruling)

    @property
    def root(self) -> bytes:
        return self.table.root(self.now().wall_ms // 60_000)

    def reached(self, what: Session | Ended) -> Level:
        return self.client.service.reached(what)

    def alive_under(self, key: str | None, user: str | None = None) -> set[LoginId]:
        """The logins held here that have not ended, of a key or a user."""
        held = self.table.held(key) if key is not None else self.table.held_of(user or "")
        return {record.login_id for record in held if record.state == State.ALIVE}

    # -- the machine ---------------------------------------------------------------------------------------------

    def step(self, event: on.Event) -> None:
        def act() -> None:
            for command in self.client.step(event, self.now()):
                self._perform(command)

        self.do(act)

    @property
    def wakes_s(self) -> float:
        return self.client.deadline

    def woken(self) -> None:
        self.step(on.DeadlinePassed())

    def linked(self, wire: Wire) -> None:
        listener = wire.listener
        self.step(on.LinkOpened(wire.number, self.agents.index(listener), listener.name))

    def arrived(self, wire: Wire, messages: tuple[Message, ...]) -> None:
        self.step(on.MessagesReceived(wire.number, messages))

    def ended(self, wire: Wire, end: End, by_peer: bool) -> None:
        self.step(on.LinkClosed(wire.number, end.code, end.text, end.elsewhere))

    def _perform(self, command: do.Command) -> None:
        self.teller.command(self, command)
        match command:
            case do.Send(link, message):
                self.world.transmit(link, self, (message,))
            case do.Dial(agent, timeout_s):

                def failed(refused: Code | None, text: str, proven_dead: bool) -> None:
                    self.step(on.DialFailed(agent, refused, text))

                self.world.dial(self, self.agents[agent], timeout_s, failed)
            case do.Close(link, code, text):
                self.world.close_link(link, self, End(code, text))
            case do.AwaitRoom(link):
                self.world.room(link, self, lambda: self.step(on.LinkDrained(link)))
            case do.Notify() | do.Log() | do.WakeWaiters():
                pass
