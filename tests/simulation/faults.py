"""Faults as steps of a schedule: what goes wrong, where, for how long, and when it is right again.

Rules of this file:

- Everything is decided here, from dice, before the run begins: so a run is its options and a list of steps, and a
  list can be shortened until only the steps are left that matter (shrink.py).
- Each fault brings its own end with it. Either may be left out: at the end of a round all is healed anyhow.
- One function a kind; FAULTS names them all, and a swarm switches them on or off.

Source: reference/reliability.md section 1.2 (Jepsen's nemeses, TigerBeetle's and FoundationDB's faults).
"""

import random
from collections.abc import Callable, Iterator
from typing import TypeAlias

import attrs

LASTS_S = (0.05, 0.3, 1.0, 1.6, 3.0, 8.0, 25.0)
"""Shorter than a heartbeat, around each timeout, longer than all of them."""

STROBES_S = (0.004, 0.016, 0.25, 1.0, 16.0, 262.0)


@attrs.frozen
class Step:
    """One thing that happens to a run at a moment. `args` are names and numbers; `fault` tells faults from the rest."""

    at_s: float
    kind: str
    args: tuple[str | float, ...] = ()
    fault: str = ""

    def __str__(self) -> str:
        said = " ".join(f"{arg:g}" if isinstance(arg, float) else str(arg) for arg in self.args)
        return f"{self.at_s:9.4f}  {self.kind} {said}".rstrip()


@attrs.frozen
class Cast:
    """Whom a fault may strike: one site's agents and proxies, and how wrong clocks may be."""

    dice: random.Random
    agents: list[str]
    proxies: list[str]
    clock_bound_ms: int

    @property
    def everybody(self) -> list[str]:
        return [*self.agents, *self.proxies]

    def agent(self) -> str:
        return self.dice.choice(self.agents)

    def anybody(self) -> str:
        """An agent as often as not."""
        return self.agent() if self.dice.random() < 0.5 else self.dice.choice(self.proxies)

    def two(self) -> tuple[str, str]:
        """An agent, and as often as not its partner, else a proxy; in either order."""
        agent = self.agent()
        partners = [each for each in self.agents if each != agent]
        other = partners[0] if partners and self.dice.random() < 0.55 else self.dice.choice(self.proxies)
        return (agent, other) if self.dice.random() < 0.5 else (other, agent)

    def lasts_s(self) -> float:
        return self.dice.choice(LASTS_S) * self.dice.uniform(0.7, 1.3)


Fault: TypeAlias = Callable[[Cast, float], Iterator[Step]]
FAULTS: dict[str, Fault] = {}


def fault(act: Fault) -> Fault:
    FAULTS[act.__name__] = act
    return act


# -- the network -------------------------------------------------------------------------------------------------


@fault
def cut(cast: Cast, at_s: float) -> Iterator[Step]:
    """Links are reset, and new ones refused."""
    a, b = cast.two()
    yield Step(at_s, "refuse", (a, b))
    yield Step(at_s + cast.lasts_s(), "heal", (a, b))


@fault
def silence(cast: Cast, at_s: float) -> Iterator[Step]:
    """Nothing arrives either way."""
    a, b = cast.two()
    yield Step(at_s, "silence", (a, b))
    yield Step(at_s, "silence", (b, a))
    yield Step(at_s + cast.lasts_s(), "heal", (a, b))


@fault
def one_way(cast: Cast, at_s: float) -> Iterator[Step]:
    """Nothing arrives in one direction; the other works."""
    a, b = cast.two()
    yield Step(at_s, "silence", (a, b))
    yield Step(at_s + cast.lasts_s(), "heal", (a, b))


@fault
def isolate(cast: Cast, at_s: float) -> Iterator[Step]:
    """One process hears of nobody, and nobody of it, or some of them."""
    lonely = cast.anybody()
    until_s = at_s + cast.lasts_s()
    for other in cast.everybody:
        if other != lonely and cast.dice.random() < 0.9:
            yield Step(at_s, "silence", (lonely, other))
            if cast.dice.random() < 0.8:
                yield Step(at_s, "silence", (other, lonely))
            yield Step(until_s, "heal", (lonely, other))


