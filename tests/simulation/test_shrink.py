"""Shrinking: what is left breaks the same promise, and is small."""

from collections.abc import Sequence

import pytest

from tests.simulation import bugs
from tests.simulation.options import draw
from tests.simulation.run import play, schedule
from tests.simulation.shrink import Shrinker, read, spelled
from tests.simulation.switchboard import seeded


def test_what_is_left_is_what_matters() -> None:
    """Of 200 steps of which three break something together, those three are found."""
    needed = {3, 77, 150}
    assert Shrinker(lambda places: needed <= {*places}).smallest(range(200)) == sorted(needed)


def test_the_search_is_bounded() -> None:
    """After so many tries what is left is returned, as large as it may be."""
    tries: list[Sequence[int]] = []

    def breaks(places: Sequence[int]) -> bool:
        tries.append(places)
        return False

    assert Shrinker(breaks, tries_max=10).smallest(range(100)) == list(range(100))
    assert len(tries) == 10


@pytest.mark.parametrize("places", [[], [4], [1, 2, 3, 7, 9, 10]])
def test_places_are_spelled_and_read(places: list[int]) -> None:
    """The command that replays a history names its steps in a form that it takes back."""
    assert read(spelled(places)) == places


@pytest.mark.slow
def test_a_run_shrinks_to_a_few_steps() -> None:
    """A run with a bug in the machines is told in a tenth of its steps, which still break the same promise."""
    name = "acknowledged_from_memory"
    catch = bugs.hunt(name, runs=10)
    assert catch.seed is not None
    seed, steps = catch.seed, schedule(draw(catch.seed, 20.0))
    with seeded(name):
        promise = play(seed, 20.0).broken
        kept = Shrinker(lambda places: play(seed, 20.0, places).broken == promise, tries_max=80).smallest(
            range(len(steps))
        )
        assert play(seed, 20.0, kept).broken == promise
    assert len(kept) <= max(8, len(steps) // 10)
