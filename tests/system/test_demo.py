"""`authagent demo` as a user runs it: every step holds, nothing is left behind, and a broken one is told."""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.harness import ROOT

pytestmark = [pytest.mark.system, pytest.mark.slow]

DEMO_S_MAX = 60.0
FIRST_RESULT_S_MAX = 5.0
STEPS = 13

WAN_S_MAX = 90.0
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


def start(folder: Path, *arguments: str) -> "subprocess.Popen[str]":
    """The demo with its temporary folder inside `folder`."""
    environment = {**os.environ, "TMPDIR": str(folder), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "authagent", "demo", *arguments]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=folder, env=environment
    )


def test_every_step_holds(folder: Path) -> None:
    """The whole story: first result in time, a line a step, nobody lost, nobody back, exit 0, nothing left behind."""
    began = time.monotonic()
    demo = start(folder)
    assert demo.stdout is not None
    lines, first_s = [], None
    for line in demo.stdout:
        lines.append(line.rstrip("\n"))
        if first_s is None and re.match(r"\s*1  ", line):
            first_s = time.monotonic() - began
    code = demo.wait(10)
    demo.stdout.close()
    said = "\n".join(lines)
    assert code == 0, said
    assert time.monotonic() - began < DEMO_S_MAX
    assert first_s is not None
    assert first_s < FIRST_RESULT_S_MAX * 2, "twice the promise, for a machine that runs other tests"
    assert lines[-1] == "logins lost 0, logged-out users back 0"
    assert [int(found[1]) for line in lines if (found := re.match(r"\s*(\d+)  \S", line))] == list(range(1, STEPS + 1))
    assert re.search(r"requests \d{3,}, asked to log in again 0", said)
    assert "\x1b" not in said, "no colours in a pipe"
    assert list(folder.iterdir()) == []


def test_every_step_of_the_story_of_two_sites_holds(folder: Path) -> None:
    """`--wan`: a line a step, nobody lost, nobody back, exit 0 in time, nothing left behind."""
    began = time.monotonic()
    demo = start(folder, "--wan")
    said, _ = demo.communicate(timeout=2 * WAN_S_MAX)
    assert demo.returncode == 0, said
    assert time.monotonic() - began < WAN_S_MAX, said
    numbers = [int(found) for found in re.findall(r"^\s*(\d+)  \S", said, re.MULTILINE)]
    assert numbers == list(range(1, WAN_STEPS + 1)), said
    assert said.splitlines()[-1] == "logins lost 0, logged-out users back 0"
    assert "done on 2 of 2 proxies and 2 of 2 sites" in said
    assert list(folder.iterdir()) == []


def test_only_one_story_is_told(folder: Path) -> None:
    """Two at once are a mistake of usage."""
    demo = start(folder, "--wan", "--squid")
    said, _ = demo.communicate(timeout=30.0)
    assert (demo.returncode, "one story at a time" in said) == (2, True)


def test_keep_leaves_the_logs_and_ctrl_c_leaves_no_process(folder: Path) -> None:
    """Interrupted in the middle, the demo ends its processes, exits with 130, and with --keep leaves the folder."""
    demo = start(folder, "--keep")
    assert demo.stdout is not None
    while not re.match(r"\s*1  ", line := demo.stdout.readline()):
        assert line, "the demo ended before its first step"
    started = children_of(demo.pid)
    assert len(started) >= 5
    demo.send_signal(signal.SIGINT)
    assert demo.wait(10) == 130
    demo.stdout.close()
    assert not [pid for pid in started if Path(f"/proc/{pid}").exists()]
    (logs,) = folder.iterdir()
    assert {"agent1.log", "agent2.log", "proxy1.log"} <= {path.name for path in logs.iterdir()}
