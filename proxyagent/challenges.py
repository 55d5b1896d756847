"""Challenges, as a host program makes them at one node and consumes them at another.

Rules of this file:

- Availability comes first: a challenge is made here and travels, and with no agent left it is consumed here. With
  `strict` it is the other way round: made and consumed by the master only, refused in a split.
- Making waits for the partner so long, and goes on without it; then the log says SYNC_ERROR, and `shared` is False.

Source: seeds/000 (Appliance Synchronisation); docs/howto/challenges.md.
"""

from collections.abc import Callable

import attrs

from protocol import limits
from protocol.codec import decode_changes
from protocol.io.log import Severity, Write
from protocol.item import SINGLE_USE, STRICT, Item
from protocol.messages import Creation, Ruling
from protocol.stamp import Now
from proxyagent.asking import Asking
from proxyagent.core.client import Client
from proxyagent.errors import LimitExceeded, Refused


@attrs.frozen
class Challenge:
    """One short-lived thing that a user must answer. `blob` is the maker's own.

    `shared`: whether it was on stable storage of the site when it was made or consumed.
    """

    kind: str
    id: str
    user: str
    blob: bytes = attrs.field(repr=False)
    made_at_ms: int
    expires_at_ms: int
    strict: bool
    shared: bool = True


class Challenges:
    """`agent.challenges` of a ProxyAgent."""

    def __init__(self, asking: Asking, write: Write) -> None:
        self._asking = asking
        self._write = write

    async def create(
        self,
        kind: str,
        user: str,
        *,
        id: str | None = None,
        blob: bytes = b"",
        validity: float = 120.0,
        single_use: bool = True,
        strict: bool = False,
        secret: str | None = None,
        timeout: float = 3.0,
    ) -> Challenge:
        """A new challenge, known to every node; its id is drawn where none is given, and is used once.

        `validity` is in seconds, at most 600. With `secret` (what was sent by SMS, say) it is consumed only by whoever
        shows the same, in five tries; only a lock on it is kept. Raises LimitExceeded; Undecided for a strict one that
        nobody took in within `timeout` seconds. One with an `id` is tried once: it may stand then, so take another id.
        """
        if not 0 < validity <= limits.CHALLENGE_VALIDITY_S_MAX:
            most = limits.CHALLENGE_VALIDITY_S_MAX
            raise LimitExceeded(f"validity is {validity:g} s; above 0 and at most {most} s are allowed")
        flags = SINGLE_USE * single_use | STRICT * strict
        shell = self._asking.shell

        def draw(client: Client, now: Now) -> Item:
            return client.service.items.new_item(kind, user, id, blob, validity, flags, secret, now)

        if strict:
            return await self._create_strict(draw, timeout, once=id is not None)
        item = shell.call(draw)
        made, serial = shell.call(lambda client, now: client.service.items.make_here(item, now))
        shared = await self._asking.wait_stored(serial, timeout)
        if not shared:
            text = f"SYNC_ERROR, not confirmed by the site within {timeout:g} s"
            self._write(Severity.WARNING, "item.unconfirmed", {"said": text, "kind": made.kind, "user": made.user})
        return _challenge(made, shared)

    async def _create_strict(self, draw: Callable[[Client, Now], Item], timeout: float, *, once: bool) -> Challenge:
        def question(client: Client, now: Now) -> Creation:
            return client.service.items.creation(draw(client, now))

        verdict = await self._asking.create(question, timeout, once=once)
        if verdict.ruling != Ruling.GRANTED:
            raise LimitExceeded(f"the table of items is full: {limits.ITEMS_MAX:,} at once")
        (made,) = decode_changes(verdict.payload).items
        return _challenge(made)

    def get(self, kind: str, id: str) -> Challenge | None:
        """The challenge as it is known here, while it may still be consumed; consumes nothing. At once."""

        def look(client: Client, now: Now) -> Challenge | None:
            items = client.cache.table.items
            item = items.get(kind, id)
            if item is None or items.state(item, client.cache.clock.now_ms(now)) != "open":
                return None
            return _challenge(item)

        return self._asking.shell.call(look)

    def list(self, kind: str, user: str | None = None) -> tuple[Challenge, ...]:
        """The challenges of a kind that may still be consumed, the latest first; of one user where given. At once."""

        def look(client: Client, now: Now) -> tuple[Challenge, ...]:
            items, now_ms = client.cache.table.items, client.cache.clock.now_ms(now)
            found = client.service.items.of_kind(kind, user, now)
            return tuple(_challenge(item) for item in found if items.state(item, now_ms) == "open")

        return self._asking.shell.call(look)

    async def consume(
        self,
        kind: str,
        id: str,
        *,
        secret: str | None = None,
        holder: str = "",
        request: str | None = None,
        timeout: float = 5.0,
    ) -> Challenge:
        """Consume a challenge, wherever it was made. Of all who try, one is granted it.

        `secret` is what the user typed, where it was made with one. The same `request` of the same `holder` is granted
        again. Raises Refused when it is used, expired, unknown or the secret is wrong; Undecided when nobody may
        decide now (strict only, or a master that does not answer).
        """
        shell = self._asking.shell
        asked = None if request is None else request.encode()
        question = shell.call(
            lambda client, now: client.service.items.redemption(kind, id, "", secret, asked, holder)
        )
        kept: list[Item] = []

        def alone(client: Client, now: Now) -> bool | None:
            granted, item = client.service.items.redeem_here(question, now)
            kept.extend([item] if item is not None else [])
            return granted

        told = await self._asking.decide(question, timeout, alone)
        if isinstance(told, bool):
            if told:
                return _challenge(kept[-1], shared=False)
        elif told.ruling == Ruling.GRANTED:
            return _challenge(decode_changes(told.payload).items[0])
        raise Refused(f"the {kind} is used, expired, unknown, or not answered rightly")

    async def revoke(self, kind: str, id: str, *, timeout: float = 5.0) -> bool:
        """Void a challenge that nobody has consumed; whether there was one. Raises Undecided as Codes.revoke does."""
        count, serial = self._asking.shell.call(
            lambda client, now: client.service.items.revoke(kind, id=id, now=now)
        )
        await self._asking.settle(serial, timeout)
        return count > 0


def _challenge(item: Item, shared: bool = True) -> Challenge:
    return Challenge(item.kind, item.id, item.user, item.blob, item.made_at, item.expires_at, item.strict, shared)
