"""One run: a seed becomes options and a schedule; the schedule happens; the oracle judges.

Rules of this file:

- A run is decided by its options and its list of steps, and by nothing else.
- Each round has two phases, as TigerBeetle's VOPR: first anything may be down; then faults are off, and everything
  must be right again in time. The second phase is as long as it takes.
"""

import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext

import attrs

from tests.simulation.askers import PATIENCE_S
from tests.simulation.clock_faults import CLOCK_FAULTS
from tests.simulation.faults import FAULTS, WAN_FAULTS, Cast, Fault, Step
from tests.simulation.item_load import stories
from tests.simulation.item_trial import ItemTrial
from tests.simulation.lives import Broken
from tests.simulation.options import Options, draw
from tests.simulation.site_faults import SITE_FAULTS
from tests.simulation.speech import remembered_payloads
from tests.simulation.verdict import TOLD_WITHIN_S, Verdict
from tests.simulation.world import World, key_of, user_of

ASK_EVERY_S = 0.1
AWAKE_WITHIN_S = 60.0
CROSSED_WITHIN_S = 2.0
"""From one site to another in calm, at the usual heartbeat: a window, a way of 0.3 s at most, two LANs. A comparison
of tables comes later."""

LASTS_S = 1.0
"""For so long it must stay settled and equal."""


@attrs.frozen
class Outcome:
    """How a run ended. `broken` names the promise, `text` what is wrong; both empty when all was well."""

    seed: int
    broken: str
    text: str
    trace: int
    simulated_s: float
    events: int
    counted: Counter[str]
    checks: Counter[str]
    settled_s: tuple[float, ...]
    equal_s: tuple[float, ...]


def schedule(options: Options) -> list[Step]:
    """All steps of a run, in order of time, those of each round before its end."""
    dice = random.Random(f"{options.seed}/schedule")
    steps: list[Step] = []
    round_s = options.duration_s / options.rounds
    for agents, proxies in options.names:
        cast = Cast(dice, agents, proxies, options.clock_bound_ms)
        begins_s = (0.0, 0.0, 0.3, 3.0)
        steps += [Step(dice.choice(begins_s) * dice.random(), "start", (name,)) for name in cast.everybody]
        for number in range(options.rounds):
            steps += _round(options, cast, number * round_s, (number + 1) * round_s)
    if options.linked:
        steps += _between_sites(options, dice)
    if options.stand_in:
        dice = random.Random(f"{options.seed}/stand_in")
        steps += _besides(options, dice, SITE_FAULTS, dice.choice((20.0, 40.0, 80.0)))
    if options.far_clock_every_s:
        dice = random.Random(f"{options.seed}/far_clocks")
        calm_s = options.duration_s / options.rounds  # by then every agent knows its site's time
        steps += _besides(options, dice, CLOCK_FAULTS, options.far_clock_every_s, calm_s)
    steps += stories(options)
    return sorted(steps, key=lambda step: step.at_s)


