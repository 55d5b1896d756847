"""Contests: many clients at many nodes redeem the same items at once, while agents are killed and links are cut.

Rules of this file:

- The machines are the shipping ones, in the world of numbers; a history follows from its seed alone.
- A contestant is as stubborn as a person: it asks again while it is told "not now", until it has a yes or a no, or
  gives up. What it was told counts, not what the tables say.
- Each item is one round. What must hold is asserted for each: never two who were granted it; and where nothing was
  cut, silenced or paused, exactly one.
"""

import random
from collections.abc import Callable

import attrs

from protocol.changes import Changes
from protocol.codec import encode_changes
from protocol.item import SINGLE_USE, STRICT, Item
from protocol.messages import Creation, Redemption, Role, Ruling
from tests.scenarios.agents import AgentProcess, pair
from tests.scenarios.proxies import ProxyProcess
from tests.scenarios.world import World

KIND = "contest"
PATIENCE_S = 14.0
"""How long a contestant goes on asking: longer than any fault, and one heal, lasts."""

FOUGHT_S = 3.0
"""Within this time every round begins and every fault happens."""

CONTESTANTS = 4

CUTTING = ("cut", "silence", "divide", "pause", "proxy")
KILLING = ("kill master", "kill slave", "power off", "stop")


@attrs.define(eq=False)
class Contestant:
    """One client of one item at one node: a proxy, or an agent's control socket."""

    world: World
    node: ProxyProcess | AgentProcess
    item: str
    request: bytes
    until_s: float
    answers: list[Ruling] = attrs.field(factory=list)
    over: bool = False
    _number: int = 0
    _asked_s: float = 0.0

    @property
    def won(self) -> bool:
        return Ruling.GRANTED in self.answers

    def ask(self) -> None:
        self._asked_s = self.world.now_s
        question = Redemption(0, KIND, self.item, "alice", self.request, "", (), ())
        if isinstance(self.node, ProxyProcess) or self.node.running:
            self._number = self.node.ask(question)
        self.world.after(0.05, self._look)

    def _look(self) -> None:
        if self.over:
            return
        ruling = self.node.ruling(self._number)
        if ruling is None:
            forgotten = self.world.now_s - self._asked_s > 4.0 and isinstance(self.node, AgentProcess)
            self._again() if forgotten else self._wait()
            return
        self.answers.append(ruling)
        if ruling == Ruling.UNAVAILABLE:
            self._again()
        else:
            self.over = True

    def _wait(self) -> None:
        if self.world.now_s >= self.until_s:
            self.over = True
        else:
            self.world.after(0.05, self._look)

    def _again(self) -> None:
        if self.world.now_s >= self.until_s:
            self.over = True
        else:
            self.world.after(0.2, self.ask)


