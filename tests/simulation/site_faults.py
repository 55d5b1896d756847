"""Faults that leave the proxies of one site without any agent of their own, so that another site stands in.

The rules are those of faults.py. They happen in runs with several sites whose proxies may be served by others.
"""

from collections.abc import Iterator

from tests.simulation.faults import Cast, Fault, Step

LASTS_S = (4.0, 12.0, 40.0, 90.0)
"""Around and beyond the silence after which a proxy turns to another site, at any heartbeat."""

SITE_FAULTS: dict[str, Fault] = {}


def site_fault(act: Fault) -> Fault:
    SITE_FAULTS[act.__name__] = act
    return act


def _until_s(cast: Cast, at_s: float) -> float:
    return at_s + cast.dice.choice(LASTS_S) * cast.dice.uniform(0.7, 1.3)


@site_fault
def site_killed(cast: Cast, at_s: float) -> Iterator[Step]:
    """All agents of a site are gone at once; they come back one by one, sometimes with empty disks."""
    until_s, loses = _until_s(cast, at_s), cast.dice.random() < 0.5
    for name in cast.agents:
        yield Step(at_s + cast.dice.choice((0.0, 0.3)), cast.dice.choice(("kill", "power_off")), (name,))
        if loses:
            yield Step(at_s + 0.4, "lose_disk", (name,))
        yield Step(until_s + cast.dice.choice((0.0, 1.0, 15.0)), "start", (name,))


@site_fault
def site_flaps(cast: Cast, at_s: float) -> Iterator[Step]:
    """All agents of a site are gone, come back, and go again while its proxies look whether they stay."""
    back_s = _until_s(cast, at_s)
    again_s = back_s + cast.dice.choice((0.5, 3.0, 9.0, 11.0, 30.0))
    for name in cast.agents:
        yield Step(at_s, "kill", (name,))
        yield Step(back_s, "start", (name,))
        yield Step(again_s, cast.dice.choice(("kill", "power_off")), (name,))
        yield Step(again_s + cast.lasts_s(), "start", (name,))


@site_fault
def stranded(cast: Cast, at_s: float) -> Iterator[Step]:
    """Some proxies of a site hear none of its agents, which are well."""
    until_s, how = _until_s(cast, at_s), cast.dice.choice(("refuse", "silence"))
    for proxy in cast.proxies:
        if cast.dice.random() < 0.7:
            for agent in cast.agents:
                yield Step(at_s, how, (proxy, agent))
                yield Step(until_s, "heal", (proxy, agent))


@site_fault
def homeward_trouble(cast: Cast, at_s: float) -> Iterator[Step]:
    """Proxies are stranded; the links on which they look homeward fail a moment after they are made."""
    until_s = _until_s(cast, at_s)
    for proxy in cast.proxies:
        for agent in cast.agents:
            yield Step(at_s, "refuse", (proxy, agent))
            yield Step(until_s, "heal", (proxy, agent))
            after_s, how = cast.dice.choice((0.05, 1.0, 9.9, 10.1, 12.0)), cast.dice.choice(("reset", "drop"))
            yield Step(until_s + 0.01, "trap", (proxy, agent, after_s, how))
