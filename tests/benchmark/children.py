"""Worker processes: a command goes in as one JSON line, its answer comes out as one.

Rules of this file:

- Every wait has a deadline; a worker that dies or is late fails the row with the end of its log.
- Processes are ended by their own handle, whatever happens.
"""

import contextlib
import json
import os
import selectors
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


class RowFailed(Exception):
    """A row could not be measured; the text says why."""


class Child:
    """One process. With `talks` its standard input and output are for commands and answers."""

    def __init__(
        self,
        name: str,
        command: list[str],
        folder: Path,
        *,
        talks: bool = False,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.name = name
        self._log = folder / f"{name}.log"
        pipe = subprocess.PIPE if talks else subprocess.DEVNULL
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                command,
                stdin=pipe,
                stdout=pipe if talks else log,
                stderr=log,
                bufsize=0,
                cwd=ROOT,
                env={**os.environ, **(environment or {})},
            )
        self._buffer = b""
        self.greeting: dict[str, Any] = {}

    def send(self, **command: Any) -> None:
        """Give a command."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(command).encode() + b"\n")

    def answer(self, within_s: float = 60.0) -> dict[str, Any]:
        """The next answer."""
        assert self.process.stdout is not None
        deadline = time.monotonic() + within_s
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)
            while b"\n" not in self._buffer:
                if not selector.select(max(0.0, deadline - time.monotonic())):
                    raise RowFailed(f"{self.name} did not answer within {within_s:g} s: {self.log_end()}")
                data = os.read(self.process.stdout.fileno(), 1 << 20)
                if not data:
                    raise RowFailed(f"{self.name} ended: {self.log_end()}")
                self._buffer += data
        line, self._buffer = self._buffer.split(b"\n", 1)
        answer: dict[str, Any] = json.loads(line)
        return answer

    def ask(self, within_s: float = 60.0, /, **command: Any) -> dict[str, Any]:
        """Give a command and wait for its answer."""
        self.send(**command)
        return self.answer(within_s)

    def kill(self) -> None:
        """kill -9, and wait until it is gone."""
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        self.process.wait()

    def cpu_s(self) -> float:
        """Processor seconds used so far, user and system."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def rss_bytes(self) -> int:
        """Resident memory."""
        return int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def log_end(self) -> str:
        """The last lines it wrote."""
        return " | ".join(self._log.read_text(errors="replace").strip().splitlines()[-3:])


def worker(name: str, module: str, folder: Path, *arguments: str, within_s: float = 30.0) -> Child:
    """A worker that runs one of our modules; it has said that it is ready."""
    child = Child(name, [sys.executable, "-m", module, *arguments], folder, talks=True)
    try:
        child.greeting = child.answer(within_s)
    except BaseException:
        child.kill()
        raise
    return child


@contextlib.contextmanager
def all_ended(children: list[Child]) -> Iterator[None]:
    """End every child of the list, those added meanwhile too."""
    try:
        yield
    finally:
        for child in children:
            child.kill()
