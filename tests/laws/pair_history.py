"""Random histories of a pair of agents with three proxies, all of them the shipping machines (tests/scenarios).

Rules of this file: one seed, one history. Faults: links cut, silenced, reset on one or both sides, also while agents
sort out who serves; processes killed with and without their disk or host, paused, stopped in order; stores that break;
clocks that are wrong; ways that are long. At the end all is healed, and pair_judge.py judges.
"""

import random
from collections.abc import Callable

from tests.laws.pair_judge import Broken, Judge
from tests.scenarios.agents import pair
from tests.scenarios.proxies import ProxyProcess
from tests.scenarios.world import Process, World

__all__ = ["Broken", "PairHistory", "play"]

PROXIES = 3
KEYS = [f"10.0.0.{number}" for number in range(1, 7)]
USERS = ["alice", "bob", "carol", "dave"]
CLOCK_ERRORS_MS = (0, 0, 250, 1_900)
PROXY_CLOCK_ERRORS_MS = (0, 250, 2_000, 3_600_000)

LATENCIES_S = (0.0005, 0.004, 0.03)
"""Within a rack, a campus, and far too far for one site: the slower, the more crosses on the way."""

BETWEEN_S = (0.0, 0.001, 0.004, 0.03, 0.25, 1.3)
"""What passes between two moves."""


