"""The digest of a table: one root in a heartbeat tells whether two tables are equal, and where they are not.

Rules of this file:

- Digests cover (login id, state) of the records that expire after the cut, the barriers, and the whole of the items
  that expire after it; never active_at. Without an item a root is what it was before there were items.
- A page of which nothing counts contributes nothing: so when a node forgets makes no difference.
- Nothing is hashed when something changes; only pages that changed are hashed, and only when a root is asked for.

Theory. A page contributes one keyed hash of its label (origin and page number) and its 256 State bytes, those that
expire at or before the cut as 0. It belongs to one of 4,096 leaves, by a keyed hash of its label; a leaf is the XOR
of its pages. Above the leaves stand three levels of 16-ary nodes, each the keyed hash of its 16 children; the root
covers the top 16 and the barriers. Records are not hashed by content: a login id never changes its content, and two
contents under one id end as CONFLICT, which shows. The key is the cluster's, so nobody outside can grind collisions.

Each of the last three cuts has its own leaves. A new cut starts as a copy of the nearest one, and hashes only the
pages that have a record expiring between the two: a new minute costs next to nothing.

Source: DESIGN sections 2 (digest) and 4 (Resync); reference/reliability.md section 2.3.
"""

from collections.abc import Mapping
from hashlib import blake2b
from struct import Struct
from typing import Final, Protocol

from protocol.barriers import Barriers
from protocol.items import Items
from protocol.page import NO_LEAF
from protocol.session import Origin

HASH_BYTES: Final = 8
FANOUT: Final = 16
DEPTH: Final = 3
LEAVES: Final = FANOUT**DEPTH
CUTS_KEPT: Final = 3
"""Cuts that can be answered: the current minute of whoever asks, and two for clocks and delays."""
MINUTE_MS: Final = 60_000

_CHILDREN: Final = Struct(f">{FANOUT}Q")


class Hashed(Protocol):
    """What a digest needs of a page (protocol.page), or of what stands for one. `leaf` is the digest's to set."""

    leaf: int

    @property
    def origin(self) -> Origin: ...

    @property
    def first(self) -> int: ...

    @property
    def handle(self) -> int: ...

    @property
    def label(self) -> bytes: ...

    @property
    def earliest(self) -> int: ...

    @property
    def latest(self) -> int: ...

    @property
    def states(self) -> bytes | bytearray: ...

    def states_after(self, cut_ms: int) -> bytes: ...


