"""One short-lived item (a challenge, a provisioning code) and what became of it, and how two copies of it merge.

Rules of this file:

- An item is named by (kind, id) for ever. What it is never changes; what became of it only grows.
- Merging takes, per item: of two contents the lesser, under the fate CONFLICT; the greater fate; for each node the
  greater count of wrong tries; of the claims of each request the one that ranks first. So merging is commutative,
  associative, idempotent and monotone (tests/laws), as it is for sessions.
- A claim that is final wins over everything: whatever else merges, the item is consumed by it.

Theory. "Consumed" is not written, it is found out. Whoever decides notes a claim (this request takes the item),
waits until enough others hold that claim, and only then makes it final (authagent/core/redemptions.py; the proof is
in docs/decisions/0008). So there may be claims of several requests, from several sides of a split, and at most one of
a strict item is ever final. Claims are kept ranked, the final one first, and no more than a few: of those beyond,
the last in rank are dropped, which is the same on every node, because a claim's rank can only rise.

All times are milliseconds of cluster time. Source: DESIGN section 3 for the method; reference/tokens.md section 5.
"""

import enum
from typing import NamedTuple

import attrs

from protocol import limits

SINGLE_USE = 1
"""The first redemption consumes it; without this it may be redeemed until it expires."""

STRICT = 2
"""In a split it is refused rather than redeemed twice."""

SOLE = 4
"""Only the latest of its kind counts for a user: a new one voids those before."""


class Fate(enum.IntEnum):
    """What became of an item besides being consumed; merge is max."""

    OPEN = 1
    REVOKED = 2
    CONFLICT = 3


class Claim(NamedTuple):
    """A request takes the item. `by` is the node that noted it, `holder` whom it is taken for (a device)."""

    request: bytes
    holder: str
    at: int
    by: str
    final: bool

    @property
    def rank(self) -> tuple[object, ...]:
        """The order in which claims are kept, the least first."""
        return not self.final, self.at, self.request, self.holder, self.by


class Witness(NamedTuple):
    """Whose word counts beside the agents' when one of them is gone: one run of a proxy, or an agent (0)."""

    id: str
    incarnation: int


@attrs.frozen
class Item:
    """One node's copy of an item. `blob` is the maker's own; `lock` tells a right code from a wrong one (codes.py).

    `site` is where it was made, and where it is decided if it is strict. Content first, then what became of it.
    """

    kind: str
    id: str
    user: str
    site: str
    made_at: int
    expires_at: int
    flags: int = SINGLE_USE
    blob: bytes = attrs.field(default=b"", repr=False)
    lock: bytes = attrs.field(default=b"", repr=False)
    witnesses: tuple[Witness, ...] = ()
    fate: Fate = Fate.OPEN
    tries: tuple[tuple[str, int], ...] = ()
    claims: tuple[Claim, ...] = attrs.field(default=(), repr=False)

    @property
    def name(self) -> tuple[str, str]:
        return self.kind, self.id

    @property
    def content(self) -> tuple[object, ...]:
        """The part that never changes, as something that can be ordered."""
        fixed = (self.user, self.site, self.made_at, self.expires_at, self.flags)
        return *fixed, self.blob, self.lock, self.witnesses

    @property
    def single_use(self) -> bool:
        return bool(self.flags & SINGLE_USE)

    @property
    def strict(self) -> bool:
        return bool(self.flags & STRICT)

    @property
    def sole(self) -> bool:
        return bool(self.flags & SOLE)

    @property
    def consumed(self) -> Claim | None:
        """The claim that has it, once it is decided."""
        return self.claims[0] if self.claims and self.claims[0].final else None

    @property
    def tries_made(self) -> int:
        """Wrong codes presented for it, wherever."""
        return sum(count for _, count in self.tries)

    @property
    def exhausted(self) -> bool:
        """Whether so many wrong codes were presented that the right one is not taken any more."""
        return bool(self.lock) and self.tries_made >= limits.CODE_TRIES_MAX


def merge(a: Item, b: Item) -> Item:
    """The least item that both copies are part of. Both must bear the same name, which is the caller's duty."""
    assert a.name == b.name, "copies of different items do not merge"
    if a == b:
        return a
    kept = min(a, b, key=lambda item: item.content)
    conflict = Fate.CONFLICT if a.content != b.content else Fate.OPEN
    return attrs.evolve(
        kept,
        fate=max(a.fate, b.fate, conflict),
        tries=_merge_tries(a.tries, b.tries),
        claims=merge_claims(a.claims, b.claims),
    )


def merge_claims(a: tuple[Claim, ...], b: tuple[Claim, ...]) -> tuple[Claim, ...]:
    """The claims of both, one a request, ranked."""
    if a == b or not b:
        return a
    best: dict[bytes, Claim] = {}
    for claim in (*a, *b):
        known = best.get(claim.request)
        if known is None or claim.rank < known.rank:
            best[claim.request] = claim
    return tuple(sorted(best.values(), key=lambda claim: claim.rank)[: limits.ITEM_CLAIMS_MAX])


def _merge_tries(a: tuple[tuple[str, int], ...], b: tuple[tuple[str, int], ...]) -> tuple[tuple[str, int], ...]:
    if a == b or not b:
        return a
    counts = dict(a)
    for node, count in b:
        counts[node] = max(count, counts.get(node, 0))
    return tuple(sorted(counts.items())[: limits.ITEM_NODES_MAX])


def claimed(item: Item, claim: Claim) -> Item:
    """The item with one claim more."""
    return attrs.evolve(item, claims=merge_claims(item.claims, (claim,)))


def tried(item: Item, node: str) -> Item:
    """The item with one wrong try more at this node."""
    count = dict(item.tries).get(node, 0) + 1
    return attrs.evolve(item, tries=_merge_tries(item.tries, ((node, count),)))