@fault
def split(cast: Cast, at_s: float) -> Iterator[Step]:
    """The agents lose each other for long enough that both may serve, and some proxies see only one of them."""
    if len(cast.agents) < 2:
        return
    one, two = cast.agents
    lasts_s = cast.dice.choice((1.5, 2.5, 6.0, 20.0))
    for a, b in ((one, two), (two, one)):
        yield Step(at_s, "silence", (a, b))
    for proxy in cast.proxies:
        if cast.dice.random() < 0.5:
            yield Step(at_s, "refuse", (proxy, cast.agent()))
    yield Step(at_s + lasts_s, "heal", (one, two))
    yield from storm(cast, at_s + lasts_s)
    yield Step(at_s + lasts_s + cast.lasts_s(), "heal_all")


@fault
def lonely_login(cast: Cast, at_s: float) -> Iterator[Step]:
    """In a split one proxy has one agent to itself: somebody logs in there, and the proxy dies before it heals."""
    if len(cast.agents) < 2:
        return
    one, two = cast.dice.sample(cast.agents, 2)
    lonely = cast.dice.choice(cast.proxies)
    split_s = cast.dice.choice((3.0, 9.0))
    for a, b in ((one, two), (two, one), (lonely, two), (two, lonely)):
        yield Step(at_s, "silence", (a, b))
    for proxy in cast.proxies:
        if proxy != lonely:
            yield Step(at_s, "refuse", (proxy, one))
    for part in (0.6, 0.8):
        yield Step(at_s + part * split_s, "login", (lonely, cast.dice.randrange(2), cast.dice.randrange(2)))
    yield Step(at_s + split_s, "kill", (lonely,))
    yield Step(at_s + split_s + 0.1, "heal", (one, two))
    yield Step(at_s + split_s + cast.dice.choice((1.0, 5.0)), "heal_all")
    yield Step(at_s + split_s + 5.0, "start", (lonely,))


@fault
def storm(cast: Cast, at_s: float) -> Iterator[Step]:
    """The way between two fails again and again a moment after they have found each other."""
    a, b = cast.agents if len(cast.agents) == 2 and cast.dice.random() < 0.7 else cast.two()
    for _ in range(cast.dice.randrange(1, 5)):
        yield Step(at_s, "trap", (a, b, round(cast.dice.random() * 0.02, 4), cast.dice.choice(("reset", "drop"))))
        at_s += cast.dice.uniform(0.1, 1.0)


@fault
def swizzle(cast: Cast, at_s: float) -> Iterator[Step]:
    """A random subset is clogged one by one, and let go in another order (FoundationDB's swizzle-clogging)."""
    for name in cast.dice.sample(cast.everybody, cast.dice.randrange(1, len(cast.everybody) + 1)):
        begins_s = at_s + cast.dice.random() * 2
        for other in cast.everybody:
            if other != name:
                yield Step(begins_s, "clog", (name, other, cast.lasts_s()))


@fault
def half_open(cast: Cast, at_s: float) -> Iterator[Step]:
    """One side loses its end of a link, and the other is not told."""
    yield Step(at_s, "drop", cast.two())


@fault
def flap(cast: Cast, at_s: float) -> Iterator[Step]:
    """Links are reset, and may be made anew at once."""
    a, b = cast.two()
    for _ in range(cast.dice.randrange(1, 4)):
        yield Step(at_s, "reset", (a, b))
        at_s += cast.dice.choice((0.001, 0.02, 0.3, 1.0))


@fault
def slow_reader(cast: Cast, at_s: float) -> Iterator[Step]:
    """A process empties its sockets only now and then."""
    name = cast.anybody()
    yield Step(at_s, "read_every", (name, cast.dice.choice((0.05, 0.3, 0.9))))
    yield Step(at_s + cast.lasts_s(), "read_every", (name, 0.0))


@fault
def loss(cast: Cast, at_s: float) -> Iterator[Step]:
    """Segments are lost everywhere, and sent again."""
    yield Step(at_s, "loss", (cast.dice.choice((0.01, 0.1, 0.3)),))
    yield Step(at_s + cast.lasts_s(), "loss", (0.0,))


# -- processes ---------------------------------------------------------------------------------------------------


@fault
def kill(cast: Cast, at_s: float) -> Iterator[Step]:
    """kill -9, and a new start."""
    name = cast.anybody()
    yield Step(at_s, "kill", (name,))
    yield Step(at_s + cast.lasts_s(), "start", (name,))


@fault
def power(cast: Cast, at_s: float) -> Iterator[Step]:
    """A host loses its power."""
    name = cast.anybody()
    yield Step(at_s, "power_off", (name,))
    yield Step(at_s + cast.lasts_s(), "start", (name,))


