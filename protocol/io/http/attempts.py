"""How often a password may be guessed: counted under names, such as addresses or users, locked after ten. Pure.

Rules of this file:

- Ten wrong ones lock for a minute; then there are ten more.
- While locked nobody's password is looked at, not even the right one: otherwise the lock would answer guesses.
- Wrong ones are forgotten after ten minutes without another, and with a right one.
- Times are monotonic seconds.
"""

from collections import OrderedDict

import attrs

WRONG_MAX = 10
LOCKED_S = 60.0
FORGOTTEN_AFTER_S = 600.0
"""Without a wrong one: whoever mistypes now and then is never locked out."""

DELAY_S = 1.0
"""A wrong password is told so much later."""


@attrs.define
class Count:
    """Wrong passwords under one name."""

    wrong: int = 0
    last_s: float = 0.0
    locked_until_s: float = 0.0

    def add(self, now_s: float) -> bool:
        """Count a wrong one; whether that locks."""
        if now_s - self.last_s > FORGOTTEN_AFTER_S:
            self.wrong = 0
        self.wrong += 1
        self.last_s = now_s
        if self.wrong < WRONG_MAX:
            return False
        self.wrong, self.locked_until_s = 0, now_s + LOCKED_S
        return True

    def locked_s(self, now_s: float) -> float:
        """For how long nobody may try; 0 where they may."""
        return max(0.0, self.locked_until_s - now_s)


@attrs.define
class Counts:
    """Wrong passwords under each of many names; of more than `names_max` the least lately wrong is forgotten."""

    names_max: int
    _by_name: OrderedDict[str, Count] = attrs.field(factory=OrderedDict)

    def __len__(self) -> int:
        return len(self._by_name)

    def locked_s(self, name: str, now_s: float) -> float:
        """For how long nobody of that name may try; 0 where they may."""
        count = self._by_name.get(name)
        return 0.0 if count is None else count.locked_s(now_s)

    def wrong(self, name: str, now_s: float) -> bool:
        """Take in a wrong password; whether it was one too many."""
        count = self._by_name.setdefault(name, Count())
        self._by_name.move_to_end(name)
        if len(self._by_name) > self.names_max:
            self._by_name.popitem(last=False)
        return count.add(now_s)

    def right(self, name: str) -> None:
        """Forget the wrong ones before a right one."""
        self._by_name.pop(name, None)
