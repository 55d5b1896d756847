"""What a host program does with codes and challenges: arguments checked, questions made, what needs nobody done here.

Rules of this file:

- Making and revoking merge, as a login does: they are done in the copy, and travel in the outbox. Only who is strict
  is made by the master, who names the witnesses.
- Redeeming is the master's, but for what is not strict when no agent is left: then this proxy decides for itself.
- A code leaves this file as a proof only.
"""

import math

from protocol import codes, item_acts, limits
from protocol.changes import Changes
from protocol.codec import encode_changes
from protocol.item import SINGLE_USE, SOLE, STRICT, Item
from protocol.item_acts import Step
from protocol.messages import Creation, Redemption
from protocol.stamp import Now
from proxyagent.core import inputs
from proxyagent.core.cache import Cache
from proxyagent.core.outbox import Outbox
from proxyagent.core.settings import Dice
from proxyagent.errors import LimitExceeded


class ItemService:
    """The host program's side of codes and challenges."""

    def __init__(self, cache: Cache, outbox: Outbox, dice: Dice) -> None:
        self._cache = cache
        self._outbox = outbox
        self._dice = dice

    # -- making -----------------------------------------------------------------------------------------------------

    def new_code(self, user: str, validity_s: float, now: Now) -> tuple[str, Item]:
        """A fresh code, and the item that the master is to take in for it."""
        least, most = limits.CODE_VALIDITY_S_MIN, limits.CODE_VALIDITY_S_MAX
        if not least <= validity_s <= most:
            raise LimitExceeded(f"validity is {validity_s:g} s; {least} to {most:,} s are allowed")
        code = codes.draw(self._dice.getrandbits)
        flags = SINGLE_USE | STRICT | SOLE
        return code, self.new_item(codes.PROVISION_CODE, user, None, b"", validity_s, flags, code, now)

    def new_item(
        self, kind: str, user: str, id: str | None, blob: bytes, validity_s: float, flags: int, secret: str | None,
        now: Now,
    ) -> Item:  # fmt: skip
        """An item as its maker knows it. Raises LimitExceeded before anything has changed."""
        settings = self._cache.settings
        kind = inputs.printable("the kind", kind, limits.NAME_BYTES_MAX)
        user = self._user(user)
        name = f"{self._dice.getrandbits(128):032x}" if id is None else id
        inputs.printable("the id", name, limits.ITEM_ID_BYTES_MAX)
        if not isinstance(blob, bytes):
            raise inputs.WrongType(f"the blob must be bytes, not {type(blob).__name__}")
        if len(blob) > limits.ITEM_BLOB_BYTES_MAX:
            raise LimitExceeded(f"the blob has {len(blob)} bytes; {limits.ITEM_BLOB_BYTES_MAX} are allowed")
        lock = b""
        if secret is not None:
            key_id, key = settings.code_lines[0]
            owner = user if flags & SOLE else name  # by which it will be redeemed
            lock = codes.lock(key_id, name, codes.proof(key, kind, owner, inputs.text("the secret", secret, 256)))
        now_ms = self._cache.clock.now_ms(now)
        expires_ms = now_ms + math.ceil(validity_s * 1000)
        return Item(kind, name, user, settings.site, now_ms, expires_ms, flags, blob, lock)

    def creation(self, item: Item) -> Creation:
        """The question that has the master take an item in."""
        return Creation(0, encode_changes(Changes(items=(item,))))

    def make_here(self, item: Item, now: Now) -> tuple[Item, int]:
        """Take an item in that needs no decision; returns it with the serial of the batch that carries it."""
        if self._cache.table.items.get(*item.name) is not None:
            raise LimitExceeded(f"there is a {item.kind} of this id already: ids are used once")
        if self._cache.table.items.full:
            raise LimitExceeded(f"the table of items is full: {limits.ITEMS_MAX:,} at once")
        changes = item_acts.make(self._cache.table, item, self._cache.clock.now_ms(now))
        return changes.items[0], self._put(changes, now)

    def revoke(self, kind: str, *, id: str = "", user: str = "", now: Now) -> tuple[int, int]:
        """Void an item, or all that a user has of a kind: how many that are, and the serial (0 for none)."""
        changes = item_acts.revoke(self._cache.table, kind, id=id, user=user and self._user(user))
        return len(changes.items), self._put(changes, now) if changes else 0

    # -- redeeming --------------------------------------------------------------------------------------------------

    def redemption(
        self, kind: str, id: str, user: str, secret: str | None, request: bytes | None, holder: str
    ) -> Redemption:
        """The question that has the master redeem an item. With `request` None every call is another redemption."""
        inputs.printable("the kind", kind, limits.NAME_BYTES_MAX)
        if holder:
            inputs.printable("the holder", holder, limits.ITEM_HOLDER_BYTES_MAX)
        user = self._user(user) if user else ""
        if request is None:
            request = self._dice.getrandbits(128).to_bytes(16, "big")
        if not 1 <= len(request) <= limits.HASH_BYTES_MAX:
            raise LimitExceeded(f"the request has {len(request)} bytes; 1 to {limits.HASH_BYTES_MAX} are allowed")
        shown = {} if secret is None else codes.proofs(dict(self._cache.settings.code_lines), kind, id or user, secret)
        return Redemption(0, kind, id, user, request, holder, tuple(shown), tuple(shown.values()))

    def redeem_here(self, wanted: Redemption, now: Now) -> tuple[bool | None, Item | None]:
        """Decide without any agent: whether it is granted; None where only an agent may say."""
        table, now_ms = self._cache.table, self._cache.clock.now_ms(now)
        item = item_acts.find(table, wanted)
        if item is None or item.strict:
            return None, None
        redeemed = item_acts.redeem(table, wanted, node=self._cache.settings.id, now_ms=now_ms)
        if redeemed.changes:
            self._put(redeemed.changes, now)
        if redeemed.step in (Step.CLAIMED, Step.GOING_ON):
            assert redeemed.item is not None, "a claim is an item's"
            self._put(item_acts.final(redeemed.item, wanted.request), now)
            return True, redeemed.item
        return redeemed.step is Step.GRANTED, redeemed.item

    # -- looking ----------------------------------------------------------------------------------------------------

    def get(self, kind: str, id: str) -> Item | None:
        """The copy of an item that is here."""
        return self._cache.table.items.get(kind, id)

    def of_kind(self, kind: str, user: str | None, now: Now) -> list[Item]:
        """Items of a kind that have not expired, the latest first; of one user where given."""
        items = self._cache.table.items
        found = [each for each in items if each.kind == kind] if user is None else items.of_user(kind, self._user(user))
        now_ms = self._cache.clock.now_ms(now)
        alive = [each for each in found if now_ms < each.expires_at]
        return sorted(alive, key=lambda each: (each.made_at, each.id), reverse=True)

    # -- within -----------------------------------------------------------------------------------------------------

    def _put(self, changes: Changes, now: Now) -> int:
        self._cache.merge(changes, now)
        return self._outbox.put(changes)

    def _user(self, given: str) -> str:
        user = inputs.user(given, self._cache.settings.user_names)
        return inputs.printable("the user", user, limits.USER_BYTES_MAX)
