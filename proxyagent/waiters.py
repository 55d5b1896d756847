"""Those who wait for what is in the outbox to get as far as a level: woken by the serials that they wait for.

Rules of this file:

- Batches get to a level in the order of their serials. So only the least that anybody waits for is looked at, and an
  acknowledgement costs whom it frees, however many wait.
- Being woken is no promise: whoever waited looks for himself, and may wait again.
- Whoever gives up leaves nothing behind for long.
"""

import heapq
from collections.abc import Callable

import attrs
import trio

from proxyagent.core.outbox import LEVELS, Level

_STALE_MAX = 64


@attrs.define(eq=False)
class _Place:
    """All who wait for one serial at one level."""

    woken: trio.Event = attrs.field(factory=trio.Event)
    waiting: int = 0


@attrs.define
class _Line:
    """Who waits for one level: places by serial, and their serials as a heap, some of which nobody waits for."""

    places: dict[int, _Place] = attrs.field(factory=dict)
    serials: list[int] = attrs.field(factory=list)

    def enter(self, serial: int) -> _Place:
        place = self.places.get(serial)
        if place is None:
            place = self.places[serial] = _Place()
            heapq.heappush(self.serials, serial)
        place.waiting += 1
        return place

    def leave(self, serial: int, place: _Place) -> None:
        place.waiting -= 1
        if place.waiting or self.places.get(serial) is not place:
            return
        del self.places[serial]
        if len(self.serials) > 2 * len(self.places) + _STALE_MAX:
            self.serials = sorted(self.places)


class Waiters:
    """`reached` tells how far a serial has got, None for one that nobody will ever acknowledge (Outbox.reached)."""

    def __init__(self, reached: Callable[[int], Level | None]) -> None:
        self._reached = reached
        self._lines: dict[Level, _Line] = {level: _Line() for level in LEVELS}

    async def wait(self, serial: int, level: Level) -> None:
        """Block until `wake` finds that the serial has got so far, or never will; or until `release`."""
        line = self._lines[level]
        place = line.enter(serial)
        try:
            await place.woken.wait()
        finally:
            line.leave(serial, place)

    def wake(self) -> None:
        """Acknowledgements may have come: wake whom they concern."""
        for level, line in self._lines.items():
            serials = line.serials
            while serials and (serials[0] not in line.places or self._is_over(serials[0], level)):
                place = line.places.pop(heapq.heappop(serials), None)
                if place is not None:
                    place.woken.set()

    def release(self) -> None:
        """Wake everybody: the agent is closed."""
        for line in self._lines.values():
            for place in line.places.values():
                place.woken.set()
            line.places.clear()
            line.serials.clear()

    def _is_over(self, serial: int, level: Level) -> bool:
        reached = self._reached(serial)
        return reached is None or LEVELS[reached] >= LEVELS[level]
