"""A program of a system test: started any number of times, killed, stopped and continued.

Rules of this file:

- Nobody sleeps for luck: every wait is for a condition, with a deadline, and tells what was last seen.
- Every process is ended by its own handle, whatever happens.
"""

import os
import signal
import subprocess
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import attrs
import trio

from tests.system.clocks import clear_up

ROOT = Path(__file__).resolve().parents[2]

_POLL_S = 0.02


async def until(holds: Callable[[], Awaitable[Any] | Any], within_s: float, what: str) -> float:
    """Wait until `holds` returns True; returns the seconds it took, fails with what was last seen."""
    began = trio.current_time()
    while True:
        seen = holds()
        if isinstance(seen, Awaitable):
            seen = await seen
        if seen is True:
            return trio.current_time() - began
        assert trio.current_time() - began < within_s, f"{what}: not within {within_s:g} s; last seen: {seen}"
        await trio.sleep(_POLL_S)


@attrs.define
class Process:
    """One program of the site, started any number of times; its diagnostics go to one log."""

    name: str
    command: list[str]
    log: Path
    piped: bool = False
    environment: dict[str, str] = attrs.field(factory=dict)
    starts: int = 0
    _process: "subprocess.Popen[bytes] | None" = None

    def start(self) -> None:
        """Start it; it must not be running."""
        assert not self.running, f"{self.name} runs already"
        self.starts += 1
        pipe = subprocess.PIPE if self.piped else subprocess.DEVNULL
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self.command,
                stdin=pipe,
                stdout=pipe if self.piped else log,
                stderr=log,
                cwd=ROOT,
                bufsize=0,
                env={**os.environ, **self.environment},
            )

    @property
    def running(self) -> bool:
        """Whether the process exists (a stopped one does)."""
        return self._process is not None and self._process.poll() is None

    @property
    def returncode(self) -> int | None:
        """How it ended, None while it runs."""
        return self.process.poll()

    @property
    def process(self) -> "subprocess.Popen[bytes]":
        """The process of the last start."""
        assert self._process is not None, f"{self.name} was never started"
        return self._process

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal to this process."""
        self.process.send_signal(number)

    def pause(self) -> None:
        """SIGSTOP."""
        self.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        self.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """kill -9, and wait until it is gone."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            if self.environment:
                clear_up(self._process.pid)
            for pipe in (self._process.stdin, self._process.stdout):
                if pipe is not None:
                    pipe.close()

    async def terminate(self, within_s: float = 3.0) -> float:
        """SIGTERM; returns the seconds until it was gone."""
        self.send_signal(signal.SIGTERM)
        return await until(lambda: self.returncode is not None, within_s, f"{self.name} ends after SIGTERM")

    def log_end(self, lines: int = 5) -> str:
        """The end of its log, to be shown when a test fails."""
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return "\n".join(text.splitlines()[-lines:])
