"""The log of a program: its file, its rotation, and what happens when it cannot be written."""

import io
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from protocol.io.log import Severity
from protocol.io.log_file import LogFile, ProgramLog


def program_log(path: Path | str, form: str = "text", level: int = 1) -> ProgramLog:
    return ProgramLog(level=level, path=str(path), form=form, monotonic_s=lambda: 0.0)


def test_a_line_of_text(tmp_path: Path) -> None:
    """Time in UTC, severity, event, keys."""
    log = program_log(tmp_path / "log")
    log.alarm("store.broken", error="the disk is full", tries=3)
    log.close()
    line = (tmp_path / "log").read_text()
    assert re.fullmatch(
        r'\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z alarm store\.broken error="the disk is full" tries=3\n', line
    )


def test_a_line_of_json(tmp_path: Path) -> None:
    """The same as an object; a key cannot displace event, time or severity, and bytes are not shown."""
    log = program_log(tmp_path / "log", "json")
    log.warning("link.refused", peer="2", event_="x", proof=b"123", time="never", address=Path("/a"))
    log.close()
    line = json.loads((tmp_path / "log").read_text())
    assert line.pop("time").endswith("Z")
    assert line == {
        "severity": "warning",
        "event": "link.refused",
        "peer": "2",
        "event_": "x",
        "proof": "<3 bytes>",
        "address": "/a",
    }


def test_rotation_is_followed(tmp_path: Path) -> None:
    """After reopening, lines go to a new file of the old name; none is lost."""
    log = program_log(tmp_path / "log")
    log.note("one")
    (tmp_path / "log").rename(tmp_path / "log.1")
    log.note("two")
    log.reopen()
    log.note("three")
    log.close()
    assert [line.split()[-1] for line in (tmp_path / "log.1").read_text().splitlines()] == ["one", "two"]
    assert [line.split()[-1] for line in (tmp_path / "log").read_text().splitlines()] == ["three"]


def test_a_rotation_that_fails_changes_nothing(tmp_path: Path) -> None:
    """When the new file cannot be opened the old one goes on, and says so."""
    (tmp_path / "logs").mkdir()
    log = program_log(tmp_path / "logs" / "log")
    (tmp_path / "logs").rename(tmp_path / "gone")
    log.reopen()
    log.note("told.after")
    log.close()
    events = [line.split()[2] for line in (tmp_path / "gone" / "log").read_text().splitlines()]
    assert events == ["log.reopen_failed", "told.after"]


def test_a_full_disk_loses_lines_and_nothing_else() -> None:
    """Writing to a device that is always full raises nothing; the lines are counted."""
    log = program_log("/dev/full")
    log.alarm("store.broken")
    log.note("still running")
    assert log.lost_lines == 2
    log.close()
    log.note("after the end")
    assert log.lost_lines == 3


def test_a_file_that_cannot_be_opened_is_an_error_at_start(tmp_path: Path) -> None:
    """The program is told, so that it can say which setting is wrong."""
    with pytest.raises(OSError, match="No such file"):
        program_log(tmp_path / "nowhere" / "log")


def test_the_file_is_not_for_everybody(tmp_path: Path) -> None:
    """Names of users stand in it: others may not read it."""
    program_log(tmp_path / "log").close()
    assert (tmp_path / "log").stat().st_mode & 0o007 == 0


def test_standard_error_stays_open(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a path lines go to standard error, which neither reopening nor closing touches."""
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    file = LogFile()
    file(Severity.INFO, "authagent.started", {"id": "1"})
    file.reopen()
    file.close()
    assert stream.getvalue().endswith(" info authagent.started id=1\n")
    assert not stream.closed


def test_structlog_is_imported_when_a_log_is_opened(run_python: Callable[[str], str]) -> None:
    """Importing the log costs no structlog; opening one does."""
    assert (
        run_python(
            "import sys; from protocol.io.log_file import LogFile; before = 'structlog' in sys.modules; LogFile();"
            "print(before, 'structlog' in sys.modules)"
        )
        == "False True\n"
    )


@pytest.fixture
def run_python() -> Callable[[str], str]:
    """Runs code in a fresh interpreter; its output."""

    def run(code: str) -> str:
        root = Path(__file__).resolve().parents[3]
        return subprocess.run([sys.executable, "-c", code], cwd=root, check=True, capture_output=True, text=True).stdout

    return run