class History:
    """One site, its faults, and the rounds that are fought meanwhile."""

    def __init__(self, seed: int, *, rounds: int, strict: bool = True, faults: tuple[str, ...] = ()) -> None:
        self.random = random.Random(seed)
        self.world = World(seed)
        self.one, self.two = pair(self.world)
        self.proxies = [ProxyProcess(self.world, f"p{number}", (self.one, self.two)) for number in (1, 2, 3)]
        self.processes = [self.one, self.two, *self.proxies]
        self.faults = faults
        self.strict = strict
        self.items = [f"item{number}" for number in range(rounds)]
        self.contestants: list[Contestant] = []

    def play(self) -> None:
        """The whole history; raises AssertionError with the seed's item when a promise is broken."""
        for process in self.processes:
            process.start()
        self.world.run_until(lambda: self._settled(), 10.0)
        self._make_items()
        for item in self.items:
            begins_s = self.random.uniform(0.0, FOUGHT_S)
            for number in range(CONTESTANTS):
                self._enter(item, number, begins_s + self.random.choice((0.0, 0.001, 0.01, 0.5)) * self.random.random())
        for fault in self.faults:
            self.world.after(self.random.uniform(0.0, FOUGHT_S), self._fault(fault))
        self.world.run(FOUGHT_S + self.random.random())
        self._mend()
        self.world.run_until(lambda: all(each.over for each in self.contestants), PATIENCE_S + 5.0)
        self.world.run_until(lambda: self._settled(), 15.0)
        self._judge()

    # -- playing --------------------------------------------------------------------------------------------------

    def _settled(self) -> bool:
        roots = {process.root for process in self.processes}
        return len(roots) == 1 and {self.one.role, self.two.role} == {Role.MASTER, Role.SLAVE}

    def _make_items(self) -> None:
        flags = SINGLE_USE | (STRICT if self.strict else 0)
        for item in self.items:
            now_ms = self.proxies[0].now().wall_ms
            made = Item(KIND, item, "alice", "lan1", now_ms, now_ms + 600_000, flags)
            self.random.choice(self.proxies).ask(Creation(0, encode_changes(Changes(items=(made,)))))
        self.world.run_until(lambda: self._settled() and len(self.one.agent.table.items) == len(self.items), 5.0)

    def _enter(self, item: str, number: int, delay_s: float) -> None:
        node = self.random.choice(self.processes)
        request = f"{item} by {number}".encode()
        contestant = Contestant(self.world, node, item, request, self.world.now_s + PATIENCE_S)
        self.contestants.append(contestant)
        self.world.after(delay_s, contestant.ask)

    def _fault(self, name: str) -> Callable[[], None]:
        return getattr(self, "_fault_" + name.replace(" ", "_"))  # type: ignore[no-any-return]

    def _of_role(self, role: Role) -> AgentProcess | None:
        return next((each for each in (self.one, self.two) if each.running and each.role == role), None)

    def _kill(self, agent: AgentProcess | None, *, power: bool = False) -> None:
        if agent is not None and self.one.running and self.two.running:
            agent.kill(power=power)
            self.world.after(self.random.uniform(0.3, 2.5), lambda: None if agent.running else agent.start())

    def _fault_kill_master(self) -> None:
        self._kill(self._of_role(Role.MASTER))

    def _fault_kill_slave(self) -> None:
        self._kill(self._of_role(Role.SLAVE))

    def _fault_power_off(self) -> None:
        self._kill(self._of_role(Role.MASTER), power=True)

    def _fault_stop(self) -> None:
        master = self._of_role(Role.MASTER)
        if master is not None and self.one.running and self.two.running:
            master.stop()
            self.world.after(self.random.uniform(1.5, 2.5), lambda: None if master.running else master.start())

    def _fault_cut(self) -> None:
        self.world.cut("a1", "a2")

    def _fault_silence(self) -> None:
        self.world.silence("a1", "a2")

    def _fault_divide(self) -> None:
        """The agents apart, and each proxy with one of them only."""
        sever = self.random.choice((self.world.cut, self.world.silence))
        sever("a1", "a2")
        for proxy in self.proxies:
            sever(proxy.name, self.random.choice(("a1", "a2")))

    def _fault_pause(self) -> None:
        agent = self.random.choice((self.one, self.two))
        if agent.running:
            agent.pause(self.random.uniform(0.5, 2.0))

    def _fault_proxy(self) -> None:
        proxy, agent = self.random.choice(self.proxies), self.random.choice((self.one, self.two))
        self.random.choice((self.world.cut, self.world.silence))(proxy.name, agent.name)

    def _mend(self) -> None:
        self.world.heal()
        for agent in (self.one, self.two):
            if not agent.running:
                agent.start()

    # -- judging --------------------------------------------------------------------------------------------------

    def _judge(self) -> None:
        whole = not set(self.faults) & set(CUTTING)
        for item in self.items:
            won = [each for each in self.contestants if each.item == item and each.won]
            told = [(each.node.name, each.request, each.answers) for each in self.contestants if each.item == item]
            assert len(won) <= 1 or not self.strict, f"{item} was granted twice: {told}"
            assert len(won) == 1 or not whole, f"{item} was granted {len(won)} times, and nothing was cut: {told}"
            if won and self.strict:
                consumed = {process.table.items.get(KIND, item).consumed.request for process in self.processes}
                assert consumed == {won[0].request}, f"{item} is not everywhere whose it is: {told}"
