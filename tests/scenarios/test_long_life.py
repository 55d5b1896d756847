"""Long lives: who serves for weeks holds no more than who has served for an hour.

Lifetimes are a minute or two here, so that an hour sees as many sessions come and go as a month does elsewhere.
"""

import random
from collections import Counter

import attrs
import pytest

from tests.scenarios.agents import AgentProcess, pair
from tests.scenarios.proxies import ProxyProcess
from tests.scenarios.weights import weights
from tests.scenarios.world import World

LIFETIMES_S = (70.0, 100.0, 160.0)
SETTLED_S = 500.0
"""After twice the longest lifetime, and the minute that each page lives longer, everything has come and gone once."""

LOG_BYTES_MAX = 80_000
"""The log is bounded too, but at a size that an hour does not reach."""

STRETCHES = 6
STRETCH_S = 100.0
"""Pages of 256 fill up and go, so weights swing: of some stretches early and late the extremes are compared."""

GROWTH_MAX = 1.1
SLOWER = 5
"""Heartbeats are so much slower: they make most of the steps."""


class Life:
    """A pair and two proxies, whose users come and go, and whose links end now and then."""

    def __init__(self) -> None:
        self.world = World(5)
        self.agents = pair(self.world)
        self.proxies = [ProxyProcess(self.world, name, self.agents) for name in ("p1", "p2")]
        self._dice = random.Random(5)
        self._user = 0
        for process in (*self.agents, *self.proxies):
            process.settings = attrs.evolve(  # type: ignore[type-var, attr-defined]
                process.settings,
                heartbeat_interval_s=0.2 * SLOWER,
                suspect_after_s=1.0 * SLOWER,
            )
            process.start()
        self.world.run(3.0 * SLOWER)

    def go_on(self, seconds: float) -> None:
        """A login a second, and what follows it."""
        end_s = self.world.now_s + seconds
        while self.world.now_s < end_s:
            self._user += 1
            self._log_in(self._dice.choice(self.proxies))
            if self._user % 150 == 0:
                self.world.reset("a1", self._dice.choice(("a2", "p1", "p2")))
            if self._user % 400 == 0:
                self._restart(self._dice.choice(self.agents))
            for agent in self.agents:
                agent.agent.replication.log.bytes_max = LOG_BYTES_MAX
                agent.answers.clear()
                agent.told.clear()
            self.world.run(1.0)

    def _log_in(self, proxy: ProxyProcess) -> None:
        now, dice = proxy.now(), self._dice
        proxy.client.notice_pause(now)
        service = proxy.client.service
        service.login(_key(self._user), f"user{self._user}", None, 60.0, dice.choice(LIFETIMES_S), now)
        for back in (3, 20, 50):  # some stay active, at either proxy
            dice.choice(self.proxies).lookup(_key(self._user - back))
        if self._user % 3 == 0:
            service.logout(_key(self._user - 10), None, now)
        if self._user % 7 == 0:
            service.login(_key(self._user - 5), "another", None, 60.0, 70.0, now)
        proxy.changed()

    def _restart(self, agent: AgentProcess) -> None:
        agent.disk.clear()  # it holds all that was ever stored: nobody compacts it here
        agent.kill()
        self.world.run(3.0 * SLOWER)
        agent.start()
        self.world.run(3.0 * SLOWER)

    def weigh_after(self, seconds: float) -> dict[str, Counter[str]]:
        """What each machine holds when it has gone on for so long, by name."""
        self.go_on(seconds)
        machines = {each.name: each.agent for each in self.agents} | {each.name: each.client for each in self.proxies}  # type: ignore[dict-item]
        return {name: weights(machine) for name, machine in machines.items()}


def _key(number: int) -> str:
    return f"10.0.{number >> 8 & 255}.{number & 255}"


@pytest.mark.slow
def test_nothing_is_held_for_ever() -> None:
    """A thousand sessions later each machine holds no more than it held, and no single thing has grown."""
    life = Life()
    life.go_on(SETTLED_S)
    early = [life.weigh_after(STRETCH_S) for _ in range(STRETCHES)]
    life.go_on(SETTLED_S)
    late = [life.weigh_after(STRETCH_S) for _ in range(STRETCHES)]
    for name in early[0]:
        most, least = max(each[name].total() for each in early), min(each[name].total() for each in late)
        assert least < GROWTH_MAX * most, name
        for path in late[-1][name]:
            once, now = max(each[name][path] for each in early), min(each[name][path] for each in late)
            assert now <= GROWTH_MAX * once + 20, (name, path, once, now)


def test_what_is_held_for_ever_would_be_found() -> None:
    """A list that grows by one at each login shows, wherever it hangs."""

    class Held:
        def __init__(self) -> None:
            self.inner = {"a": [(1, 2)], "b": bytearray(3)}

    thing = Held()
    assert weights(thing) == Counter({".inner": 7 + 1})
    thing.inner["a"].append((3, 4))  # type: ignore[union-attr, arg-type]
    assert weights(thing).total() == 8 + 3
