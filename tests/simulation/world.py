"""A run's world: its sites, and how each step of a schedule happens to it.

Rules of this file:

- A step names whom it strikes; what cannot be done (a login at a proxy that is down) is not done.
- STEPS is the whole list of what can happen. What a schedule says beyond it is a mistake of ours.
"""

import random
from collections import Counter
from collections.abc import Callable
from typing import Any

from authagent.core import events as on
from authagent.core.settings import RemoteSite
from authagent.core.settings import Settings as AgentSettings
from protocol.filter import between
from protocol.sections import RemoteEntry
from proxyagent.core.settings import AgentName
from proxyagent.core.settings import Settings as ProxySettings
from tests.simulation.agents import DIGEST_KEY, SECRET_ID, AgentProcess
from tests.simulation.clocks import Clock
from tests.simulation.faults import Step
from tests.simulation.item_users import ItemUsers
from tests.simulation.loop import Loop
from tests.simulation.network import Network
from tests.simulation.options import Options
from tests.simulation.oracle import Oracle, Site
from tests.simulation.process import Process
from tests.simulation.proxies import ProxyProcess
from tests.simulation.speech import Speech

OUTBOX_EVENTS_MAX = (100_000, 100_000, 100_000, 12)
"""The last is soon full: then comparisons must carry what was in it."""


AWAY_AFTER_BEATS = 25
RETURN_AFTER_BEATS = 50
"""The defaults of [failover], at the usual heartbeat."""


