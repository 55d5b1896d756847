"""The smallest history: of the steps of a run that breaks a promise, those without which it does not break.

Rules of this file:

- Delta debugging (Zeller and Hildebrandt, 2002): leave out ever smaller parts, keep what still breaks the same promise.
- What comes after the breaking was never played and goes first. The run must stay a run: nothing else is changed.
- Bounded by tries, since each is a whole run; what is left then is small, if not the smallest.
"""

from collections.abc import Callable, Sequence

TRIES_MAX = 400


class Shrinker:
    """One search. `breaks` plays the steps at some places and tells whether the same promise is broken."""

    def __init__(self, breaks: Callable[[Sequence[int]], bool], tries_max: int = TRIES_MAX) -> None:
        self._breaks = breaks
        self._tries_left = tries_max

    def smallest(self, places: Sequence[int]) -> list[int]:
        """Those places that are left, in order."""
        kept = list(places)
        part = max(1, len(kept) // 2)
        while kept and self._tries_left > 0:
            before = len(kept)
            kept = self._without_parts(kept, part)
            if part > 1:
                part = max(1, part // 2)
            elif len(kept) == before:
                break
        return kept

    def _without_parts(self, kept: list[int], part: int) -> list[int]:
        """Leave out each part of so many steps that is not needed, the last ones first."""
        end = len(kept)
        while end > 0 and self._tries_left > 0:
            begin = max(0, end - part)
            fewer = kept[:begin] + kept[end:]
            self._tries_left -= 1
            if self._breaks(fewer):
                kept = fewer
            end = begin
        return kept


def spelled(places: Sequence[int]) -> str:
    """Places as a command line has them: 3-7,12."""
    parts: list[str] = []
    for place in places:
        first, _, last = parts[-1].partition("-") if parts else ("", "", "")
        if parts and int(last or first) + 1 == place:
            parts[-1] = f"{first}-{place}"
        else:
            parts.append(str(place))
    return ",".join(parts)


def read(text: str) -> list[int]:
    """The reverse of `spelled`. Raises ValueError."""
    places: list[int] = []
    for part in filter(None, text.split(",")):
        first, _, last = part.partition("-")
        places += range(int(first), int(last or first) + 1)
    return places
