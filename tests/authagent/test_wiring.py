"""Putting one agent together, in this process; whole lives of agents are in tests/shell/test_agent_shell.py."""

import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from authagent import setup, wiring
from authagent.config import Flags
from authagent.core.agent import Agent
from tests.authagent.running import write_files


def flags(path: Path, number: str = "1") -> Flags:
    return Flags(config=str(path), number=number)


def test_the_machine_is_as_the_file_wants_it(tmp_path: Path) -> None:
    """Site, ids, times and bounds arrive where they count."""
    more = (
        '[timing]\nconnect_attempts = 7\nconnect_interval = "300ms"\nsuspect_after = "2s"\nmax_clock_offset = "3s"\n'
        'heartbeat_interval = "400ms"\n[limits]\nsessions = 5_000\n'
    )
    made = setup.read(flags(write_files(tmp_path, agents=2, more=more), "2"), 1)
    agent = wiring.make_agent(made, random.Random(1))
    settings = agent.settings
    assert (settings.site, settings.id, settings.partner) == ("lan1", 2, 1)
    assert (settings.connect_attempts, settings.connect_interval_s) == (7, 0.3)
    assert (settings.suspect_after_s, settings.heartbeat_interval_s) == (2.0, 0.4)
    assert settings.max_clock_offset_ms == agent.table.max_clock_offset_ms == 3_000
    assert agent.resync.secret_id == made.secret_id


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda path: path.unlink(), "there is no such file"),
        (lambda path: path.write_text("[sesion]\n"), "did you mean session"),
        (lambda path: (path.parent / "secret").unlink(), "secret"),
        (lambda path: (path.parent / "secret").write_text("password\n"), "weak"),
        (lambda path: path.write_text(f'{path.read_text()}[logging]\npath = "none/x.log"\n'), "none/x.log"),
    ],
)
def test_what_is_wrong_with_a_file_ends_with_2(
    spoil: Callable[[Path], Any], said: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """One line that names the file, before anything is opened."""
    path = write_files(tmp_path)
    spoil(path)
    assert wiring.main(flags(path)) == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith("authagent: ") and said in line
    assert not (tmp_path / "state").exists()


def test_a_broken_machine_ends_with_70(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """With an alarm, a traceback for the report, and a line that asks for one."""

    def step(*arguments: object) -> list[Any]:
        raise AssertionError("an invariant does not hold")

    monkeypatch.setattr(Agent, "step", step)
    assert wiring.main(flags(write_files(tmp_path))) == 70
    lines = capfd.readouterr().err.splitlines()
    assert any("alarm authagent.broken error=" in line for line in lines)
    assert lines[-1].startswith("authagent: internal error, please report it with the lines above: AssertionError(")
    assert any("an invariant does not hold" in line for line in lines if line.startswith("  "))


def test_times_of_day_are_rfc_3339_in_utc() -> None:
    """To the millisecond, and further back for more seconds ago."""
    now, before = wiring._rfc3339(0.0), wiring._rfc3339(3_600.0)
    for text in (now, before):
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", text)
    assert before < now
