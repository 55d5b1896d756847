"""Runs tests against a mutant: in a forked child of a warm process, so that starting costs little.

Rules of this file:

- The parent has imported the libraries and nothing of the project; each child imports the project anew, with the
  mutated module in the place of the right one, runs the chosen tests and stops at the first that fails.
- A child that hangs, or takes more memory than it should, counts as having noticed. It is a session of its own, and
  ends with all that it started. Time that it waits for a processor does not count: a busy machine is no hang.
- What a child has mounted when it is ended is seen by nobody else, and gone with the campaign.
- Hypothesis draws the same examples for every mutant, and does not shrink what fails.
"""

import atexit
import ctypes
import importlib.abc
import importlib.machinery
import importlib.util
import os
import resource
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import CodeType, ModuleType

import attrs
import hypothesis
import pytest

WARM = (
    "_hypothesis_pytestplugin",
    "anyio.pytest_plugin",
    "attrs",
    "cryptography.x509",
    "hypothesis.strategies",
    "msgpack",
    "packaging.requirements",
    "pdb",
    "pytest_trio",
    "sqlite3",
    "structlog",
    "tomllib",
    "trio.testing",
    "trustme",
    "xdist.looponfail",
    "xdist.plugin",
)
"""What a child need not import itself. It holds nothing of the project."""

OPTIONS = ("-x", "-q", "-p", "no:cacheprovider", "-W", "ignore::pytest.PytestAssertRewriteWarning")
"""The warning is about plugins that are warm."""

MEMORY_BYTES_MAX = 4 << 30
LOOK_S = 0.5
"""How often the time of a child is looked at."""

PROFILE = "mutants"

CLONE_NEWNS = 0x20000
"""unshare(2): a mount namespace of one's own."""


@attrs.frozen
class Outcome:
    """What the tests said: `killed` by a failing test, or a hang; `seconds` of its own that it took."""

    killed: bool
    seconds: float


class _Loader(importlib.abc.Loader):
    def __init__(self, code: CodeType) -> None:
        self._code = code

    def exec_module(self, module: ModuleType) -> None:
        exec(self._code, module.__dict__)


class _Finder(importlib.abc.MetaPathFinder):
    """Finds one module, and its code in memory."""

    def __init__(self, name: str, path: Path, code: CodeType) -> None:
        self._name, self._path, self._code = name, path, code

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != self._name:
            return None
        return importlib.util.spec_from_file_location(fullname, self._path, loader=_Loader(self._code))


def warm_up() -> None:
    """Import what every child needs, have its bytecode kept for the next, and tell Hypothesis how hard to try."""
    sys.dont_write_bytecode = False
    if sys.pycache_prefix is None:
        sys.pycache_prefix = tempfile.mkdtemp(prefix="mutants-")
        atexit.register(shutil.rmtree, sys.pycache_prefix, ignore_errors=True)
    for name in WARM:
        importlib.import_module(name)
    hypothesis.settings.register_profile(
        PROFILE,
        max_examples=60,
        derandomize=True,
        database=None,
        deadline=None,
        phases=(hypothesis.Phase.explicit, hypothesis.Phase.generate),
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    os.environ["HYPOTHESIS_PROFILE"] = PROFILE


def keep_mounts_private() -> None:
    """From now on what this process and its children mount is theirs alone; only root can, and only root mounts.

    Raises OSError where the kernel forbids it.
    """
    if os.geteuid() != 0:
        return
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNS) != 0:
        raise OSError(ctypes.get_errno(), "no mount namespace for the mutants")
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)


def run(root: Path, source: Path, code: CodeType | None, tests: Sequence[str], timeout_s: float) -> Outcome:
    """The tests against the project under `root`, with `code` in the place of the module that `source` holds."""
    began_s = time.monotonic()
    child = os.fork()
    if not child:
        _child(root, source, code, tests)
    return _wait(child, began_s, timeout_s)


def _child(root: Path, source: Path, code: CodeType | None, tests: Sequence[str]) -> None:
    """Never returns."""
    result = 70
    try:
        os.setsid()
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES_MAX, MEMORY_BYTES_MAX))
        silence = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(silence, descriptor)
        os.chdir(root)
        sys.path.insert(0, str(root))
        _forget_project()
        if code is not None:
            name = ".".join(source.relative_to(root).with_suffix("").parts)
            sys.meta_path.insert(0, _Finder(name, source, code))
        result = int(pytest.main([*OPTIONS, *tests]))
    finally:
        os._exit(result)


def _forget_project() -> None:
    """A child begins with nothing of the project, whatever its parent has imported."""
    for name in list(sys.modules):
        if name.partition(".")[0] in ("authagent", "protocol", "proxyagent", "tests", "conftest"):
            del sys.modules[name]


def _wait(child: int, began_s: float, timeout_s: float) -> Outcome:
    """Wait for a child to end, or to take too long. All that it started is gone afterwards."""
    descriptor = os.pidfd_open(child)
    ended = False
    try:
        while not ended and _own_s(child, began_s) < timeout_s:
            ended = bool(select.select([descriptor], [], [], LOOK_S)[0])
        seconds = _own_s(child, began_s)
    finally:
        os.close(descriptor)
        try:
            os.killpg(child, signal.SIGKILL)
        except ProcessLookupError:
            pass  # nothing is left of its session
    _, status = os.waitpid(child, 0)
    return Outcome(not ended or os.waitstatus_to_exitcode(status) != 0, seconds)


def _own_s(child: int, began_s: float) -> float:
    """For how long a child has run or waited for anything but a processor (proc(5): the second of schedstat)."""
    waited_ns = int(Path(f"/proc/{child}/schedstat").read_text().split()[1])
    return time.monotonic() - began_s - waited_ns / 1e9