class PairHistory:
    """One history. `play`, or the moves by hand and then `finish`; both raise Broken."""

    def __init__(self, seed: int, *, random_clocks: bool = True) -> None:
        self.chance = random.Random(seed)
        self.world = World(seed)
        choose = self.chance.choice if random_clocks else min
        self.world.latency_s = choose(LATENCIES_S)
        self.agents = pair(self.world, wall_ahead_ms=choose(CLOCK_ERRORS_MS))
        self.proxies = [
            ProxyProcess(self.world, f"p{number}", self.agents, wall_ahead_ms=choose(PROXY_CLOCK_ERRORS_MS))
            for number in range(1, PROXIES + 1)
        ]
        self.judge = Judge(self.world, self.agents, self.proxies, f"seed {seed}")

    def play(self, steps: int) -> None:
        """Everything that happens, and the judgement."""
        for process in self.chance.sample(self._everybody(), 2 + PROXIES):
            process.start()
            self.world.run(self.chance.choice((0.0, 0.0, 0.3, 3.0)))
        self.world.run(1.0)
        acts: list[Callable[[], None]] = [self._login] * 8 + [self._logout_key] * 2 + [self._logout_user]
        faults = [self._cut, self._silence, self._drop, self._split, self._storm, self._heal, self._heal,
                  self._kill_agent, self._kill_agent, self._kill_proxy, self._revive, self._revive, self._disaster,
                  self._pause, self._stop, self._switch, self._break_store]  # fmt: skip
        for _ in range(steps):
            self.chance.choice(acts if self.chance.random() < 0.6 else faults)()
            self.world.run(self.chance.choice(BETWEEN_S))
        self.finish()

    def finish(self) -> None:
        """Heal everything, start everybody, and judge."""
        self.judge.tell("-- all is healed")
        self.world.heal()
        self.world.run_until(self._awake, 6.0)
        for process in self._everybody():
            if not process.running:
                process.start()
        for agent in self.agents:
            agent.mend_store()
        self.judge.judge()

    def _awake(self) -> bool:
        """Nobody is paused, and whoever was told to stop has stopped."""
        if any(process.paused_until_s > self.world.now_s for process in self._everybody()):
            return False
        handovers = [agent.agent.duty.handover for agent in self.agents if agent.running]
        return not any(handover.holds_back for handover in handovers)

    def _everybody(self) -> list[Process]:
        return [*self.agents, *self.proxies]

    # -- users ---------------------------------------------------------------------------------------------------

    def _some_proxy(self) -> ProxyProcess | None:
        running = [proxy for proxy in self.proxies if proxy.running and proxy.paused_until_s <= self.world.now_s]
        return self.chance.choice(running) if running else None

    def _login(self) -> None:
        proxy, key, user = self._some_proxy(), self.chance.choice(KEYS), self.chance.choice(USERS)
        if proxy is not None:
            self.judge.login(proxy, key, user)

    def _logout_key(self) -> None:
        proxy, key = self._some_proxy(), self.chance.choice(KEYS)
        if proxy is not None:
            self.judge.logout(proxy, key, None)

    def _logout_user(self) -> None:
        proxy, user = self._some_proxy(), self.chance.choice(USERS)
        if proxy is not None:
            self.judge.logout(proxy, None, user)

    # -- the network ---------------------------------------------------------------------------------------------

    def _two(self) -> tuple[str, str]:
        """An agent, and as often as not its partner, else a proxy."""
        agent, partner = self.chance.sample(self.agents, 2)
        other = partner if self.chance.random() < 0.5 else self.chance.choice(self.proxies)
        return agent.name, other.name

    def _cut(self) -> None:
        a, b = self._two()
        self.judge.tell(f"cut {a} {b}")
        self.world.cut(a, b)

    def _silence(self) -> None:
        a, b = self._two()
        self.judge.tell(f"silence {a} {b}")
        self.world.silence(a, b)

    def _drop(self) -> None:
        a, b = self.chance.sample(self._two(), 2)
        self.judge.tell(f"drop {a} {b}")
        self.world.drop(a, b)

    def _split(self) -> None:
        """The agents lose each other for long enough that both may serve."""
        how = self.chance.choice((self.world.cut, self.world.silence))
        self.judge.tell(f"split by {how.__name__}")
        how("a1", "a2")
        self.world.run(self.chance.choice((1.0, 2.5)))

    def _storm(self) -> None:
        """The way between the agents heals, and fails again and again while they still sort things out."""
        self._heal()
        for _ in range(self.chance.randrange(1, 5)):
            self.world.run(self.chance.choice((0.1, 0.3)) + self.chance.random() * 0.3)
            while not any(self.world.links_between("a1", "a2")) and self.chance.random() < 0.95:
                self.world.run(0.001)  # strike while they compare
            self.world.run(self.chance.random() * 0.006)
            a, b = self.chance.sample(("a1", "a2"), 2)
            how = self.chance.choice((self.world.drop, self.world.drop, self.world.reset))
            self.judge.tell(f"storm: {how.__name__} {a} {b}")
            how(a, b)

    def _heal(self) -> None:
        self.judge.tell("heal")
        self.world.heal()

    # -- processes -----------------------------------------------------------------------------------------------

    def _kill_agent(self) -> None:
        agent = self.chance.choice(self.agents)
        power, disk = self.chance.random() < 0.3, self.chance.random() < 0.3
        self.judge.tell(f"kill {agent.name}{' power' * power}{' disk' * disk}")
        if agent.running:
            agent.kill(power=power)
        if disk:
            agent.lose_disk()

    def _kill_proxy(self) -> None:
        proxy = self.chance.choice(self.proxies)
        if proxy.running:
            self.judge.tell(f"kill {proxy.name}")
            proxy.kill(power=self.chance.random() < 0.3)
            self.judge.died(proxy)

    def _disaster(self) -> None:
        """Somebody logs in, and a moment later the power fails for all agents and most proxies; disks survive."""
        self._login()
        self.world.run(self.chance.random() * 0.008)
        self.judge.tell("the power fails")
        for process in self._everybody():
            if process.running and self.chance.random() < 0.9:
                process.kill(power=True)
        for proxy in self.proxies:
            if not proxy.running:
                self.judge.died(proxy)

    def _revive(self) -> None:
        for process in self._everybody():
            if not process.running and self.chance.random() < 0.7:
                self.judge.tell(f"start {process.name}")
                process.start()

    def _pause(self) -> None:
        process = self.chance.choice([*self.agents, *self._everybody()])
        seconds = self.chance.choice((0.2, 0.8, 1.5, 4.0))
        self.judge.tell(f"pause {process.name} {seconds}")
        process.pause(seconds)

    def _stop(self) -> None:
        agent = self.chance.choice(self.agents)
        if agent.running:
            self.judge.tell(f"stop {agent.name}")
            agent.stop()

    def _switch(self) -> None:
        """A planned hand-over; as often as not something else happens in the middle of it."""
        agent = self.chance.choice(self.agents)
        if agent.running:
            self.judge.tell(f"switch at {agent.name}")
            agent.ask_switch(self.chance.getrandbits(16))
            self.world.run(self.chance.random() * 6 * self.world.latency_s)

    def _break_store(self) -> None:
        agent = self.chance.choice(self.agents)
        self.judge.tell(f"store {agent.name} breaks")
        agent.store_works = False
        agent.later(self.chance.choice((0.5, 2.0)), agent.mend_store)


def play(seed: int, steps: int = 40) -> PairHistory:
    """One history from its seed."""
    history = PairHistory(seed)
    history.play(steps)
    return history
