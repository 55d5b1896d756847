"""Our agent with a stopwatch: `python -m authagent`, and every step of its loop that took long is written down.

    STALLS=FILE python -m tests.benchmark.agent_program 1 --config ...

A step is what trio runs without coming back to the network: while it runs, nobody is served. Steps of more than
NOTED_S go to FILE, one line each: the end (nanoseconds of the monotonic clock) and the length (seconds).
"""

import functools
import os
import runpy
import sys
import time

import trio

NOTED_S = 0.005


class Stopwatch(trio.abc.Instrument):
    """Times every step of every task."""

    def __init__(self, path: str) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._began = 0.0

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self._began = time.monotonic()

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        taken = time.monotonic() - self._began
        if taken > NOTED_S:
            os.write(self._file, f"{time.monotonic_ns()} {taken:.4f}\n".encode())


if __name__ == "__main__":
    trio.run = functools.partial(trio.run, instruments=[Stopwatch(os.environ["STALLS"])])  # type: ignore[assignment]
    sys.argv[0] = "authagent"
    runpy.run_module("authagent", run_name="__main__", alter_sys=True)
