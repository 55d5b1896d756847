"""A wheel of deadlines in whole seconds: cheap to put on, cheap to turn, nothing is ever taken off early.

Whoever puts an item on keeps its true deadline and, when the item comes round, decides whether it still matters.
"""

from typing import Generic, TypeVar

Item = TypeVar("Item")


class Wheel(Generic[Item]):
    """Items by the second in which they come round, at the earliest at their time and at most a second later."""

    def __init__(self) -> None:
        self._slots: dict[int, list[Item]] = {}
        self._turned_to: int | None = None

    def put(self, at_s: float, item: Item) -> None:
        """Let `item` come round at `at_s`. A time that is past comes round at the next turn."""
        second = int(at_s) + 1
        if self._turned_to is not None and second <= self._turned_to:
            second = self._turned_to + 1
        slot = self._slots.get(second)
        if slot is None:
            self._slots[second] = [item]
        else:
            slot.append(item)

    def turn(self, now_s: float) -> list[Item]:
        """Everything that has come round by `now_s`."""
        second = int(now_s)
        if self._turned_to is not None and second <= self._turned_to:
            return []
        first, self._turned_to = self._turned_to, second
        if first is None or second - first > len(self._slots):
            due = sorted(each for each in self._slots if each <= second)
        else:
            due = [each for each in range(first + 1, second + 1) if each in self._slots]
        return [item for each in due for item in self._slots.pop(each)]

    def __len__(self) -> int:
        return sum(map(len, self._slots.values()))
