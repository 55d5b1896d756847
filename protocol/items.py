"""The items of one node: a small table beside the sessions, found by name and by user.

Rules of this file:

- `merge` is the only way in; it only goes up, in any order (protocol.item). Nothing leaves but by `forget`, after its
  expiry, or by `shift`, before anybody else has seen it.
- Bounded in number and in bytes: a full table refuses new ones (`full`, for whoever makes them) and takes a quarter
  more from others, so that tables filled at different ends do not differ for ever.
- The checksum at a cut covers the whole of each item that expires after it, claims and tries included: tables with
  equal checksums agree on who may redeem what. It is 0 for no items, and adds nothing to a digest then.

Theory. As for barriers the checksum is an XOR of one keyed hash an item. A hash is made when it is first asked for.
"""

from collections.abc import Iterator
from hashlib import blake2b

import attrs

from protocol import item_rows, limits
from protocol.item import Fate, Item, merge

_OVERHEAD_BYTES = 512
"""What an item costs besides its blob: its fields, its place in two indexes."""


@attrs.define(eq=False)
class _Held:
    """An item and its hash, 0 until it is asked for."""

    item: Item
    hash: int = 0


class Items:
    """All items of a table; `key` keys the checksum."""

    def __init__(self, key: bytes, items_max: int = limits.ITEMS_MAX, bytes_max: int = limits.ITEMS_BYTES_MAX) -> None:
        self._hash = blake2b(digest_size=8, key=key, person=b"item")
        self._held: dict[tuple[str, str], _Held] = {}
        self._of_user: dict[tuple[str, str], dict[str, None]] = {}  # by (kind, user): ids, in the order of arrival
        self._items_max = items_max
        self._bytes_max = bytes_max
        self._bytes = 0
        self._sums: dict[int, int] = {}  # by cut, until something changes

    def __len__(self) -> int:
        return len(self._held)

    def __iter__(self) -> Iterator[Item]:
        """Every item; the table may change meanwhile."""
        return (held.item for held in list(self._held.values()))

    @property
    def full(self) -> bool:
        """Whether a new item must be refused."""
        return len(self._held) >= self._items_max or self._bytes >= self._bytes_max

    def get(self, kind: str, id: str) -> Item | None:
        held = self._held.get((kind, id))
        return None if held is None else held.item

    def of_user(self, kind: str, user: str) -> list[Item]:
        """A user's items of a kind, the latest first."""
        names = self._of_user.get((kind, user), ())
        return sorted((self._held[kind, name].item for name in names), key=_age, reverse=True)

    def is_current(self, item: Item) -> bool:
        """Whether no later item of its kind and user has voided it."""
        return not item.sole or self.of_user(item.kind, item.user)[0].id == item.id

    def state(self, item: Item, now_ms: int) -> str:
        """What may be done with it, in one word: only what is "open" may be redeemed for the first time."""
        if item.claims:
            return "used" if item.consumed else "claimed"
        if now_ms >= item.expires_at:
            return "expired"
        if item.fate != Fate.OPEN:
            return item.fate.name.lower()
        if not self.is_current(item):
            return "superseded"
        return "exhausted" if item.exhausted else "open"

    def merge(self, item: Item) -> bool | None:
        """Take in a copy; whether that changed anything, None when there was no room for it."""
        held = self._held.get(item.name)
        if held is None:
            if 4 * len(self._held) >= 5 * self._items_max or 4 * self._bytes >= 5 * self._bytes_max:
                return None
            self._held[item.name] = _Held(item)
            self._of_user.setdefault((item.kind, item.user), {})[item.id] = None
            self._bytes += _bytes_of(item)
        else:
            merged = merge(held.item, item)
            if merged == held.item:
                return False
            if merged.content != held.item.content:
                self._leave(held.item)
                self._of_user.setdefault((merged.kind, merged.user), {})[merged.id] = None
                self._bytes += _bytes_of(merged)
            held.item, held.hash = merged, 0
        self._sums.clear()
        return True

    def forget(self, horizon_ms: int) -> None:
        """Drop every item that expired at or before the horizon."""
        past = [held.item for held in self._held.values() if held.item.expires_at <= horizon_ms]
        for item in past:
            self._leave(item)
            del self._held[item.name]
        if past:
            self._sums.clear()

    def shift(self, delta_ms: int) -> None:
        """Move every time: at a proxy's first link, when all items are its own and nobody else has seen them."""
        for held in self._held.values():
            held.item, held.hash = shifted(held.item, delta_ms), 0
        self._sums.clear()

    def checksum(self, cut_ms: int) -> int:
        """The XOR over the items that expire after the cut; 0 for none."""
        known = self._sums.get(cut_ms)
        if known is not None:
            return known
        total = 0
        for held in self._held.values():
            if held.item.expires_at > cut_ms:
                held.hash = held.hash or self._one(held.item)
                total ^= held.hash
        if len(self._sums) >= 4:
            self._sums.clear()
        self._sums[cut_ms] = total
        return total

    def rekey(self, key: bytes) -> None:
        """Key the checksum anew."""
        self._hash = blake2b(digest_size=8, key=key, person=b"item")
        self._sums.clear()
        for held in self._held.values():
            held.hash = 0

    def _leave(self, item: Item) -> None:
        """Take an item out of the index of users and the count of bytes."""
        ids = self._of_user[item.kind, item.user]
        del ids[item.id]
        if not ids:
            del self._of_user[item.kind, item.user]
        self._bytes -= _bytes_of(item)

    def _one(self, item: Item) -> int:
        hasher = self._hash.copy()
        hasher.update(item_rows.encode(item))
        return int.from_bytes(hasher.digest(), "big")


def shifted(item: Item, delta_ms: int) -> Item:
    """The same item with every time moved."""
    return attrs.evolve(
        item,
        made_at=item.made_at + delta_ms,
        expires_at=item.expires_at + delta_ms,
        claims=tuple(claim._replace(at=claim.at + delta_ms) for claim in item.claims),
    )


def _age(item: Item) -> tuple[int, str]:
    return item.made_at, item.id


def _bytes_of(item: Item) -> int:
    return _OVERHEAD_BYTES + len(item.blob)
