"""Barriers: per user, the time of the last logout(user). Every login of the user at or before it is dead.

Rules of this file:

- Merge is max; a barrier only rises until it is forgotten, after no login that it could kill can be alive.
- The checksum at a cut covers the barriers that count at it: those younger than limits.BARRIER_KEPT_MS. It does not
  depend on when a node forgets, as long as it forgets later than that.

Theory. The checksum is the XOR of one keyed hash a barrier, so that raising one costs two hashes. Barriers past their
time stay for minutes until the table sweeps them out; only while there are such ones is the checksum at a cut found
by looking through all of them.
"""

from collections.abc import Iterator
from hashlib import blake2b

from protocol import limits
from protocol.changes import Barrier

NONE = -1
"""The barrier of a user without one: below every login_at."""


class Barriers:
    """All barriers of a table; `key` keys the checksum."""

    def __init__(self, key: bytes) -> None:
        self._hash = blake2b(digest_size=8, key=key, person=b"barrier")
        self._at: dict[str, int] = {}
        self._sum = 0
        self._oldest = 1 << 62  # no barrier is older; may be older than all
        self._past: dict[int, int] = {}  # horizon -> XOR of the barriers at or before it, until something changes

    def rekey(self, key: bytes) -> None:
        """Key the checksum anew."""
        self._hash = blake2b(digest_size=8, key=key, person=b"barrier")
        self._past.clear()
        self._sum = 0
        for user, at in self._at.items():
            self._sum ^= self._one(user, at)

    def __len__(self) -> int:
        return len(self._at)

    def __iter__(self) -> Iterator[Barrier]:
        return (Barrier(user, at) for user, at in list(self._at.items()))

    def __contains__(self, user: str) -> bool:
        return user in self._at

    def get(self, user: str) -> int:
        """The user's barrier in milliseconds of cluster time; NONE when there is none."""
        return self._at.get(user, NONE)

    def rise(self, user: str, at: int) -> bool:
        """Merge a barrier; tell whether it is later than what was known."""
        before = self._at.get(user, NONE)
        if at <= before:
            return False
        if before != NONE:
            self._sum ^= self._one(user, before)
        self._sum ^= self._one(user, at)
        self._at[user] = at
        self._oldest = min(self._oldest, at)
        self._past.clear()
        return True

    def forget(self, horizon_ms: int) -> None:
        """Drop every barrier at or before the horizon."""
        if self._oldest > horizon_ms:
            return
        for user, at in [(user, at) for user, at in self._at.items() if at <= horizon_ms]:
            self._sum ^= self._one(user, at)
            del self._at[user]
        self._oldest = min(self._at.values(), default=1 << 62)
        self._past.clear()

    def checksum(self, cut_ms: int) -> int:
        """The XOR over the barriers that count at the cut."""
        horizon_ms = cut_ms - limits.BARRIER_KEPT_MS
        if self._oldest > horizon_ms:
            return self._sum
        if horizon_ms not in self._past:
            if len(self._past) >= 3:
                self._past.clear()
            past = 0
            for user, at in self._at.items():
                if at <= horizon_ms:
                    past ^= self._one(user, at)
            self._past[horizon_ms] = past
        return self._sum ^ self._past[horizon_ms]

    def _one(self, user: str, at: int) -> int:
        hasher = self._hash.copy()
        hasher.update(at.to_bytes(8, "big") + user.encode())
        return int.from_bytes(hasher.digest(), "big")
