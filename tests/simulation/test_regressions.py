"""What the simulation has found in the shipping machines stays found: each bug, put back, breaks its seed again.

Rules of this file: one line for each entry of docs/reliability.md, "Found and fixed". A seed belongs to a swarm: when
options or faults change, the hunt tells the new one (`python -m tests.simulation bugs --only NAME`).
"""

from pathlib import Path

import pytest

from tests.simulation.bugs import HUNT_S
from tests.simulation.run import play
from tests.simulation.switchboard import seeded

PAGE = Path(__file__).parents[2] / "docs" / "reliability.md"

FOUND = {
    "expired_refused_at_once": (9, "unequal"),
    "lost_is_acknowledged": (313, "false"),
    "suspend_makes_younger": (213, "ghost"),
    "quiet_again_after_its_end": (90, "ghost"),
    "asked_of_the_next_master_too": (101, "lost"),
    "slave_goes_by_its_own_clock": (20000020, "false"),
}
"""By the name on the switchboard: a seed that finds it, and the promise that breaks."""


@pytest.mark.slow
@pytest.mark.parametrize("name", FOUND)
def test_it_is_fixed_and_would_be_found_again(name: str) -> None:
    """The run breaks nothing as the code is, and the same promise as then with the bug put back."""
    seed, promise = FOUND[name]
    assert play(seed, HUNT_S).text == ""
    with seeded(name):
        assert play(seed, HUNT_S).broken == promise


def test_each_is_told() -> None:
    """The page names each with the command that finds it again."""
    text = PAGE.read_text(encoding="utf-8")
    assert all(f"bugs --only {name}`" in text for name in FOUND)
