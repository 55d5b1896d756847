"""Runs as part of the ordinary tests: a few seeds, all promises. `make simulate` has two thousand."""

import pytest

from tests.simulation.campaign import Summary
from tests.simulation.run import play

SEEDS = 16
PORTIONS = 4
SECONDS = 80.0


@pytest.mark.slow
@pytest.mark.parametrize("portion", range(PORTIONS))
def test_no_run_breaks_a_promise(portion: int) -> None:
    """Whatever goes wrong with network, disks, clocks and processes: nothing is lost, nobody comes back."""
    summary = Summary()
    for seed in range(portion, SEEDS, PORTIONS):
        summary.add(play(seed, SECONDS))
    assert summary.broken == []
    assert summary.faults.total() >= 20 and summary.acts.total() >= 20
    for promise in ("lost", "back", "ghost", "stored", "kept", "term", "unequal"):
        assert summary.checks[promise] > 0, f"{promise} was never checked"


def test_a_summary_adds_up() -> None:
    """Faults and acts are counted apart, and a broken promise keeps its seed."""
    summary = Summary()
    outcomes = [play(seed, 10.0) for seed in range(3)]
    for outcome in outcomes:
        summary.add(outcome)
    told = summary.as_json()
    assert told["runs"] == 3
    assert told["faults_total"] + told["acts_total"] == sum(outcome.counted.total() for outcome in outcomes)
    assert told["broken"] == [] and told["simulated_s"] >= 30
