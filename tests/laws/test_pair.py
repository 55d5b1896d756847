"""The law of the pair: whatever happens to agents, links, proxies, disks and clocks, the promises hold afterwards."""

import os

import pytest

from tests.laws.pair_history import play

SEEDS = int(os.environ.get("PAIR_SEEDS", "200"))
"""How many histories; by hand as many as one has time for."""

PORTIONS = 8


@pytest.mark.slow
@pytest.mark.parametrize("portion", range(PORTIONS))
def test_no_history_breaks_a_promise(portion: int) -> None:
    """After random faults: one master, equal tables, nobody acknowledged is lost, nobody who logged out is back."""
    for seed in range(portion, SEEDS, PORTIONS):
        play(seed)


def test_a_history_replays_from_its_seed() -> None:
    """The same seed tells the same story twice (promise 11)."""
    assert play(5).judge.story == play(5).judge.story
