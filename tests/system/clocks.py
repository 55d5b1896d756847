"""Wall clocks of single processes, shifted while they run, by libfaketime.

Rules of this file:

- Only the wall clock is shifted: the monotonic clock and the one that counts suspend go on, as when somebody sets the
  time of a machine.
- Where libfaketime is not installed nothing is shifted, and `possible` says so.
"""

from collections.abc import Iterable
from pathlib import Path

LIBRARY = "faketime/libfaketime.so.1"
FOLDERS = ("/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64", "/usr/lib", "/usr/local/lib")


def find_library() -> str:
    """Where libfaketime is; empty when it is nowhere."""
    return next((path for folder in FOLDERS if Path(path := f"{folder}/{LIBRARY}").exists()), "")


def clear_up(pid: int) -> None:
    """Remove what libfaketime has shared between a process and its children: a killed one leaves it behind."""
    for path in Path("/dev/shm").glob(f"*faketime_*_{pid}"):
        path.unlink(missing_ok=True)


class Clocks:
    """One clock for each node, right at first."""

    def __init__(self, folder: Path, nodes: Iterable[str]) -> None:
        self._library = find_library()
        self._files = {node: folder / f"clock-{node}" for node in nodes}
        for node in self._files:
            self.shift(node, 0.0)

    @property
    def possible(self) -> bool:
        """Whether clocks can be shifted here."""
        return bool(self._library)

    def environment(self, node: str) -> dict[str, str]:
        """What the processes of `node` must be started with."""
        if not self._library:
            return {}
        return {
            "LD_PRELOAD": self._library,
            "FAKETIME_TIMESTAMP_FILE": str(self._files[node]),
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "FAKETIME_CACHE_DURATION": "1",  # seconds until a shift is seen
        }

    def shift(self, node: str, seconds: float) -> None:
        """From within a second on the wall clock of `node` is so far from the real one."""
        fresh = self._files[node].with_suffix(".new")
        fresh.write_text(f"{seconds:+.3f}\n")
        fresh.rename(self._files[node])
