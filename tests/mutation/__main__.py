"""Mutation testing: `python -m tests.mutation [FILE...]`, every file of plan.py without an argument.

Prints one line for each mutant that survives and one for each file. The exit code is 1 when one survives that
survivors.txt does not explain, or when that list names one that does not survive; 2 when the tests fail as things are.
"""

import argparse
import multiprocessing
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import attrs

from tests.mutation import runner, survivors
from tests.mutation.mutants import Mutant, mutants
from tests.mutation.plan import PLAN

ROOT = Path(__file__).parents[2]
LIST = Path(__file__).with_name("survivors.txt")

PATIENCE = 5
"""A mutant may take so many times as long as the right code, and at least TIMEOUT_S_MIN: then it hangs."""

TIMEOUT_S_MIN = 20.0


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description="mutation testing")
    parser.add_argument("files", nargs="*", metavar="FILE", help="of those in tests/mutation/plan.py; all by default")
    parser.add_argument("--only", default="", metavar="TEXT", help="only mutants with this in their name")
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)), help="at a time; default: all cores")
    options = parser.parse_args(arguments)
    unknown = [file for file in options.files if file not in PLAN]
    if unknown:
        parser.error(f"not in tests/mutation/plan.py: {', '.join(unknown)}")
    runner.keep_mounts_private()
    runner.warm_up()
    return max(
        mutate(ROOT, file, PLAN[file], LIST, only=options.only, jobs=options.jobs) for file in options.files or PLAN
    )


def mutate(root: Path, file: str, tests: Sequence[str], listed: Path, *, only: str = "", jobs: int = 1) -> int:
    """One file, with progress on standard output; returns 0, or what is wrong as an exit code."""
    source = root / file
    right = runner.run(root, source, None, tests, 600.0)
    if right.killed:
        print(f"{file}: its tests fail without any mutant", flush=True)
        return 2
    timeout_s = max(TIMEOUT_S_MIN, PATIENCE * right.seconds)
    began_s = time.monotonic()
    chosen = [mutant for mutant in mutants(source) if only in mutant.name]

    def survives(mutant: Mutant) -> bool:
        return not runner.run(root, source, mutant.code, tests, timeout_s).killed

    survived = _survivors(chosen, survives, file, jobs)
    if only:
        return 1 if survived else 0
    score = survivors.judge(file, [mutant.name for mutant in chosen], survived, survivors.read(listed))
    minutes = (time.monotonic() - began_s) / 60
    explained = len(score.survived) - len(score.unexplained)
    print(
        f"{file}: {score.mutants} mutants, {explained} explained, of the others {score.percent:.1f} % noticed "
        f"(of all {score.percent_of_all:.1f} %), {minutes:.1f} min",
        flush=True,
    )
    for name in score.unexplained:
        print(f"  not explained in {listed.name}: {name}")
    for name in score.stale:
        print(f"  listed in {listed.name}, and does not survive: {name}")
    return 0 if score.passed else 1


def _survivors(chosen: Sequence[Mutant], survives: Callable[[Mutant], bool], file: str, jobs: int) -> list[str]:
    """The names of those that survive, told as they are found. Each of some forked processes takes its share."""
    forks = multiprocessing.get_context("fork")
    found: multiprocessing.SimpleQueue[Mutant | None] = forks.SimpleQueue()

    def hunt(share: Sequence[Mutant]) -> None:
        try:
            for mutant in filter(survives, share):
                found.put(attrs.evolve(mutant, code=None))
        finally:
            found.put(None)

    hunters = [forks.Process(target=hunt, args=(chosen[first::jobs],)) for first in range(jobs)]
    for hunter in hunters:
        hunter.start()
    names = []
    for _ in hunters:
        for mutant in iter(found.get, None):
            print(f"  survives: {file}:{mutant.line} {mutant.name}", flush=True)
            names.append(mutant.name)
    for hunter in hunters:
        hunter.join()
        assert hunter.exitcode == 0, "a process that hunts mutants has failed"
    return names


if __name__ == "__main__":
    sys.exit(main())