def _between_sites(options: Options, dice: random.Random) -> Iterator[Step]:
    """Faults between two sites at a time, all through the run; calm heals them too."""
    kinds, weights = zip(*options.wan_faults, strict=True)
    round_s = options.duration_s / options.rounds
    at_s = dice.expovariate(1 / options.wan_fault_every_s)
    while at_s < options.duration_s:
        ends_s = (at_s // round_s + 1) * round_s
        kind = dice.choices(kinds, weights)[0]
        (ours, _), (theirs, _) = dice.sample(options.names, 2)
        happening = WAN_FAULTS[kind](Cast(dice, ours, theirs, options.clock_bound_ms), at_s)
        steps = [attrs.evolve(step, fault=kind if n == 0 else "") for n, step in enumerate(happening)]
        yield from (step for step in steps if step.at_s < ends_s)
        at_s += dice.expovariate(1 / options.wan_fault_every_s)


def _besides(
    options: Options, dice: random.Random, kinds: dict[str, Fault], every_s: float, begins_s: float = 0.0
) -> Iterator[Step]:
    """Faults of these kinds at one site at a time, all through the run, whatever else happens; calm ends them."""
    round_s = options.duration_s / options.rounds
    at_s = begins_s + dice.expovariate(1 / every_s)
    while at_s < options.duration_s:
        ends_s = (at_s // round_s + 1) * round_s
        kind = dice.choice(list(kinds))
        happening = kinds[kind](Cast(dice, *dice.choice(options.names), options.clock_bound_ms), at_s)
        steps = [attrs.evolve(step, fault=kind if n == 0 else "") for n, step in enumerate(happening)]
        yield from (step for step in steps if step.at_s < ends_s)
        at_s += dice.expovariate(1 / every_s)


def _round(options: Options, cast: Cast, begins_s: float, ends_s: float) -> list[Step]:
    dice = cast.dice
    steps: list[Step] = []
    kinds, weights = zip(*options.faults, strict=True)
    at_s = begins_s + min(2.0, dice.expovariate(1 / options.fault_every_s))
    while at_s < ends_s:
        kind = dice.choices(kinds, weights)[0]
        steps += [attrs.evolve(step, fault=kind if n == 0 else "") for n, step in enumerate(FAULTS[kind](cast, at_s))]
        at_s += dice.expovariate(1 / options.fault_every_s)
    acts, weights = zip(*options.acts, strict=True)
    at_s = begins_s + dice.expovariate(1 / options.act_every_s)
    while at_s < ends_s:
        steps.append(_act(options, cast, dice.choices(acts, weights)[0], at_s))
        at_s += dice.expovariate(1 / options.act_every_s)
    return [step for step in steps if step.at_s < ends_s]


def _act(options: Options, cast: Cast, kind: str, at_s: float) -> Step:
    dice = cast.dice
    key, user = dice.randrange(options.keys), dice.randrange(options.users)
    match kind:
        case "login":
            return Step(at_s, kind, (dice.choice(cast.proxies), key, user))
        case "logout_user":
            return Step(at_s, kind, (dice.choice(cast.proxies), user))
        case "operator":
            return Step(at_s, kind, (cast.agent(), key))
        case _:
            return Step(at_s, kind, (dice.choice(cast.proxies), key))


class Run:
    """One run under way. `story` is what happened, for whoever reads why it broke."""

    def __init__(self, options: Options, steps: Sequence[Step]) -> None:
        self.options = options
        self.steps = steps
        self.world = World(options)
        self.verdict = Verdict(self.world.oracle)
        self.settled_s: list[float] = []
        self.equal_s: list[float] = []

    def play(self) -> Outcome:
        """Everything that happens, and the judgement. A broken invariant of a machine is a broken promise too."""
        broken = text = ""
        try:
            with nullcontext() if self.options.as_bytes or self.options.dialects else remembered_payloads():
                self._rounds()
        except Broken as error:
            broken, text = error.promise, str(error)
        except Exception as error:
            broken, text = "crash", f"crash: {type(error).__name__}: {error}"
        world = self.world
        self.verdict.note()
        return Outcome(
            seed=self.options.seed,
            broken=broken,
            text=f"{text} (at {world.loop.now_s:.4f} s)" if text else "",
            trace=world.loop.trace & (1 << 64) - 1,
            simulated_s=world.loop.now_s,
            events=world.loop.events,
            counted=world.counted,
            checks=world.oracle.checks,
            settled_s=tuple(self.settled_s),
            equal_s=tuple(self.equal_s),
        )

    def _rounds(self) -> None:
        options, loop = self.options, self.world.loop
        round_s = options.duration_s / options.rounds
        place, late_s = 0, 0.0  # calm takes its time: what follows is as much later
        for number in range(1, options.rounds + 1):
            while place < len(self.steps) and self.steps[place].at_s < number * round_s:
                step = self.steps[place]
                loop.run_until(step.at_s + late_s)
                self.world.perform(step)
                place += 1
            loop.run_until(number * round_s + late_s)
            self._calm()
            late_s = loop.now_s - number * round_s

    # -- calm ----------------------------------------------------------------------------------------------------

    def _calm(self) -> None:
        """Faults are off: wait until all is well, and judge."""
        verdict, loop = self.verdict, self.world.loop
        slow = max(1.0, self.options.scale / 2)
        self._wait(self._awake, AWAKE_WITHIN_S, "split")
        flows_s = self.world.network.flows_s
        self.world.heal()
        loop.run_until(max(flows_s, loop.now_s))
        healed_s = loop.now_s
        while not self._right(healed_s + verdict.settled_within_s * slow):
            pass
        verdict.judge(loop.now_s)
        self._try_out()

    def _right(self, until_s: float) -> bool:
        """Wait until all is settled, equal and told, and see whether it lasts; what broke just before the calm may
        show only now, so until `until_s` it need not."""
        verdict, loop, scale = self.verdict, self.world.loop, self.options.scale
        settled_s = self._wait(verdict.settled, until_s - loop.now_s, "split")
        calm = (lambda: verdict.equal(loop.now_s)), verdict.told
        within_s = verdict.equal_within_s, TOLD_WITHIN_S * max(1.0, scale / 2)
        equal_s, _ = (
            self._wait(lambda met=met: met() or not verdict.settled(), seconds, "unequal")  # type: ignore[misc]
            for met, seconds in zip(calm, within_s, strict=True)
        )
        loop.run_until(loop.now_s + LASTS_S)
        if not verdict.settled() or not verdict.equal(loop.now_s):
            if loop.now_s < until_s:
                return False
            raise Broken("unequal", f"it did not last: {verdict.picture(loop.now_s)}")
        self.settled_s.append(settled_s)
        self.equal_s.append(equal_s)
        return True

    def _awake(self) -> bool:
        """Nobody is paused, and whoever was told to stop has stopped."""
        processes = self.world.processes.values()
        if any(process.paused for process in processes):
            return False
        agents = [agent for site in self.world.oracle.sites for agent in site.agents]
        return not any(agent.running and agent.leaving for agent in agents)

    def _try_out(self) -> None:
        """It works: a login at each proxy, and a logout at each of another key, are soon known everywhere."""
        oracle, loop = self.world.oracle, self.world.loop
        scale = self.options.scale
        within_s = CROSSED_WITHIN_S * scale if self.options.linked else self.verdict.equal_within_s
        for act in ("login", "logout"):
            for site in oracle.sites:
                for number, proxy in enumerate(site.proxies):
                    if act == "login":
                        oracle.login(proxy, key_of(number), user_of(number % self.options.users))
                    elif self.options.linked:
                        oracle.logout(proxy, key_of((number + 1) % len(site.proxies)), None)
            self._wait(lambda: self.verdict.equal(loop.now_s), within_s, "unequal")
        if self.options.item_every_s and not self.options.dialects:
            self._try_items(within_s)

    def _try_items(self, within_s: float) -> None:
        """What is made is granted, once."""
        loop = self.world.loop
        for act, met in ItemTrial(self.world).stages():
            act()
            self._wait(met, PATIENCE_S, "refused")
            self._wait(lambda: self.verdict.equal(loop.now_s), within_s, "unequal")

    def _wait(self, met: Callable[[], bool], within_s: float, promise: str) -> float:
        loop = self.world.loop
        began_s = loop.now_s
        while not met():
            if loop.now_s - began_s > within_s:
                raise Broken(promise, f"not so within {within_s:g} s: {self.verdict.picture(loop.now_s)}")
            loop.run_until(loop.now_s + ASK_EVERY_S)
        return loop.now_s - began_s


def play(seed: int, duration_s: float = 300.0, kept: Sequence[int] | None = None) -> Outcome:
    """The run of a seed, or what is left of it with the steps at these places only."""
    options = draw(seed, duration_s)
    steps = schedule(options)
    return Run(options, steps if kept is None else [steps[place] for place in kept]).play()
