"""Steps of users who have to do with items and cookies: each item is a small story, drawn before the run begins.

Rules of this file:

- Somebody makes an item; a while later some want it, at nodes of their own, within milliseconds or seconds; some show
  a wrong secret, some ask again, somebody may void it. As often as not something fails as it is made or wanted.
- Which faults these are, the swarm decides as for all others.
"""

import random
from collections.abc import Iterator

import attrs

from tests.simulation.faults import FAULTS, Cast, Step
from tests.simulation.item_lives import FORMS
from tests.simulation.options import Options

VALIDITIES_S = (10, 20, 60, 600, 600)
"""From the least that a code may have."""

RUSHES_AFTER_S = (0.02, 0.5, 3.0, 8.0, 30.0)
APART_S = (0.0, 0.002, 0.03, 0.5, 4.0)
"""How far from each other those come who want the same: at once, within a round trip, within a failover."""

WEIGHTS = (4, 2, 2, 1, 2, 1)
"""How often each of FORMS is made."""

FAULT_SHARE = 0.5
ELSEWHERE_SHARE = 0.15


def stories(options: Options) -> Iterator[Step]:
    """All steps about items and cookies in a run, each before the end of its round."""
    dice = random.Random(f"{options.seed}/stories")
    round_s = options.duration_s / options.rounds
    for every_s, story in ((options.item_every_s, _item), (options.cookie_every_s, _cookie)):
        number, at_s = 0, dice.expovariate(1 / every_s) if every_s else options.duration_s
        while at_s < options.duration_s:
            ends_s = (at_s // round_s + 1) * round_s
            agents, proxies = dice.choice(options.names)
            steps = story(options, Cast(dice, agents, proxies, options.clock_bound_ms), number, at_s)
            yield from (step for step in steps if step.at_s < ends_s)
            number, at_s = number + 1, at_s + dice.expovariate(1 / every_s)


def _item(options: Options, cast: Cast, number: int, at_s: float) -> Iterator[Step]:
    """One item from its making to its end."""
    dice = cast.dice
    (form,) = dice.choices(range(len(FORMS)), WEIGHTS)
    user = f"guest{number if dice.random() < 0.7 else 0}"
    maker = cast.agent() if FORMS[form].sole and dice.random() < 0.3 else dice.choice(cast.proxies)
    yield Step(at_s, "make", (maker, number, form, user, dice.choice(VALIDITIES_S)))
    rush_s = at_s + dice.choice(RUSHES_AFTER_S) * dice.uniform(0.7, 1.3)
    if dice.random() < FAULT_SHARE:
        yield from _something_fails(options, cast, dice.choice((at_s, rush_s, rush_s)) + dice.uniform(-0.05, 0.05))
    if FORMS[form].locked and dice.random() < 0.25:
        for request in range(100, 100 + dice.choice((1, 4, 6))):
            yield _redeem(options, cast, number, request, rush_s - dice.random() * 2.0, right=False)
    for request in range(dice.choice((1, 2, 2, 3, 4))):
        wanted_s = rush_s + dice.choice(APART_S) * dice.random()
        yield _redeem(options, cast, number, request, wanted_s, right=dice.random() < 0.9)
        if dice.random() < 0.3:
            yield _redeem(options, cast, number, request, wanted_s + dice.choice((0.05, 2.0, 9.0)), right=True)
    if dice.random() < 0.15:
        yield Step(rush_s + dice.choice((-1.0, 0.0, 5.0)) * dice.random(), "revoke", (_node(options, cast), number))
    for _ in range(dice.randrange(3)):
        yield Step(rush_s + dice.choice((0.1, 5.0, 20.0)), "peek", (dice.choice(cast.proxies), number))


def _redeem(options: Options, cast: Cast, number: int, request: int, at_s: float, *, right: bool) -> Step:
    return Step(at_s, "redeem", (_node(options, cast), number, request, int(right)))


def _node(options: Options, cast: Cast) -> str:
    """Mostly a proxy of the site, sometimes an agent, or somebody of another site."""
    dice = cast.dice
    agents, proxies = (cast.agents, cast.proxies) if dice.random() > ELSEWHERE_SHARE else dice.choice(options.names)
    return dice.choice(proxies if dice.random() < 0.85 else agents)


def _something_fails(options: Options, cast: Cast, at_s: float) -> Iterator[Step]:
    kinds, weights = zip(*options.faults, strict=True)
    (kind,) = cast.dice.choices(kinds, weights)
    for n, step in enumerate(FAULTS[kind](cast, at_s)):
        yield attrs.evolve(step, fault=kind if n == 0 else "")


def _cookie(options: Options, cast: Cast, number: int, at_s: float) -> Iterator[Step]:
    """A browser is given a cookie, and shows it elsewhere, sometimes to a proxy that has just started empty."""
    dice, key = cast.dice, cast.dice.randrange(options.keys)
    yield Step(at_s, "carry", (dice.choice(cast.proxies), key))
    for _ in range(dice.choice((1, 1, 2))):
        _, proxies = options.names[0] if dice.random() < 0.1 else (cast.agents, cast.proxies)
        proxy, shown_s = dice.choice(proxies), at_s + dice.choice((0.01, 1.0, 6.0, 40.0)) * dice.random()
        if "kill" in dict(options.faults) and dice.random() < 0.25:
            yield Step(shown_s, "kill", (proxy,), "kill")
            yield Step(shown_s, "start", (proxy,))
        yield Step(shown_s + dice.choice((0.0001, 0.2, 2.0)), "honour", (proxy, key))
