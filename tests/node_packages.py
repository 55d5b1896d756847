"""Install the npm packages that tests compare with: `python tests/node_packages.py`.

Rules of this file:

- What is installed is exactly package-lock.json: versions pinned, contents checked by their hashes, no scripts run.
  The lock names no place; npm's own settings do.
- It lies in .venv under the lock's hash, and is put there whole or not at all: `make clean` removes it, and a changed
  lock gets a folder of its own.
- Without node or npm, or when npm fails, that is told; with CI=true it is a failure (see tests/components.py).
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PEERS = ROOT / "tests" / "proxyagent" / "cookie_peers"
FILES = ("package.json", "package-lock.json")
ATTEMPTS = 3
TIMEOUT_S = 180


def folder() -> Path:
    """Where the packages are, or will be."""
    lock = hashlib.sha256((PEERS / "package-lock.json").read_bytes()).hexdigest()
    return ROOT / ".venv" / "node-packages" / lock[:16]


def installed() -> bool:
    """Whether they are there."""
    return (folder() / "node_modules").is_dir()


def install() -> str:
    """Install them unless they are there; what went wrong, or nothing."""
    if installed():
        return ""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        return "node and npm are not installed"
    parent = folder().parent
    parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=parent) as made:
        for name in FILES:
            shutil.copy(PEERS / name, made)
        error = _run([npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"], made)
        if not error:
            try:
                os.rename(made, folder())
                os.mkdir(made)  # for TemporaryDirectory to remove
            except OSError:
                pass  # another run has put it there meanwhile
    return error if not installed() else ""


def _run(command: list[str], cwd: str) -> str:
    """Try a few times: a registry may be slow. The last line of what it complained about, or nothing."""
    complaint = ""
    for _ in range(ATTEMPTS):
        try:
            done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
        except subprocess.TimeoutExpired:
            complaint = f"npm ci was not done within {TIMEOUT_S} s"
            continue
        if done.returncode == 0:
            return ""
        complaint = next(iter(reversed(done.stderr.strip().splitlines())), f"exit code {done.returncode}")
    return f"npm ci failed: {complaint}"


def main() -> int:
    """Install, or tell what is wrong; the exit code is 1 only where that must stop the tests."""
    wrong = install()
    if wrong:
        print(f"npm's jose and node-jose are not there: {wrong}; the tests that need them are skipped", file=sys.stderr)
    return 1 if wrong and os.environ.get("CI") == "true" else 0


if __name__ == "__main__":
    sys.exit(main())
