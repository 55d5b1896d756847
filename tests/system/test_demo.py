"""`authagent demo` as a user runs it: every step holds, nothing is left behind, and a broken one is told."""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.system.harness import ROOT

pytestmark = [pytest.mark.system, pytest.mark.slow]

HANGS_S = 240.0
"""Both stories take under a minute, which they tell themselves; a machine that runs other tests may be slow."""

STEPS = 13
WAN_STEPS = 10


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder for temporary files with a short name: the demo's control sockets lie below it."""
    path = Path(tempfile.mkdtemp(prefix="d-"))
    yield path
    shutil.rmtree(path)


def children_of(pid: int) -> set[int]:
    """The processes that `pid` has started and that are still there."""
    done = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True)
    return {int(word) for word in done.stdout.split()}


@contextmanager
def demo(folder: Path, *arguments: str) -> "Iterator[subprocess.Popen[str]]":
    """The demo with its temporary folder inside `folder`; it has ended when this is left."""
    environment = {**os.environ, "TMPDIR": str(folder), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "authagent", "demo", *arguments]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=folder, env=environment
    ) as process:
        try:
            yield process
        finally:
            process.send_signal(signal.SIGINT)


def told(folder: Path, *arguments: str) -> str:
    """What the demo says from beginning to end; every step of it holds, and it leaves nothing behind."""
    with demo(folder, *arguments) as process:
        said, _ = process.communicate(timeout=HANGS_S)
    assert process.returncode == 0, said
    assert list(folder.iterdir()) == []
    return said


def steps(said: str) -> list[int]:
    """The numbers of the steps that were told."""
    return [int(found) for found in re.findall(r"^\s*(\d+)  \S", said, re.MULTILINE)]


def test_every_step_holds(folder: Path) -> None:
    """The whole story: a line a step, nobody lost, nobody back, exit 0, nothing left behind."""
    said = told(folder)
    assert steps(said) == list(range(1, STEPS + 1)), said
    assert said.splitlines()[-1] == "logins lost 0, logged-out users back 0"
    assert re.search(r"requests \d{3,}, asked to log in again 0", said)
    assert "\x1b" not in said, "no colours in a pipe"


def test_every_step_of_the_story_of_two_sites_holds(folder: Path) -> None:
    """`--wan`: a line a step, nobody lost, nobody back, exit 0, nothing left behind."""
    said = told(folder, "--wan")
    assert steps(said) == list(range(1, WAN_STEPS + 1)), said
    assert said.splitlines()[-1] == "logins lost 0, logged-out users back 0"
    assert "done on 2 of 2 proxies and 2 of 2 sites" in said


def test_only_one_story_is_told(folder: Path) -> None:
    """Two at once are a mistake of usage."""
    with demo(folder, "--wan", "--squid") as process:
        said, _ = process.communicate(timeout=HANGS_S)
    assert (process.returncode, "one story at a time" in said) == (2, True)


def test_keep_leaves_the_logs_and_ctrl_c_leaves_no_process(folder: Path) -> None:
    """Interrupted in the middle, the demo ends its processes, exits with 130, and with --keep leaves the folder."""
    with demo(folder, "--keep") as process:
        assert process.stdout is not None
        while not re.match(r"\s*1  ", line := process.stdout.readline()):
            assert line, "the demo ended before its first step"
        started = children_of(process.pid)
        assert len(started) >= 5, line
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=HANGS_S)
    assert process.returncode == 130, line + said
    assert not [pid for pid in started if Path(f"/proc/{pid}").exists()]
    (logs,) = folder.iterdir()
    assert {"agent1.log", "agent2.log", "proxy1.log"} <= {path.name for path in logs.iterdir()}
