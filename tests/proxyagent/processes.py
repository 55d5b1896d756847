"""Starting the command line of proxyagent, and waiting for what real processes do."""

import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

PATIENCE_S = 20.0


def until(condition: Callable[[], Any]) -> Any:
    """Wait for a condition, with a deadline."""
    deadline = time.monotonic() + PATIENCE_S
    while not (found := condition()):
        assert time.monotonic() < deadline, "in time"
        time.sleep(0.02)
    return found


def call(*words: str, code: int = 0) -> str:
    """Run a verb; its standard output, or its standard error where it failed."""
    done = subprocess.run(
        [sys.executable, "-m", "proxyagent", *words], capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout if code in (0, 1) else done.stderr
