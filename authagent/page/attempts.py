"""How often a password may be guessed: counted for each address and for all together, locked after ten. Pure.

Rules of this file:

- Ten wrong ones lock for a minute; then there are ten more. A right one forgets those of its address, and those of all.
- While locked nobody's password is looked at, not even the right one: otherwise the lock would answer guesses.
- The lock on all together lets a stranger keep the operator from signing in; who is signed in stays so, and the
  command line asks for no password. The other way, many addresses would have ten guesses a minute each.
- Of addresses the last thousand are kept: who has more of them meets the lock on all.
"""

from collections import OrderedDict

import attrs

WRONG_MAX = 10
LOCKED_S = 60.0
FORGOTTEN_AFTER_S = 600.0
"""Without a wrong one: an operator who mistypes now and then is never locked out."""

ADDRESSES_MAX = 1_000

DELAY_S = 1.0
"""A wrong password is told so much later."""


@attrs.define
class _Count:
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


@attrs.define
class Attempts:
    """Wrong passwords so far. Times are monotonic seconds."""

    wrong_total: int = 0
    _all: _Count = attrs.field(factory=_Count)
    _by_address: OrderedDict[str, _Count] = attrs.field(factory=OrderedDict)

    def locked_s(self, address: str, now_s: float) -> float:
        """For how long nobody from there may try; 0 where they may."""
        count = self._by_address.get(address)
        until_s = max(self._all.locked_until_s, count.locked_until_s if count else 0.0)
        return max(0.0, until_s - now_s)

    def wrong(self, address: str, now_s: float) -> bool:
        """Take in a wrong password; whether it was one too many."""
        self.wrong_total += 1
        count = self._by_address.setdefault(address, _Count())
        self._by_address.move_to_end(address)
        if len(self._by_address) > ADDRESSES_MAX:
            self._by_address.popitem(last=False)
        locks = [count.add(now_s), self._all.add(now_s)]
        return any(locks)

    def right(self, address: str) -> None:
        """Forget the wrong ones before a right one."""
        self._by_address.pop(address, None)
        self._all.wrong = 0
