"""Plays histories on trio's virtual clock, with trio's own chance seeded, and traces every step of its scheduler.

Two names of trio's inside make its schedule a function of the seed: the dice with which it shuffles what can run, and
the switch that puts a batch in order before. test_histories.py fails loudly when trio moves them.
"""

import gc
import hashlib
import secrets
import tempfile
from collections.abc import Callable
from pathlib import Path

import trio
import trio.testing
from trio._core import _run

from tests.virtual.history import PROXIES, History, Outcome

_CONFIGURATION = """\
site = "lan1"
state_dir = "{folder}"
[tls]
mode = "off"
[control]
folder = "{folder}"
[[authagent]]
id = 1
host = "127.0.0.1"
port = 9023
[[authagent]]
id = 2
host = "127.0.0.1"
port = 9024
[[proxyagent]]
id = "proxy*"
"""


class Tracer(trio.abc.Instrument):
    """Hashes which task runs, and when."""

    def __init__(self) -> None:
        self._hash = hashlib.blake2b(digest_size=16)

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self._hash.update(f"{trio.current_time():.6f} {task.name}\n".encode())

    @property
    def digest(self) -> str:
        """The trace so far, as one word."""
        return self._hash.hexdigest()


def play(seed: int, tell: Callable[[str], None] = lambda line: None) -> tuple[Outcome, str]:
    """One history; raises what it breaks, out of any groups. Returns what it came to, and its trace."""
    with tempfile.TemporaryDirectory(prefix="virtual-") as folder:
        path = Path(folder) / "authagent.toml"
        path.write_text(_CONFIGURATION.format(folder=folder))
        secret = Path(folder) / "secret"
        secret.touch(mode=0o600)
        secret.write_text(secrets.token_urlsafe(32) + "\n")
        return _play(History(seed, path, tell), seed)


def _play(history: History, seed: int) -> tuple[Outcome, str]:
    assert PROXIES >= 2, "a history wants proxies on both sides of a split"
    tracer, clock = Tracer(), trio.testing.MockClock(autojump_threshold=0)
    _run._ALLOW_DETERMINISTIC_SCHEDULING = True
    _run._r.seed(seed)
    gc.disable()  # a finalizer would run when memory says so
    try:
        trio.run(history.play, clock=clock, instruments=[tracer])
    except BaseExceptionGroup as group:
        raise _first(group) from None
    finally:
        gc.enable()
        gc.collect()
    oracle = history.oracle
    seconds = clock.current_time()
    return Outcome(history.faults, len(oracle.acknowledged), len(oracle.ended), seconds), tracer.digest


def _first(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
