"""`authagent demo --squid` as a user runs it, with the real programs: the files of examples/squid_farm."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from authagent.demo import farm, farm_story
from tests.system.processes import ROOT

STEPS = 8
END_S = 240

pytestmark = [pytest.mark.system, pytest.mark.slow]


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder for temporary files with a short name, which Squid may enter: control sockets lie below it."""
    path = Path(tempfile.mkdtemp(prefix="d-", dir="/tmp"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


def test_one_login_for_three_squids(folder: Path) -> None:
    """A page or 407; one login for three Squids; nobody asked again through kills and a restart; out is out at once."""
    lacking = farm.missing()
    if lacking:
        assert os.environ.get("CI") != "true", f"not installed: {lacking}"
        pytest.skip(f"not installed: {lacking}; as root: python tests/components.py")
    done = subprocess.run(
        [sys.executable, "-m", "authagent", "demo", "--squid"],
        capture_output=True, text=True, timeout=END_S, check=False, cwd=ROOT,
        env={**os.environ, "TMPDIR": str(folder)},
    )  # fmt: skip
    lines = done.stdout.splitlines()
    assert done.returncode == 0, done.stdout + done.stderr
    assert lines[-1] == "logins lost 0, logged-out users back 0"
    assert [int(found[1]) for line in lines if (found := re.match(r"\s*(\d+)  \S", line))] == list(range(1, STEPS + 1))
    assert re.search(r"requests \d{2,}, asked again 0, in flight", done.stdout)
    assert list(folder.iterdir()) == []


def test_what_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """One line with the command that installs it, before anything starts."""
    monkeypatch.setattr(farm, "FOLDERS", "/nowhere")
    monkeypatch.setattr(farm, "LIBRARIES", ("no_such_library",))
    assert farm_story.run() == farm_story.MISSING
    told = capsys.readouterr()
    assert told.out == ""
    packages, libraries = "apt-get install haproxy slapd squid", 'pip install "one-login[http,ldap]"'
    assert told.err == f"authagent demo --squid needs what is not installed here: {packages}; {libraries}\n"