class World:
    """Everybody, and the network between them."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.seed = str(options.seed)
        self.loop = Loop()
        self.oracle = Oracle(options)
        self.counted: Counter[str] = Counter()
        self.processes: dict[str, Process] = {}
        speech = Speech(f"{self.seed}/speech", options.as_bytes, dict(options.dialects))
        self.speech = speech
        delays_s = options.delay_s, options.wan_delay_s
        self.network = Network(self.loop, self.seed, delays_s, options.jitter_s, speech)
        self._dice = random.Random(f"{self.seed}/world")
        proxies: list[ProxyProcess] = []
        for agent_names, proxy_names in options.names:
            agents = self._pair(agent_names)
            proxies += [self._proxy(agents[0].site, each, agents) for each in proxy_names]
        everywhere = [each for each in self.processes.values() if isinstance(each, AgentProcess)]
        for proxy in proxies if options.stand_in else ():
            proxy.may_go_to([agent for agent in everywhere if agent.site != proxy.site])
        self.oracle.watch(Site(everywhere, proxies))
        self.items = ItemUsers(self, self.oracle)

    def _pair(self, names: list[str]) -> list[AgentProcess]:
        agents = [self._agent(names[0][:2], each, n, len(names)) for n, each in enumerate(names, 1)]
        if len(agents) == 2:
            agents[0].partner, agents[1].partner = agents[1], agents[0]
        return agents

    def _agent(self, site: str, name: str, id: int, agents: int) -> AgentProcess:
        options = self.options
        settings = AgentSettings(
            site=site,
            id=id,
            partner=None if agents == 1 else 3 - id,
            heartbeat_interval_s=options.heartbeat_s,
            suspect_after_s=5 * options.heartbeat_s,
            remotes=self._remotes(site),
            wan_heartbeat_interval_s=5 * options.heartbeat_s,
            wan_suspect_after_s=25 * options.heartbeat_s,
            wan_unequal_after_s=25 * options.heartbeat_s,
        )
        return AgentProcess(self, name, settings, self._clock(options.clock_bound_ms // 2), options.commit_s)

    def _remotes(self, site: str) -> tuple[RemoteSite, ...]:
        """The other sites, the ids of their agents, and what crosses."""
        others = {agents[0][:2]: agents for agents, _ in self.options.names if agents[0][:2] != site}
        kept = [
            RemoteEntry(site=home, users=tuple(f"!{user}" for user in users)) for home, users in self.options.kept_home
        ]
        return tuple(
            RemoteSite(other, tuple(each[3:] for each in agents), between(kept, (site, other)))
            for other, agents in others.items()
        )

    def _proxy(self, site: str, name: str, agents: list[AgentProcess]) -> ProxyProcess:
        options = self.options
        settings = ProxySettings(
            site=site,
            id=name,
            agents=tuple(AgentName(site, agent.id) for agent in agents),
            digest_key=DIGEST_KEY,
            digest_key_id=SECRET_ID,
            idle_timeout_s=options.idle_timeout_s,
            max_lifetime_ms=1000 * options.lifetime_s,
            heartbeat_interval_s=options.heartbeat_s,
            suspect_after_s=5 * options.heartbeat_s,
            wan_heartbeat_interval_s=5 * options.heartbeat_s,
            wan_suspect_after_s=25 * options.heartbeat_s,
            away_after_s=AWAY_AFTER_BEATS * options.heartbeat_s,
            return_after_s=RETURN_AFTER_BEATS * options.heartbeat_s,
            outbox_events_max=self._dice.choice(OUTBOX_EVENTS_MAX),
        )
        return ProxyProcess(self, name, settings, self._clock(options.proxy_clock_ms), agents)

    def _clock(self, error_ms: int) -> Clock:
        dice, drift = self._dice, self.options.drift
        return Clock(
            wall_error_ms=dice.randint(-error_ms, error_ms),
            wall_drift=dice.uniform(-drift, drift),
            rate=1 + dice.uniform(-drift, drift),
            boot_ahead_ms=dice.randrange(10_000_000),
        )

    # -- steps ---------------------------------------------------------------------------------------------------

    def perform(self, step: Step) -> None:
        """Let one step of a schedule happen."""
        self.loop.note(step.at_s)
        if step.fault or step.kind in ACTS:
            self.counted[step.fault or step.kind] += 1
        STEPS[step.kind](self, *step.args)

    def agent(self, name: str) -> AgentProcess:
        found = self.processes[name]
        assert isinstance(found, AgentProcess), f"{name} is no agent"
        return found

    def proxy(self, name: str) -> ProxyProcess | None:
        """A proxy that can do something now."""
        found = self.processes[name]
        assert isinstance(found, ProxyProcess), f"{name} is no proxy"
        return found if found.active else None

    def heal(self) -> None:
        """Faults are off: everything runs, hears everybody, and has a disk that works."""
        self.network.heal_all()
        for process in self.processes.values():
            process.reads_every_s = 0.0
            process.clock.strobe_ms = process.clock.off_ms = 0
            process.start()
        for process in self.processes.values():
            if isinstance(process, AgentProcess):
                process.disk.commit_s = self.options.commit_s
                process.disk.mend()


def key_of(number: float) -> str:
    return f"10.0.0.{int(number) + 1}"


def user_of(number: float) -> str:
    return f"user{int(number) + 1}"


def _login(world: World, name: str, key: float, user: float) -> None:
    if proxy := world.proxy(name):
        world.oracle.login(proxy, key_of(key), user_of(user))


def _logout_key(world: World, name: str, key: float) -> None:
    if proxy := world.proxy(name):
        world.oracle.logout(proxy, key_of(key), None)


def _logout_user(world: World, name: str, user: float) -> None:
    if proxy := world.proxy(name):
        world.oracle.logout(proxy, None, user_of(user))


def _look(world: World, name: str, key: float) -> None:
    if proxy := world.proxy(name):
        world.oracle.look(proxy, key_of(key), touch=False)


def _touch(world: World, name: str, key: float) -> None:
    if proxy := world.proxy(name):
        world.oracle.look(proxy, key_of(key), touch=True)


def _operator(world: World, name: str, key: float) -> None:
    agent = world.agent(name)
    if agent.active:
        world.oracle.operator(agent, key_of(key))
        agent.do(agent.generation, agent.step, on.LogoutAsked(1, key=key_of(key)))


def _switch(world: World, name: str) -> None:
    agent = world.agent(name)
    if agent.active:
        agent.do(agent.generation, agent.step, on.SwitchAsked(2))


def _resync(world: World, name: str) -> None:
    if proxy := world.proxy(name):
        proxy.resync()


def _set_clock(world: World, name: str, error_ms: float) -> None:
    world.processes[name].clock.wall_error_ms = int(error_ms)


def _clock_off(world: World, name: str, off_ms: float) -> None:
    world.processes[name].clock.off_ms = int(off_ms)


def _strobe(world: World, name: str, swing_ms: float, period_s: float) -> None:
    clock = world.processes[name].clock
    clock.strobe_ms, clock.strobe_period_s = int(swing_ms), period_s


def _fill_disk(world: World, name: str) -> None:
    world.agent(name).disk.full = True


def _fail_disk(world: World, name: str, calls: float) -> None:
    world.agent(name).disk.fails_at = int(calls)


def _commit_takes(world: World, name: str, seconds: float) -> None:
    world.agent(name).disk.commit_s = seconds


def _change_disk(world: World, name: str, how: str) -> None:
    agent = world.agent(name)
    if not agent.running:
        getattr(agent.disk, how)()


def _read_every(world: World, name: str, seconds: float) -> None:
    world.processes[name].reads_every_s = seconds


STEPS: dict[str, Callable[..., Any]] = {
    "login": _login,
    "logout_key": _logout_key,
    "logout_user": _logout_user,
    "look": _look,
    "touch": _touch,
    "operator": _operator,
    "make": lambda world, *what: world.items.make(*what),
    "redeem": lambda world, *what: world.items.redeem(*what),
    "revoke": lambda world, *what: world.items.revoke(*what),
    "peek": lambda world, *what: world.items.peek(*what),
    "carry": lambda world, name, key: world.items.carry(name, key_of(key)),
    "honour": lambda world, name, key: world.items.honour(name, key_of(key)),
    "resync": _resync,
    "refuse": lambda world, a, b: world.network.refuse(world.processes[a], world.processes[b]),
    "silence": lambda world, a, b: world.network.silence(world.processes[a], world.processes[b]),
    "heal": lambda world, a, b: world.network.heal_between(world.processes[a], world.processes[b]),
    "heal_all": lambda world: world.network.heal_all(),
    "reset": lambda world, a, b: world.network.reset(world.processes[a], world.processes[b]),
    "drop": lambda world, a, b: world.network.drop(world.processes[a], world.processes[b]),
    "trap": lambda world, a, b, after_s, how: world.network.set_trap(
        world.processes[a], world.processes[b], after_s, how
    ),
    "clog": lambda world, a, b, seconds: world.network.clog(world.processes[a], world.processes[b], seconds),
    "loss": lambda world, share: world.network.set_loss(share),
    "read_every": _read_every,
    "start": lambda world, name: world.processes[name].start(),
    "kill": lambda world, name: world.processes[name].kill(),
    "power_off": lambda world, name: world.processes[name].kill(power=True),
    "pause": lambda world, name, seconds: world.processes[name].pause(seconds),
    "suspend": lambda world, name, seconds: world.processes[name].pause(seconds, suspend=True),
    "switch": _switch,
    "stop": lambda world, name: world.agent(name).stop(),
    "lose_disk": lambda world, name: _change_disk(world, name, "lose"),
    "restore_disk": lambda world, name: _change_disk(world, name, "restore"),
    "save_disk": lambda world, name: world.agent(name).disk.save(),
    "fill_disk": _fill_disk,
    "mend_disk": lambda world, name: world.agent(name).disk.mend(),
    "fail_disk": _fail_disk,
    "commit_takes": _commit_takes,
    "set_clock": _set_clock,
    "clock_off": _clock_off,
    "strobe": _strobe,
    "run_at": lambda world, name, rate: world.processes[name].clock.run_at(rate, world.loop.now_s),
}
"""What can happen, by the kind of its step."""

ACTS = frozenset(
    {"login", "logout_key", "logout_user", "look", "touch", "operator"}
    | {"make", "redeem", "revoke", "peek", "carry", "honour"}
)
"""What users and operators do; all else is a fault, or the end of one."""
