"""Many runs: over some processes, with progress, added up into one summary.

Rules of this file:

- A summary is plain JSON that can be added to another: how many runs and simulated seconds, faults and acts by kind,
  promises checked, and what broke.
- Workers hand back outcomes; a seed is run by whoever is free. The order of results decides nothing.
- Broken promises do not stop a campaign; they are told at once, with the command that replays them.
"""

import multiprocessing
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import attrs

from tests.simulation.run import Outcome, play
from tests.simulation.world import ACTS

DURATION_S = 300.0
FIRST_WORDS = "python -m tests.simulation"


@attrs.define
class Summary:
    """What a campaign came to."""

    runs: int = 0
    simulated_s: float = 0.0
    wall_s: float = 0.0
    events: int = 0
    faults: Counter[str] = attrs.field(factory=Counter)
    acts: Counter[str] = attrs.field(factory=Counter)
    checks: Counter[str] = attrs.field(factory=Counter)
    seeds: list[tuple[int, int]] = attrs.field(factory=list)
    broken: list[dict[str, Any]] = attrs.field(factory=list)
    settled_s: float = 0.0
    equal_s: float = 0.0

    def add(self, outcome: Outcome) -> None:
        """Count one run in."""
        self.runs += 1
        self.simulated_s += outcome.simulated_s
        self.events += outcome.events
        for kind, count in outcome.counted.items():
            (self.acts if kind in ACTS else self.faults)[kind] += count
        self.checks += outcome.checks
        self.settled_s = max(self.settled_s, *outcome.settled_s, 0.0)
        self.equal_s = max(self.equal_s, *outcome.equal_s, 0.0)
        if outcome.broken:
            self.broken.append({"seed": outcome.seed, "promise": outcome.broken, "text": outcome.text})

    def as_json(self) -> dict[str, Any]:
        """As plain values; days are what people read."""
        return {
            "runs": self.runs,
            "seeds": self.seeds,
            "simulated_s": round(self.simulated_s, 1),
            "simulated_days": round(self.simulated_s / 86_400, 2),
            "wall_s": round(self.wall_s, 1),
            "events": self.events,
            "faults": dict(sorted(self.faults.items())),
            "faults_total": self.faults.total(),
            "acts": dict(sorted(self.acts.items())),
            "acts_total": self.acts.total(),
            "checks": dict(sorted(self.checks.items())),
            "checks_total": self.checks.total(),
            "settled_s_max": round(self.settled_s, 1),
            "equal_s_max": round(self.equal_s, 1),
            "broken": sorted(self.broken, key=lambda each: int(each["seed"])),
        }


def outcomes(seeds: range, seconds: float, processes: int) -> Iterator[Outcome]:
    """The runs of some seeds, as they end."""
    work = partial(play, duration_s=seconds)
    if processes <= 1:
        yield from map(work, seeds)
        return
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        yield from pool.imap_unordered(work, seeds, chunksize=4)


def run(
    seeds: range, seconds: float, processes: int, minutes: float | None, tell: Callable[[str], None], *, name: str
) -> Summary:
    """All runs of a campaign, or as many as `minutes` allow. `tell` is given each broken promise in one line."""
    summary, began_s = Summary(), time.monotonic()
    progress = Progress(name, len(seeds) if minutes is None else None, minutes)
    for outcome in outcomes(seeds, seconds, processes):
        summary.add(outcome)
        if outcome.broken:
            progress.clear()
            tell(f"seed {outcome.seed}: {outcome.text}\n  replay it: {FIRST_WORDS} replay {outcome.seed}")
        summary.wall_s = time.monotonic() - began_s
        progress.show(summary)
        if minutes is not None and summary.wall_s >= 60 * minutes:
            break
    progress.clear()
    summary.seeds = [(seeds.start, seeds.start + summary.runs - 1)]
    return summary


class Progress:
    """One line on a terminal, rewritten; nothing where nobody looks."""

    def __init__(self, name: str, runs: int | None, minutes: float | None) -> None:
        self._name, self._runs, self._minutes = name, runs, minutes
        self._shown = sys.stderr.isatty()

    def show(self, summary: Summary) -> None:
        if not self._shown:
            return
        of = f"of {self._runs} runs" if self._runs is not None else f"runs in {self._minutes:g} minutes"
        days = summary.simulated_s / 86_400
        line = f"{self._name}: {summary.runs} {of}, {days:.1f} simulated days, {summary.faults.total()} faults"
        print(f"\r\x1b[K{line}, {len(summary.broken)} broken", end="", file=sys.stderr, flush=True)

    def clear(self) -> None:
        if self._shown:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
