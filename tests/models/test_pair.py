"""The model of the pair (pair.pml): Spin goes through every order of everything, and finds the mistakes put into it."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import attrs
import pytest

MODEL = Path(__file__).with_name("pair.pml")
TIMEOUT_S = 300

STATES_MIN = 1_000_000
"""With two faults there are 1,366,239 states; a change that leaves far fewer has left something out."""

MISTAKES = ("DISCARD", "NO_FENCE", "LAST_WRITER", "NO_YIELD")


@attrs.frozen
class Verdict:
    """What a search said."""

    errors: int
    states: int
    text: str


def search(folder: Path, *defines: str, liveness: bool = False, speed: str = "-O1") -> Verdict:
    """Search all states: for a broken assertion and an unexpected end, with `liveness` also for what never settles."""
    shutil.copy(MODEL, folder / "pair.pml")
    flags = [f"-D{define}" for define in defines]
    _run(folder, ["spin", "-a", *flags, *(["-DLTL"] if liveness else []), "pair.pml"])
    _run(folder, ["gcc", speed, "-w", *([] if liveness else ["-DSAFETY"]), "-o", "pan", "pan.c"])
    text = _run(folder, ["./pan", "-n", "-m100000", *(["-a"] if liveness else [])])
    assert "max search depth too small" not in text, text
    errors, states = re.search(r"errors: (\d+)", text), re.search(r"(\d+) states, stored", text)
    assert errors and states, text
    return Verdict(int(errors[1]), int(states[1]), text)


def _run(folder: Path, command: list[str]) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(autouse=True)
def _spin() -> None:
    lacking = [command for command in ("spin", "gcc") if shutil.which(command) is None]
    if lacking and os.environ.get("CI") == "true":
        pytest.fail(f"not installed: {', '.join(lacking)} (tests/components.py)")
    if lacking:
        pytest.skip(f"not installed: {', '.join(lacking)}; as root: python tests/components.py")


@pytest.mark.slow
def test_no_order_of_two_faults_breaks_an_assertion(tmp_path: Path) -> None:
    """No logout is undone, nobody demotes before merging, and at the end all are equal under one master."""
    verdict = search(tmp_path, "FAULTS=2")
    assert verdict.errors == 0, verdict.text
    assert verdict.states >= STATES_MIN


@pytest.mark.slow
def test_all_settles_after_healing(tmp_path: Path) -> None:
    """In no endless order are there two masters, or unequal tables, for ever after healing."""
    verdict = search(tmp_path, "FAULTS=1", liveness=True)
    assert verdict.errors == 0, verdict.text
    assert verdict.states >= STATES_MIN // 10


@pytest.mark.slow
@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_in_the_model_is_found(mistake: str, tmp_path: Path) -> None:
    """Discarding on demotion, demoting without a fence, the last writer winning, never yielding: each has a history."""
    verdict = search(tmp_path, "FAULTS=1", mistake, speed="-O0")  # it is found soon: compiling is what takes time
    assert verdict.errors > 0 and "assertion violated" in verdict.text