@fault
def new_disk(cast: Cast, at_s: float) -> Iterator[Step]:
    """An agent is lost with its disk, and comes back with an empty one."""
    name = cast.agent()
    yield Step(at_s, cast.dice.choice(("kill", "power_off")), (name,))
    yield Step(at_s, "lose_disk", (name,))
    yield Step(at_s + cast.lasts_s(), "start", (name,))


@fault
def old_disk(cast: Cast, at_s: float) -> Iterator[Step]:
    """An agent comes back with a copy of its disk that is older than what it has said since."""
    name = cast.agent()
    back_s = at_s + cast.dice.choice((1.0, 10.0, 60.0))
    yield Step(at_s, "save_disk", (name,))
    yield Step(back_s, "kill", (name,))
    yield Step(back_s, "restore_disk", (name,))
    yield Step(back_s + cast.lasts_s(), "start", (name,))


@fault
def disaster(cast: Cast, at_s: float) -> Iterator[Step]:
    """Somebody logs in, and a moment later the power fails for nearly all; disks survive."""
    yield Step(at_s, "login", (cast.dice.choice(cast.proxies), 0.0, 0.0))
    fails_s = at_s + cast.dice.random() * cast.dice.choice((0.008, 0.1))
    for name in cast.everybody:
        if cast.dice.random() < 0.9:
            yield Step(fails_s, "power_off", (name,))
            yield Step(fails_s + cast.lasts_s(), "start", (name,))


@fault
def pause(cast: Cast, at_s: float) -> Iterator[Step]:
    """SIGSTOP, and SIGCONT after a while."""
    yield Step(at_s, "pause", (cast.anybody(), cast.dice.choice((0.15, 0.8, 1.3, 2.2, 6.0, 40.0))))


@fault
def suspend(cast: Cast, at_s: float) -> Iterator[Step]:
    """A machine sleeps, and its monotonic clock with it."""
    yield Step(at_s, "suspend", (cast.anybody(), cast.dice.choice((0.5, 1.3, 4.0, 60.0))))


@fault
def stop(cast: Cast, at_s: float) -> Iterator[Step]:
    """SIGTERM, and a new start; of both agents in turn: a rolling upgrade."""
    for name in cast.dice.sample(cast.agents, cast.dice.randrange(1, len(cast.agents) + 1)):
        yield Step(at_s, "stop", (name,))
        at_s += cast.dice.choice((0.5, 2.0, 5.0))
        yield Step(at_s, "start", (name,))
        at_s += cast.dice.choice((0.1, 1.0, 5.0))


@fault
def switch(cast: Cast, at_s: float) -> Iterator[Step]:
    """An operator hands mastership over, to and fro."""
    for _ in range(cast.dice.randrange(1, 3)):
        for name in cast.agents:  # whoever is no master says so, and nothing happens
            yield Step(at_s, "switch", (name,))
        at_s += cast.dice.choice((0.005, 0.4, 3.0))


# -- disks -------------------------------------------------------------------------------------------------------


@fault
def full_disk(cast: Cast, at_s: float) -> Iterator[Step]:
    """There is no room for a while."""
    name = cast.agent()
    yield Step(at_s, "fill_disk", (name,))
    yield Step(at_s + cast.lasts_s(), "mend_disk", (name,))


@fault
def disk_error(cast: Cast, at_s: float) -> Iterator[Step]:
    """The k-th commit from now fails."""
    yield Step(at_s, "fail_disk", (cast.agent(), cast.dice.choice((1, 2, 5))))


@fault
def slow_disk(cast: Cast, at_s: float) -> Iterator[Step]:
    """A commit takes long."""
    name = cast.agent()
    yield Step(at_s, "commit_takes", (name, cast.dice.choice((0.1, 0.6, 2.5))))
    yield Step(at_s + cast.lasts_s(), "commit_takes", (name, 0.002))


# -- clocks ------------------------------------------------------------------------------------------------------


@fault
def clock_jump(cast: Cast, at_s: float) -> Iterator[Step]:
    """An agent's wall clock is set, within its bound; a proxy's anyhow."""
    name = cast.anybody()
    bound_ms = cast.clock_bound_ms // 2 if name in cast.agents else 3_600_000
    yield Step(at_s, "set_clock", (name, cast.dice.randint(-bound_ms, bound_ms)))


