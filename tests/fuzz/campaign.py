"""A campaign: many inputs from one seed, shared out among processes, each input bounded in time and all in memory.

Rules of this file:

- The n-th input of a seed is the same whoever takes it. Its target is drawn by share.
- An input that takes longer than INPUT_TIMEOUT_S hangs: the honest ones take a millisecond, so that no slow machine
  is mistaken for a slow input.
- Memory is looked at now and then: once warm, a process may not grow by more than GROWTH_BYTES_MAX.
- The first finding of a process ends it. It tells the input as a line for the corpus.
"""

import multiprocessing
import os
import random
import signal
import time
import traceback
from collections import Counter
from types import FrameType

import attrs

from tests.fuzz.corpus import line_of
from tests.fuzz.targets import Target, targets

INPUT_TIMEOUT_S = 20.0
LOOK_EVERY = 10_000
WARM_INPUTS = 20_000
GROWTH_BYTES_MAX = 128 << 20


class Hangs(Exception):
    """An input took too long."""


@attrs.frozen
class Finding:
    """An input that something broke over."""

    target: str
    number: int
    data: bytes
    text: str

    def __str__(self) -> str:
        line = line_of(self.data, self.text.strip().splitlines()[-1])
        return f"{self.target}, input {self.number}\n{self.text}\nfor tests/fuzz/corpus/{self.target}.txt:\n{line}"


@attrs.define
class Result:
    """What one process, or all of them, has taken."""

    taken: Counter[str] = attrs.field(factory=Counter)
    seconds: float = 0.0
    grown_bytes: int = 0
    findings: list[Finding] = attrs.field(factory=list)


class Inputs:
    """All inputs of one seed."""

    def __init__(self, seed: int) -> None:
        self.targets = targets()
        self._seed = seed
        self._shares = [target for target in self.targets.values() for _ in range(target.share)]
        self._chance = random.Random()

    def make(self, number: int) -> tuple[Target, bytes]:
        """The input of a number, and whose it is."""
        self._chance.seed((self._seed << 64) + number)
        target = self._chance.choice(self._shares)
        return target, target.make(self._chance)


def run(seed: int, first: int, end: int, step: int = 1) -> Result:
    """Every `step`-th input from `first` on, before `end`, in this process."""
    result = Result()
    made = Inputs(seed)
    began_s, base_bytes = time.monotonic(), 0
    before = signal.signal(signal.SIGALRM, _hangs)
    try:
        for count, number in enumerate(range(first, end, step)):
            target, data = made.make(number)
            finding = take(target, data, number)
            result.taken[target.name] += 1
            if finding is not None:
                result.findings.append(finding)
                break
            if count % LOOK_EVERY == 0 and count >= WARM_INPUTS:
                base_bytes = base_bytes or resident_bytes()
                result.grown_bytes = max(result.grown_bytes, resident_bytes() - base_bytes)
                assert result.grown_bytes < GROWTH_BYTES_MAX, f"grown by {result.grown_bytes} bytes at {number}"
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)
    result.seconds = time.monotonic() - began_s
    return result


def take(target: Target, data: bytes, number: int = 0) -> Finding | None:
    """Give an input to its target; what it broke over, if it did."""
    signal.setitimer(signal.ITIMER_REAL, INPUT_TIMEOUT_S)
    try:
        target.take(data)
    except Exception:
        return Finding(target.name, number, data, traceback.format_exc(limit=-4))
    return None


def run_all(seed: int, count: int, workers: int, first: int = 0) -> Result:
    """So many inputs from `first` on, in so many processes."""
    end = first + count
    if workers == 1:
        return run(seed, first, end)
    began_s = time.monotonic()
    with multiprocessing.get_context("fork").Pool(workers) as pool:
        parts = pool.starmap(run, [(seed, first + worker, end, workers) for worker in range(workers)], chunksize=1)
    result = Result(seconds=time.monotonic() - began_s)
    for part in parts:
        result.taken += part.taken
        result.findings += part.findings
        result.grown_bytes = max(result.grown_bytes, part.grown_bytes)
    return result


def resident_bytes() -> int:
    """The memory of this process."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _hangs(signal_number: int, frame: FrameType | None) -> None:
    raise Hangs(f"an input took more than {INPUT_TIMEOUT_S:g} s")