class _Cut:
    """The trie of one cut. `stale` names the nodes above the leaves that changed since they were hashed.

    `root` is the hash of `top` and of what `root_with` says of barriers and items.
    """

    __slots__ = ("contributions", "cut_ms", "leaves", "middle", "root", "root_with", "stale", "top")

    def __init__(self, cut_ms: int) -> None:
        self.cut_ms = cut_ms
        self.contributions: dict[int, int] = {}
        self.leaves = [0] * LEAVES
        self.middle = [b""] * FANOUT**2
        self.top = [b""] * FANOUT
        self.stale = set(range(FANOUT**2))
        self.root = self.root_with = b""

    def copy(self, cut_ms: int) -> "_Cut":
        other = _Cut(cut_ms)
        other.contributions = self.contributions.copy()
        other.leaves = self.leaves.copy()
        other.middle = self.middle.copy()
        other.top = self.top.copy()
        other.stale = self.stale.copy()
        return other

    def contribute(self, page: Hashed, contribution: int) -> None:
        before = self.contributions.pop(page.handle, 0)
        if contribution:
            self.contributions[page.handle] = contribution
        if before != contribution:
            self.leaves[page.leaf] ^= before ^ contribution
            self.stale.add(page.leaf // FANOUT)

    def children(self, node: int) -> bytes:
        """The 16 leaves under a node of the lowest level."""
        return _CHILDREN.pack(*self.leaves[node * FANOUT : (node + 1) * FANOUT])


class Digest:
    """The digest of the pages that it is given; `pages` is the table's own and is only read.

    `changed` holds the handles of pages that are new or whose states changed, and is emptied here. What it held is
    added to each of `others` before: those are the same for digests of these pages masked (protocol.selection).
    """

    def __init__(
        self, key: bytes, pages: Mapping[int, Hashed], changed: set[int], barriers: Barriers, items: Items
    ) -> None:
        self.others: list[set[int]] = []
        self._page_hash = blake2b(digest_size=HASH_BYTES, key=key, person=b"page")
        self._leaf_hash = blake2b(digest_size=HASH_BYTES, key=key, person=b"leaf")
        self._node_hash = blake2b(digest_size=HASH_BYTES, key=key, person=b"node")
        self._pages = pages
        self._barriers = barriers
        self._items = items
        self._by_leaf: dict[int, dict[int, None]] = {}
        self._cuts: dict[int, _Cut] = {}
        self._changed = changed

    def close(self, page: Hashed) -> None:
        """Leave out a page that the table forgets."""
        self._changed.discard(page.handle)
        if page.leaf == NO_LEAF:
            return
        for cut in self._cuts.values():
            cut.contribute(page, 0)
        handles = self._by_leaf[page.leaf]
        del handles[page.handle]
        if not handles:
            del self._by_leaf[page.leaf]

    def root(self, cut_min: int) -> bytes:
        """The hash of everything that counts at the cut."""
        cut = self._refreshed(cut_min)
        items = self._items.checksum(cut_min * MINUTE_MS)
        rest = self.barriers_hash(cut_min) + (items.to_bytes(HASH_BYTES, "big") if items else b"")
        if rest != cut.root_with:  # every heartbeat asks, and most often nothing has changed
            cut.root, cut.root_with = self._node(b"".join(cut.top) + rest), rest
        return cut.root

    def barriers_hash(self, cut_min: int) -> bytes:
        """The hash of the barriers that count at the cut."""
        return self._barriers.checksum(cut_min * MINUTE_MS).to_bytes(HASH_BYTES, "big")

    def children(self, cut_min: int, path: bytes) -> bytes:
        """The hashes of the 16 children of a node; its path has one byte (0 to 15) a level, none for the top.

        Raises ValueError for a path that names no node above the leaves.
        """
        if len(path) >= DEPTH or any(step >= FANOUT for step in path):
            raise ValueError("no such node in the digest")
        cut = self._refreshed(cut_min)
        if not path:
            return b"".join(cut.top)
        if len(path) == 1:
            return b"".join(cut.middle[path[0] * FANOUT : (path[0] + 1) * FANOUT])
        return cut.children(path[0] * FANOUT + path[1])

    def pages(self, cut_min: int, leaf: int) -> list[tuple[Hashed, bytes]]:
        """The pages of a leaf of which something counts at the cut, with their masked State bytes."""
        self.settle()
        pages = [self._pages[handle] for handle in self._by_leaf.get(leaf, ())]
        masked = [(page, page.states_after(cut_min * MINUTE_MS)) for page in pages]
        return [(page, states) for page, states in masked if any(states)]

    def newest_cut_min(self) -> int | None:
        """The latest cut that anybody asked for; None before the first."""
        return max(self._cuts, default=None)

    def _refreshed(self, cut_min: int) -> _Cut:
        """The trie of a cut with everything that changed hashed in; the cut asked for least recently makes room."""
        self.settle()
        cut = self._cuts.pop(cut_min, None) or self._new_cut(cut_min)
        self._cuts[cut_min] = cut
        if len(self._cuts) > CUTS_KEPT:
            del self._cuts[next(iter(self._cuts))]
        if cut.stale:
            self._hash_nodes(cut)
        return cut

    def settle(self) -> None:
        """Hash what has changed, and tell the others of it; every question does so first."""
        for other in self.others:
            other |= self._changed
        for handle in self._changed:
            page = self._pages[handle]
            if page.leaf == NO_LEAF:
                self._open(page)
            whole = 0
            for cut in self._cuts.values():
                if page.earliest <= cut.cut_ms:
                    cut.contribute(page, self._contribution(page, cut.cut_ms))
                    continue
                whole = whole or self._contribution(page, cut.cut_ms)
                cut.contribute(page, whole)
        self._changed.clear()

    def _open(self, page: Hashed) -> None:
        hasher = self._leaf_hash.copy()
        hasher.update(page.label)
        page.leaf = int.from_bytes(hasher.digest(), "big") % LEAVES
        self._by_leaf.setdefault(page.leaf, {})[page.handle] = None

    def _new_cut(self, cut_min: int) -> _Cut:
        cut_ms = cut_min * MINUTE_MS
        near = min(self._cuts.values(), key=lambda cut: abs(cut.cut_ms - cut_ms), default=None)
        if near is None:
            cut = _Cut(cut_ms)
            for page in self._pages.values():
                cut.contribute(page, self._contribution(page, cut_ms))
            return cut
        cut = near.copy(cut_ms)
        low, high = sorted((near.cut_ms, cut_ms))
        for page in self._pages.values():
            if page.earliest <= high and page.latest > low:
                cut.contribute(page, self._contribution(page, cut_ms))
        return cut

    def _contribution(self, page: Hashed, cut_ms: int) -> int:
        if page.latest <= cut_ms:
            return 0
        states = page.states if page.earliest > cut_ms else page.states_after(cut_ms)
        if not any(states):
            return 0
        hasher = self._page_hash.copy()
        hasher.update(states + page.label)
        return int.from_bytes(hasher.digest(), "big")

    def _hash_nodes(self, cut: _Cut) -> None:
        for node in cut.stale:
            cut.middle[node] = self._node(cut.children(node))
        for node in {node // FANOUT for node in cut.stale}:
            cut.top[node] = self._node(b"".join(cut.middle[node * FANOUT : (node + 1) * FANOUT]))
        cut.stale.clear()
        cut.root_with = b""

    def _node(self, children: bytes) -> bytes:
        hasher = self._node_hash.copy()
        hasher.update(children)
        return hasher.digest()
