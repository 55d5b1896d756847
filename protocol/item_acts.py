"""What making, redeeming and revoking an item mean for a table, as changes. The counterpart of acts.py.

Rules of this file:

- An act reads the table and returns changes; the caller merges them and sends the same on. Nothing is changed here.
- Every redemption does the same work, whatever is wrong with it. Why it was refused is for the log and never for
  whoever asked.
- Whether enough others hold a claim is not known here: that decides who asks (authagent/core/redemptions.py).

All times are milliseconds of cluster time.
"""

import enum

import attrs

from protocol import codes
from protocol.changes import Changes
from protocol.item import Claim, Fate, Item, claimed, tried
from protocol.messages import Redemption
from protocol.table import Table


class Step(enum.Enum):
    """How far a redemption has come by itself."""

    GRANTED = "granted"  # it is, or has been before by the same request
    CLAIMED = "claimed"  # `changes` note the claim; it counts once enough hold it
    GOING_ON = "going on"  # the claim was noted before and is not decided
    REFUSED = "refused"  # `changes` count the try, if it was one
    OTHER_SECRET = "other secret"  # it cannot be judged here: a line of the shared secret is missing


@attrs.frozen
class Redeemed:
    """What a redemption came to. `item` is as it is after `changes`; `reason` says why it was refused, for the log."""

    step: Step
    item: Item | None = None
    changes: Changes = Changes()
    reason: str = ""


def make(table: Table, item: Item, now_ms: int) -> Changes:
    """A new item, stamped now; of a kind of which only the latest counts, with the end of those before it.

    An item that is known already is given back as it is: making it was asked for twice.
    """
    known = table.items.get(item.kind, item.id)
    if known is not None:
        return Changes(items=(known,))
    older = table.items.of_user(item.kind, item.user) if item.sole else []
    made_at = max(now_ms, *(each.made_at + 1 for each in older)) if older else now_ms
    fresh = attrs.evolve(item, made_at=made_at, expires_at=made_at + item.expires_at - item.made_at)
    return Changes(items=(fresh, *map(_revoked, filter(_is_alive, older))))


def revoke(table: Table, kind: str, *, id: str = "", user: str = "") -> Changes:
    """The end of an item, or of all that a user has of a kind. What is consumed already stays consumed."""
    one = table.items.get(kind, id) if id else None
    found = table.items.of_user(kind, user) if not id else [] if one is None else [one]
    return Changes(items=tuple(map(_revoked, filter(_is_alive, found))))


def redeem(table: Table, wanted: Redemption, *, node: str, now_ms: int) -> Redeemed:
    """Look at one redemption at `node`, which is the one that decides."""
    item = find(table, wanted)
    shown = dict(zip(wanted.key_ids, wanted.proofs, strict=True))
    opened = codes.opens(b"" if item is None else item.lock, "" if item is None else item.id, shown)
    if item is None:
        return Redeemed(Step.REFUSED, reason="unknown" if wanted.item else "unknown_user")
    if item.lock and opened is None:
        return Redeemed(Step.OTHER_SECRET, item)
    return _judge(table, item, wanted, not item.lock or opened is True, node, now_ms)


def find(table: Table, wanted: Redemption) -> Item | None:
    """The item that a redemption means."""
    if wanted.item:
        item = table.items.get(wanted.kind, wanted.item)
        return item if item is None or wanted.user in ("", item.user) else None
    latest = table.items.of_user(wanted.kind, wanted.user)
    return latest[0] if latest else None


def final(item: Item, request: bytes) -> Changes:
    """The claim of this request has the item."""
    claim = next(each for each in item.claims if each.request == request)
    return Changes(items=(claimed(item, claim._replace(final=True)),))


def _judge(table: Table, item: Item, wanted: Redemption, fits: bool, node: str, now_ms: int) -> Redeemed:
    state = table.items.state(item, now_ms)
    if item.claims:
        return _judge_again(item, wanted, fits and now_ms < item.expires_at)
    if state != "open":
        return Redeemed(Step.REFUSED, item, reason=state)
    if not fits:
        return Redeemed(Step.REFUSED, item, Changes(items=(tried(item, node),)), "wrong")
    if not item.single_use:
        return Redeemed(Step.GRANTED, item)
    taken = claimed(item, Claim(wanted.request, wanted.holder, now_ms, node, False))
    return Redeemed(Step.CLAIMED, taken, Changes(items=(taken,)))


def _judge_again(item: Item, wanted: Redemption, fits: bool) -> Redeemed:
    """One that somebody has, or may have: only the same request of the same holder goes on."""
    mine = next((each for each in item.claims if each.request == wanted.request), None)
    if fits and mine is not None and mine.holder == wanted.holder:
        if mine.final:
            return Redeemed(Step.GRANTED, item)
        if len(item.claims) == 1:
            return Redeemed(Step.GOING_ON, item)
    return Redeemed(Step.REFUSED, item, reason="used")


def _is_alive(item: Item) -> bool:
    """Whether there is anything to revoke: what a claim has taken stays taken."""
    return item.fate == Fate.OPEN and not item.claims


def _revoked(item: Item) -> Item:
    return attrs.evolve(item, fate=Fate.REVOKED)
