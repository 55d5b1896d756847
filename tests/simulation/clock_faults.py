"""Wall clocks of agents that are wrong by more than two agents may differ, while agents crash and start.

The rules are those of faults.py. They happen in runs of their own (CLOCK_SEEDS): a site whose every trace of its time
is lost at such a moment goes by the wrong clock, as it must, so nothing here takes disks, machines and proxies at once.
"""

from collections.abc import Iterator

from tests.simulation.faults import Cast, Fault, Step

FAR_S = (2.5, 5.0, 30.0, 61.0, 63.0, 300.0, 3_600.0, 86_400.0, 1e9)
"""Around the least that is refused, around the age that a word on a slow way may have, and the absurd."""

CLOCK_FAULTS: dict[str, Fault] = {}

SPARED = frozenset({"power", "disaster", "new_disk", "old_disk", "stop"})
"""Faults that do not happen beside: after each of them an agent knows nothing but its wall clock."""


def clock_fault(act: Fault) -> Fault:
    CLOCK_FAULTS[act.__name__] = act
    return act


def _far_ms(cast: Cast) -> float:
    return 1000 * cast.dice.choice(FAR_S) * cast.dice.choice((-1, 1))


@clock_fault
def far_clock(cast: Cast, at_s: float) -> Iterator[Step]:
    """A wall clock is set wrong, and right again; nothing else happens."""
    name = cast.agent()
    yield Step(at_s, "clock_off", (name, _far_ms(cast)))
    yield Step(at_s + cast.lasts_s(), "clock_off", (name, 0.0))


@clock_fault
def crash_with_far_clock(cast: Cast, at_s: float) -> Iterator[Step]:
    """An agent crashes and starts while its clock is wrong."""
    name, back_s = cast.agent(), at_s + cast.lasts_s()
    yield Step(at_s, "clock_off", (name, _far_ms(cast)))
    yield Step(at_s + cast.dice.choice((0.0, 0.5)), "kill", (name,))
    yield Step(back_s, "start", (name,))
    yield Step(back_s + cast.lasts_s(), "clock_off", (name, 0.0))


@clock_fault
def all_crash_with_far_clocks(cast: Cast, at_s: float) -> Iterator[Step]:
    """All agents crash, and most proxies; whoever comes back first has a clock of its own."""
    until_s = at_s
    for name in cast.agents:
        back_s = at_s + cast.lasts_s()
        yield Step(at_s, "clock_off", (name, _far_ms(cast)))
        yield Step(at_s, "kill", (name,))
        yield Step(back_s, "start", (name,))
        until_s = max(until_s, back_s)
    for name in cast.proxies:
        if cast.dice.random() < 0.7:
            yield Step(at_s, "kill", (name,))
            yield Step(at_s + cast.lasts_s(), "start", (name,))
    for name in cast.agents:
        yield Step(until_s + cast.lasts_s(), "clock_off", (name, 0.0))
