"""Tests of the test: with each bug of the switchboard, some run must break a promise, and soon.

Rules of this file:

- Bugs are hunted from the same seeds, one after another, until a run breaks; never by a history made for them.
- It is the bug that breaks: the same run without it breaks nothing.
- What heals by itself before anybody could see it (a cursor of another log, a replay that begins too late: digests find
  that, and a comparison mends it) is no bug to be found here.
- Hunting runs are shorter than others, and have as many calm moments: most bugs show where all should be right.
"""

import multiprocessing
import sys
from functools import partial

import attrs

from tests.simulation import bugs_of_agents, bugs_of_proxies, bugs_of_sites, bugs_of_tables
from tests.simulation.options import WAN_SEEDS
from tests.simulation.run import play
from tests.simulation.switchboard import BUGS, seeded

RUNS_MAX = 300
"""Seeds tried before a bug counts as not found."""

HUNT_S = 180.0
"""Simulated seconds of one hunting run."""

FILES = (bugs_of_agents, bugs_of_proxies, bugs_of_tables, bugs_of_sites)


@attrs.frozen
class Catch:
    """How a bug was found: by which seed, as which broken promise. `seed` is None when it was not."""

    bug: str
    seed: int | None
    text: str
    runs: int


def hunt(name: str, runs: int = RUNS_MAX) -> Catch:
    """Run seed after seed with a bug in the machines until a promise is broken."""
    first_seed = WAN_SEEDS if BUGS[name].__module__ == bugs_of_sites.__name__ else 0
    for number, seed in enumerate(range(first_seed, first_seed + runs), 1):
        with seeded(name):
            outcome = play(seed, HUNT_S)
        if outcome.broken and not play(seed, HUNT_S).broken:
            return Catch(name, seed, outcome.text, number)
    return Catch(name, None, "not found", runs)


def report(only: str | None, processes: int) -> int:
    """Hunt all bugs, or one, and print what found each. Returns 1 when one was not found."""
    names = list(BUGS) if only is None else [only]
    with multiprocessing.get_context("spawn").Pool(max(1, processes)) as pool:
        missed = 0
        for catch in pool.imap(partial(hunt), names):
            missed += catch.seed is None
            how = f"seed {catch.seed:3}" if catch.seed is not None else "NOT FOUND"
            print(f"{catch.bug:40} {how}  {catch.text[:120]}", flush=True)
    print(f"{len(names) - missed} of {len(names)} seeded bugs found", file=sys.stdout)
    return 1 if missed else 0
