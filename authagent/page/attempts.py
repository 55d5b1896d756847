"""How often the page's password may be guessed: counted for each address and for all together. Pure.

Rules of this file, besides those of protocol.io.http.attempts:

- A right one forgets the wrong ones of its address, and those of all.
- The lock on all together lets a stranger keep the operator from signing in; who is signed in stays so, and the
  command line asks for no password. The other way, many addresses would have ten guesses a minute each.
- Of addresses the last thousand are kept: who has more of them meets the lock on all.
"""

import attrs

from protocol.io.http.attempts import Count, Counts

ADDRESSES_MAX = 1_000


@attrs.define
class Attempts:
    """Wrong passwords so far. Times are monotonic seconds."""

    wrong_total: int = 0
    by_address: Counts = attrs.field(factory=lambda: Counts(ADDRESSES_MAX))
    _all: Count = attrs.field(factory=Count)

    def locked_s(self, address: str, now_s: float) -> float:
        """For how long nobody from there may try; 0 where they may."""
        return max(self._all.locked_s(now_s), self.by_address.locked_s(address, now_s))

    def wrong(self, address: str, now_s: float) -> bool:
        """Take in a wrong password; whether it was one too many."""
        self.wrong_total += 1
        locks = [self.by_address.wrong(address, now_s), self._all.add(now_s)]
        return any(locks)

    def right(self, address: str) -> None:
        """Forget the wrong ones before a right one."""
        self.by_address.right(address)
        self._all.wrong = 0
