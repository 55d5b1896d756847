"""Real shells on a virtual clock keep the promises in random histories, and a seed is a history."""

import os
import subprocess
import sys

import pytest
from trio._core import _run

from tests.system.processes import ROOT
from tests.virtual import history as module
from tests.virtual.history import Broken
from tests.virtual.nodes import ProxyNode
from tests.virtual.run import play

pytestmark = pytest.mark.slow

SEEDS = (1, 6)
AGAIN = (3, 4)
WITHIN_S = 600.0
"""For a machine that does much else; a quiet one takes two seconds for each seed."""


def played(first: int, last: int) -> list[str]:
    """What a fresh process says of the histories of these seeds."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.virtual", str(first), str(last)],
        env={**os.environ, "PYTHONHASHSEED": "0"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=WITHIN_S,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}{done.stderr}\nreplay: PYTHONHASHSEED=0 python -m tests.virtual SEED"
    return done.stdout.splitlines()


@pytest.fixture(scope="module")
def told() -> list[str]:
    """What was said of all seeds."""
    return played(*SEEDS)


def test_histories_of_cuts_kills_splits_and_lost_disks_keep_every_promise(told: list[str]) -> None:
    """Nothing lost, nobody back, nobody forgotten, one master and equal tables in time, for each seed."""
    assert len(told) == SEEDS[1] - SEEDS[0] + 1
    assert all("40 faults" in line for line in told)


def test_one_seed_gives_one_trace_in_fresh_processes(told: list[str]) -> None:
    """Every step of the scheduler is the same again, also when other histories were not played before."""
    again = played(*AGAIN)
    assert again == told[AGAIN[0] - SEEDS[0] : AGAIN[1] - SEEDS[0] + 1]
    assert len({line.rpartition(" ")[2] for line in told}) == len(told), "and another one for every other seed"


def test_trio_still_has_what_makes_its_schedule_a_function_of_the_seed() -> None:
    """Private names: when they move, tests/virtual/run.py must follow."""
    assert isinstance(_run._ALLOW_DETERMINISTIC_SCHEDULING, bool)
    assert callable(_run._r.seed)
    assert _run._r.random() < 1.0


def test_a_proxy_that_forgets_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """The judge can say no: one that hides every second login breaks the history."""

    def hiding(self: object, proxy: ProxyNode) -> dict[str, str]:
        sessions = proxy.agent.sessions()
        return {str(session.login_id): session.key for session in sessions if session.login_id.sequence % 2}

    monkeypatch.setattr(module.History, "_shown", hiding)
    monkeypatch.setattr(module, "STEPS", 6)
    with pytest.raises(Broken, match=r"lost|forgotten"):
        play(1)
