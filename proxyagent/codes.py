"""One-time provisioning codes, as a host program makes and redeems them.

Rules of this file:

- A code is in what `create` returns, and nowhere else: not in reprs, errors or logs, and on no link.
- Whoever redeems is told yes, no, or not now. Which no it was, the agent's log says.
- Texts of errors are those of the source, whose clients know them.

Source: seeds/003 (Mobile Provision Code); docs/howto/one-time-codes.md.
"""

import hashlib

import attrs
import trio

from protocol import codes, limits
from protocol.code_state import CodeState, code_state
from protocol.codec import decode_changes
from protocol.item import Item
from protocol.messages import Creation, Ruling, Verdict
from protocol.stamp import Now
from proxyagent.asking import Asking
from proxyagent.core import inputs
from proxyagent.core.client import Client
from proxyagent.errors import LimitExceeded, Refused

REFUSED_AFTER_S = 0.25
"""What cannot be a code is refused as late as what is none."""


@attrs.frozen
class ProvisionCode:
    """A fresh code: give it to its user by a way that you trust. `code` is written XXXX-XXXX."""

    user: str
    code: str = attrs.field(repr=False)
    id: str
    expires_at_ms: int


class Codes:
    """`agent.codes` of a ProxyAgent."""

    def __init__(self, asking: Asking) -> None:
        self._asking = asking

    async def create(self, user: str, validity: float = 600.0, *, timeout: float = 5.0) -> ProvisionCode:
        """A fresh code for `user`, valid for so many seconds (10 to 1,000,000); every earlier one is void.

        Returns once it is on stable storage of the site. Raises LimitExceeded, or Undecided after `timeout` seconds.
        """
        code = ""

        def draw(client: Client, now: Now) -> Creation:
            nonlocal code
            code, item = client.service.items.new_code(user, validity, now)
            return client.service.items.creation(item)

        made = _item(await self._asking.create(draw, timeout))
        if made is None:
            raise LimitExceeded(f"the table of items is full: {limits.ITEMS_MAX:,} at once")
        return ProvisionCode(made.user, codes.spell(code), made.id, made.expires_at)

    async def redeem(
        self, user: str, code: str, device: str, *, request: str | None = None, timeout: float = 5.0
    ) -> CodeState:
        """Redeem a code for a device; from then on it is used.

        The same `request` of the same device is granted again until the code expires, so a lost answer is asked for
        again; without one the device stands for it. Raises Refused when it is wrong, used, expired or void; Undecided
        when nobody may decide now, which uses nothing up.
        """
        if not user:
            raise Refused("User not set")
        device = inputs.printable("the device", device, limits.ITEM_HOLDER_BYTES_MAX)
        normal = codes.normal(code)
        if normal is None:
            await trio.sleep(REFUSED_AFTER_S)
            raise Refused("Invalid Provision Code")
        shell, kind = self._asking.shell, codes.PROVISION_CODE
        redeemer = hashlib.sha256((request or device).encode()).digest()
        question = shell.call(
            lambda client, now: client.service.items.redemption(kind, "", user, normal, redeemer, device)
        )
        item = _item(await self._asking.decide(question, timeout))
        if item is None:
            raise Refused("Invalid Provision Code")
        return shell.call(
            lambda client, now: code_state(client.cache.table, item, client.cache.clock.now_ms(now))
        )

    async def revoke(self, user: str, *, timeout: float = 5.0) -> int:
        """Void whatever code the user has; how many that were. What is used already stays used.

        Raises Undecided when it is not on stable storage in time; it is done here, and on its way.
        """
        count, serial = self._asking.shell.call(
            lambda client, now: client.service.items.revoke(codes.PROVISION_CODE, user=user, now=now)
        )
        await self._asking.settle(serial, timeout)
        return count

    def list(self, user: str | None = None) -> tuple[CodeState, ...]:
        """The codes that have not expired, the latest first; of one user where given. From the copy, at once."""
        return self._asking.shell.call(
            lambda client, now: tuple(
                code_state(client.cache.table, item, client.cache.clock.now_ms(now))
                for item in client.service.items.of_kind(codes.PROVISION_CODE, user, now)
            )
        )


def _item(verdict: Verdict | bool) -> Item | None:
    """The item of a verdict; None when it is a no."""
    assert isinstance(verdict, Verdict), "a code is never decided without an agent"
    return decode_changes(verdict.payload).items[0] if verdict.ruling == Ruling.GRANTED else None
