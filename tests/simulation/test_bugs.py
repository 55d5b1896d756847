"""The oracle sees what it should: with a bug in the machines some run breaks, and without it the same run does not."""

import pytest

from tests.simulation import bugs
from tests.simulation.run import play
from tests.simulation.switchboard import BUGS, seeded

QUICK = {
    "acknowledged_from_memory": "false",
    "acknowledged_without_the_slave": "false",
    "updates_not_stored": "false",
    "slave_never_compares": "unequal",
    "stale_term": "term",
    "nobody_yields": "split",
    "never_unsure": "stale",
    "no_tombstone": "lost",
    "look_ups_stay_quiet": "ghost",
    "idle_from_login": "early",
    "nothing_crosses": "unequal",
    "outs_are_not_taken_in": "unequal",
    "the_filter_is_forgotten": "leak",
    "granted_without_the_slave": "false",
    "claims_of_others_overlooked": "twice",
    "items_not_in_the_digest": "lost",
}
"""Bugs that are found soon, and the promise that each breaks."""


def test_there_are_enough_bugs() -> None:
    """More than eighty-five; `make simulate` hunts them all."""
    assert len(BUGS) > 85 and bugs.FIRST_SEEDS


@pytest.mark.slow
@pytest.mark.parametrize("name", QUICK)
def test_the_bug_is_found(name: str) -> None:
    """Within some seeds a promise is broken, and it is the bug that breaks it."""
    catch = bugs.hunt(name, runs=12)
    assert catch.seed is not None, f"{name} was not found"
    assert catch.text.startswith(QUICK[name])


def test_the_switchboard_leaves_everything_as_it_was() -> None:
    """A run after all bugs were on and off is the run that it was before."""
    before = play(1, 10.0).trace
    for name in BUGS:
        with seeded(name):
            pass
    assert play(1, 10.0).trace == before
