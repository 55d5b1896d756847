"""Tests of the test: with each bug of the switchboard, some run must break a promise, and soon.

Rules of this file:

- A bug is hunted through seeds until a run breaks; never by a history made for it. The seed that found it last stands
  in catches.txt, and is tried first: machines change, and runs with them, but most catches stay.
- It is the bug that breaks: the same run without it breaks nothing.
- What heals by itself before anybody could see it (a cursor of another log, a replay that begins too late: digests find
  that, and a comparison mends it) is no bug to be found here.
- Hunting runs are shorter than others, and have as many calm moments: most bugs show where all should be right.
"""

import multiprocessing
from collections.abc import Iterator
from pathlib import Path

import attrs

from tests.simulation import (
    bugs_of_agents,
    bugs_of_clocks,
    bugs_of_items,
    bugs_of_proxies,
    bugs_of_sites,
    bugs_of_tables,
)
from tests.simulation.options import CLOCK_SEEDS, WAN_SEEDS
from tests.simulation.run import play
from tests.simulation.switchboard import BUGS, seeded

RUNS_MAX = 300
"""Seeds tried before a bug counts as not found."""

HUNT_S = 180.0
"""Simulated seconds of one hunting run."""

FIRST_SEEDS = {
    bugs_of_agents: 0,
    bugs_of_proxies: 0,
    bugs_of_tables: 0,
    bugs_of_items: 0,
    bugs_of_sites: WAN_SEEDS,
    bugs_of_clocks: CLOCK_SEEDS,
}
"""The files of bugs, and where each begins to hunt."""

CATCHES = Path(__file__).with_name("catches.txt")


@attrs.frozen
class Catch:
    """How a bug was found: by which seed, as which broken promise. `seed` is None when it was not."""

    bug: str
    seed: int | None
    text: str
    runs: int


def remembered() -> dict[str, int]:
    """The seed that found each bug last."""
    lines = (line.split() for line in CATCHES.read_text(encoding="utf-8").splitlines())
    return {name: int(seed) for name, seed in lines}


def hunt(name: str, runs: int = RUNS_MAX) -> Catch:
    """Run seed after seed with a bug in the machines until a promise is broken."""
    number = 0
    for number, seed in enumerate(_seeds(name, runs), 1):
        with seeded(name):
            outcome = play(seed, HUNT_S)
        if outcome.broken and not play(seed, HUNT_S).broken:
            return Catch(name, seed, outcome.text, number)
    return Catch(name, None, "not found", number)


def _seeds(name: str, runs: int) -> Iterator[int]:
    last = remembered().get(name)
    if last is not None:
        yield last
    first = next(first for file, first in FIRST_SEEDS.items() if file.__name__ == BUGS[name].__module__)
    yield from range(first, first + runs)


def report(only: str | None, processes: int, *, remember: bool) -> int:
    """Hunt all bugs, or one, and print what found each. Returns 1 when one was not found.

    With `remember` the seeds go into catches.txt.
    """
    names = list(BUGS) if only is None else [only]
    catches: list[Catch] = []
    with multiprocessing.get_context("spawn").Pool(max(1, processes)) as pool:
        for catch in pool.imap(hunt, names):
            catches.append(catch)
            how = f"seed {catch.seed:8}" if catch.seed is not None else "NOT FOUND    "
            print(f"{catch.bug:40} {how}  {catch.text[:120]}", flush=True)
    found = {catch.bug: catch.seed for catch in catches if catch.seed is not None}
    if remember:
        lines = [f"{name} {seed}\n" for name, seed in sorted((remembered() | found).items()) if name in BUGS]
        CATCHES.write_text("".join(lines), encoding="utf-8")
    print(f"{len(found)} of {len(names)} seeded bugs found")
    return 0 if len(found) == len(names) else 1
