"""What a row brings home: figures, ours beside the peer's, with the budget that each must meet.

Rules of this file:

- A figure that could not be measured says why in its note and counts as not met; nothing is left out silently.
- A percentile is a value that was measured (nearest rank), never one between two.
"""

import math
from collections.abc import Sequence

import attrs


@attrs.frozen
class Figure:
    """One line of the table."""

    what: str
    unit: str
    ours: float | None
    budget: str
    met: bool
    peer: float | None = None
    peer_name: str = ""
    note: str = ""

    @property
    def ratio(self) -> float | None:
        """Ours divided by the peer's."""
        return self.ours / self.peer if self.ours is not None and self.peer else None


def failed(what: str, budget: str, why: str) -> Figure:
    """A row that could not be measured."""
    return Figure(what, "", None, budget, False, note=why)


def percentile(values: Sequence[float], share: float) -> float:
    """The least value that at least `share` of all values do not exceed."""
    assert values
    assert 0 < share <= 1
    return sorted(values)[math.ceil(share * len(values)) - 1]


def median(values: Sequence[float]) -> float:
    """The value in the middle."""
    return percentile(values, 0.5)
