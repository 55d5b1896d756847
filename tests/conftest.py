"""What all tests share: how hard Hypothesis tries, and that no test leaves a process or thread behind.

HYPOTHESIS_PROFILE names the profile: `fast` (the default), `ci`, `deep` (by hand, an hour).
"""

import gc
import multiprocessing
import os
import threading
import time
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from tests.programs import Program, require

settings.register_profile("fast", max_examples=50, deadline=None, print_blob=True)
settings.register_profile(
    "ci",
    max_examples=200,
    deadline=None,
    print_blob=True,
    derandomize=True,  # a submission is not refused for what another change broke; `deep` and `fast` look for more
    suppress_health_check=[HealthCheck.too_slow],  # shared machines
)
settings.register_profile("deep", max_examples=20_000, deadline=None, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fast"))

LEFTOVER_TIMEOUT_S = 2.0


@pytest.fixture(scope="session")
def program() -> Program:
    """Where a program that comes as a wheel is, by its name; skips the test where it is missing (tests/programs)."""
    return require


def _children() -> set[int]:
    """The processes that this one has started and not yet waited for."""
    found = set()
    for thread in os.listdir("/proc/self/task"):
        try:
            with open(f"/proc/self/task/{thread}/children") as file:
                found.update(int(word) for word in file.read().split())
        except FileNotFoundError:
            continue  # the thread has ended
    return found


def _threads() -> set[threading.Thread]:
    """Running threads that would keep the process alive; trio keeps idle worker threads for a while, as daemons."""
    return {thread for thread in threading.enumerate() if not thread.daemon}


@pytest.fixture(autouse=True)
def _no_leftovers(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test that ends with a process or thread of its own still running."""
    children, threads = _children(), _threads()
    yield
    deadline = time.monotonic() + LEFTOVER_TIMEOUT_S
    while (_children() - children or _threads() - threads) and time.monotonic() < deadline:
        gc.collect()
        multiprocessing.active_children()  # waits for those that have ended
        time.sleep(0.01)
    left = sorted(_children() - children) + sorted(thread.name for thread in _threads() - threads)
    assert not left, f"{request.node.nodeid} left behind: {left}"
