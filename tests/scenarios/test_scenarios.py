"""Every transcript of this folder is what the machines do now."""

import os
from pathlib import Path

import pytest

from tests.scenarios.transcript import parse, replay

FOLDER = Path(__file__).parent


@pytest.mark.parametrize("name", sorted(path.stem for path in FOLDER.glob("*.txt")))
def test_transcript(name: str) -> None:
    """Commands and their whole printed effect are as the file says; REWRITE=1 accepts what is printed."""
    path = FOLDER / f"{name}.txt"
    printed = replay(path)
    if os.environ.get("REWRITE"):
        path.write_text(printed, encoding="utf-8")
    assert printed.splitlines() == path.read_text(encoding="utf-8").splitlines()


def test_every_transcript_says_what_it_proves() -> None:
    """Each file opens with a comment, and has commands and output."""
    for path in FOLDER.glob("*.txt"):
        first, *blocks = parse(path.read_text(encoding="utf-8"))
        assert first.comment, f"{path.name} does not say what it proves"
        assert any(block.printed for block in blocks), f"{path.name} proves nothing"
