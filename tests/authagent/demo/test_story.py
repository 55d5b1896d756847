"""The story when it goes wrong; how it goes well is in tests/system/test_demo.py."""

import io
import sys
from pathlib import Path

import pytest

from authagent.demo import cast, run, stage, story


def test_a_step_that_does_not_hold_ends_the_story(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Agents that end at once: exit code 1, what was expected and seen, the agent's last words, and the logs kept."""

    def broken(folder: Path, config: Path, number: int) -> cast.Agent:
        agent = cast.make_agent(folder, config, number)
        agent.command = [sys.executable, "-c", "print('no luck today')"]
        return agent

    monkeypatch.setattr(stage, "make_agent", broken)
    monkeypatch.setattr(story, "_START_S", 0.1)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    out = io.StringIO()
    assert run(out=out) == 1
    said = out.getvalue()
    (folder,) = tmp_path.iterdir()
    assert "expected  agent 1 master and agent 2 slave" in said
    assert "no luck today" in said
    assert f"logs      {folder}" in said
    assert (folder / "agent1.log").exists()
