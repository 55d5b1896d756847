"""A run is decided by its seed: each of some seeds is played twice, in fresh processes, and leaves the same trace."""

import os
import random
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.simulation.clock_faults import CLOCK_FAULTS
from tests.simulation.faults import FAULTS, WAN_FAULTS
from tests.simulation.options import CLOCK_SEEDS, WAN_SEEDS, draw
from tests.simulation.run import play, schedule
from tests.simulation.shrink import spelled
from tests.simulation.site_faults import SITE_FAULTS

ROOT = Path(__file__).parents[2]
SEEDS = 20
SECONDS = 30.0
PROCESSES = 2


def traces(seeds: list[int], hash_seed: str) -> dict[int, str]:
    """The trace of each seed, played in a process of its own."""
    command = [sys.executable, "-m", "tests.simulation", "traces", spelled(seeds), "--seconds", f"{SECONDS:g}"]
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True, timeout=300)
    return {int(seed): trace for seed, trace in map(str.split, done.stdout.splitlines())}


def test_every_run_replays_from_its_seed() -> None:
    """Twenty random seeds, played in two fresh processes that hash strings differently, leave the same traces."""
    first = random.SystemRandom().randrange(1_000_000)
    seeds = list(range(first, first + SEEDS))
    with ThreadPoolExecutor(PROCESSES) as pool:
        one, two = pool.map(traces, (seeds, seeds), ("1", "4294967295"))
    assert list(one) == seeds
    assert one == two


def test_other_seeds_are_other_runs() -> None:
    """The trace tells runs apart: no two of some seeds have the same."""
    assert len({play(seed, 5.0).trace for seed in range(10)}) == 10


def test_a_schedule_is_decided_by_its_seed() -> None:
    """The same options and steps each time, and each kind of fault somewhere in two hundred seeds."""
    assert draw(7) == draw(7) and schedule(draw(7)) == schedule(draw(7))
    seeds = [first + number for first in (0, WAN_SEEDS, CLOCK_SEEDS) for number in range(100)]
    kinds = {step.fault for seed in seeds for step in schedule(draw(seed))}
    assert kinds == {*FAULTS, *WAN_FAULTS, *SITE_FAULTS, *CLOCK_FAULTS, ""}
