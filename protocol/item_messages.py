"""The messages about items: made, redeemed and voided at the word of a master. Part of messages.py, which lists them.

Rules of this file: those of messages.py. What the master does with them is in docs/reference/protocol.md, section 12.
"""

import enum

import attrs

from protocol.message import Message


class Ruling(enum.IntEnum):
    """What an agent decided about an item."""

    GRANTED = 1
    REFUSED = 2  # wrong, used, expired, revoked, unknown: nobody is told which
    UNAVAILABLE = 3  # it cannot be decided safely now; nothing was used up
    FULL = 4  # there is no room for another item


@attrs.frozen
class Creation(Message):
    """To the master: take in this item, of which it decides. It is alone in `payload`; the master names witnesses."""

    number = 34
    question: int
    payload: bytes


@attrs.frozen
class Redemption(Message):
    """To the master: redeem the item, or with `item` empty the latest that the user has of this kind.

    The same `request` of the same `holder` is the same redemption, however often it comes. A proof is made of a code
    and one line of the shared secret; `key_ids` names the lines.
    """

    number = 35
    question: int
    kind: str
    item: str
    user: str
    request: bytes
    holder: str
    key_ids: tuple[bytes, ...]
    proofs: tuple[bytes, ...] = attrs.field(repr=False)


@attrs.frozen
class Verdict(Message):
    """What became of a Creation, Redemption or Revocation; where it is GRANTED the items are in `payload`."""

    number = 36
    question: int
    ruling: int
    payload: bytes = b""


@attrs.frozen
class Revocation(Message):
    """To the master: void the item, or with `item` empty all that the user has of this kind."""

    number = 37
    question: int
    kind: str
    item: str
    user: str