@fault
def clock_strobe(cast: Cast, at_s: float) -> Iterator[Step]:
    """A wall clock swings to and fro."""
    name = cast.anybody()
    bound_ms = cast.clock_bound_ms // 2 if name in cast.agents else 60_000
    yield Step(at_s, "strobe", (name, cast.dice.randint(-bound_ms, bound_ms), cast.dice.choice(STROBES_S)))
    yield Step(at_s + cast.lasts_s(), "strobe", (name, 0, 1.0))


@fault
def clock_rate(cast: Cast, at_s: float) -> Iterator[Step]:
    """A crystal runs fast or slow."""
    yield Step(at_s, "run_at", (cast.anybody(), 1 + cast.dice.choice((-5e-4, -1e-4, 1e-4, 5e-4))))


# -- between sites -----------------------------------------------------------------------------------------------

WAN_LASTS_S = (0.5, 3.0, 7.0, 25.0, 60.0)
"""Shorter and longer than the silence after which another site is given up."""

WAN_FAULTS: dict[str, Fault] = {}


def wan_fault(act: Fault) -> Fault:
    WAN_FAULTS[act.__name__] = act
    return act


def _crossings(cast: Cast) -> Iterator[tuple[str, str]]:
    """Every pair of agents of the two sites of `cast`: those of the one, and as its proxies those of the other."""
    return ((ours, theirs) for ours in cast.agents for theirs in cast.proxies)


def _wan_lasts_s(cast: Cast) -> float:
    return cast.dice.choice(WAN_LASTS_S) * cast.dice.uniform(0.7, 1.3)


@wan_fault
def wan_cut(cast: Cast, at_s: float) -> Iterator[Step]:
    """Nothing passes between two sites."""
    until_s = at_s + _wan_lasts_s(cast)
    for ours, theirs in _crossings(cast):
        yield Step(at_s, "silence", (ours, theirs))
        yield Step(at_s, "silence", (theirs, ours))
        yield Step(until_s, "heal", (ours, theirs))


@wan_fault
def wan_refused(cast: Cast, at_s: float) -> Iterator[Step]:
    """Links between two sites are reset, and new ones refused."""
    until_s = at_s + _wan_lasts_s(cast)
    for ours, theirs in _crossings(cast):
        yield Step(at_s, "refuse", (ours, theirs))
        yield Step(until_s, "heal", (ours, theirs))


@wan_fault
def wan_one_way(cast: Cast, at_s: float) -> Iterator[Step]:
    """Nothing passes from one site to another; the way back works."""
    until_s = at_s + _wan_lasts_s(cast)
    turn = cast.dice.random() < 0.5
    for ours, theirs in _crossings(cast):
        yield Step(at_s, "silence", (ours, theirs) if turn else (theirs, ours))
        yield Step(until_s, "heal", (ours, theirs))


@wan_fault
def wan_partial(cast: Cast, at_s: float) -> Iterator[Step]:
    """Some agents of two sites cannot hear each other; others can."""
    until_s = at_s + _wan_lasts_s(cast)
    for ours, theirs in _crossings(cast):
        if cast.dice.random() < 0.5:
            yield Step(at_s, cast.dice.choice(("refuse", "silence")), (ours, theirs))
            yield Step(until_s, "heal", (ours, theirs))


@wan_fault
def wan_reset(cast: Cast, at_s: float) -> Iterator[Step]:
    """Links between two sites are reset, at both ends or at one."""
    for ours, theirs in _crossings(cast):
        pair = (ours, theirs) if cast.dice.random() < 0.5 else (theirs, ours)
        yield Step(at_s, cast.dice.choice(("reset", "drop")), pair)


@wan_fault
def wan_trap(cast: Cast, at_s: float) -> Iterator[Step]:
    """The next link of two sites fails soon after it opens: in the middle of making tables equal."""
    for ours, theirs in _crossings(cast):
        how = cast.dice.choice(("reset", "drop"))
        after_s = cast.dice.choice((0.02, 0.1, 0.4, 1.5))
        yield Step(at_s, "reset", (ours, theirs))
        yield Step(at_s, "trap", (ours, theirs, after_s, how))


@wan_fault
def wan_clog(cast: Cast, at_s: float) -> Iterator[Step]:
    """What leaves for another site arrives much later."""
    for ours, theirs in _crossings(cast):
        yield Step(at_s, "clog", (ours, theirs, cast.dice.choice((0.5, 2.0, 4.0))))
