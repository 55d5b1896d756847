"""How a client of the proxies on this machine is recognised: the key made of its address, its cookie, or both.

Rules of this file:

- Every adapter of one machine makes its keys here, so that whoever logged in at the page is known at the proxy.
- A forwarded address is believed only from a proxy that [client] trusts; of several, the last that no trusted proxy
  wrote is the client's.
- A cookie's value is hashed at once: it stands in no error, log or key.
"""

from collections.abc import Sequence

import attrs

from protocol import addresses
from protocol.addresses import Network
from protocol.configuration import ClientSettings
from protocol.key import key

NOBODY = "-"
"""What an item that is empty says: no address, and nobody to trust."""


@attrs.frozen
class ClientKeys:
    """Makes keys as [client] says."""

    settings: ClientSettings
    _trusted: tuple[Network, ...] = attrs.field(init=False)

    @_trusted.default
    def _networks(self) -> tuple[Network, ...]:
        found = map(addresses.network, self.settings.trusted_proxies)
        return tuple(each for each in found if each is not None)

    def key(self, address: str | None, cookie: str | None) -> str | None:
        """The key of a client; None where what the key needs is missing or no address. Raises nothing."""
        wanted = self.settings.key
        try:
            return key(
                address=(address or "") if wanted != "cookie" else None,
                cookie=(cookie or "") if wanted != "address" else None,
            )
        except ValueError:
            return None

    def fits(self, key: str) -> bool:
        """Whether `key` is of the kind that [client] wants: the table may hold others, of other machines' proxies."""
        parts = key.split("+")
        kinds = ["cookie" if each.startswith("cookie:") else addresses.address(each) and "address" for each in parts]
        return kinds == (["address", "cookie"] if self.settings.key == "both" else [self.settings.key])

    def trusts(self, peer: str) -> bool:
        """Whether the connection's other end may say for whom it asks; a Unix socket has the peer ""."""
        if not peer:
            return True
        found = addresses.address(peer)
        return found is not None and any(found in each for each in self._trusted)

    def address(self, peer: str, forwarded: Sequence[str]) -> str:
        """The client's address: `peer` itself, or what trusted proxies wrote into X-Forwarded-For, one item each.

        The last item that is not itself a trusted proxy's address counts; items before it may be forged.
        """
        found = peer
        for item in reversed(forwarded):
            if not self.trusts(found):
                break
            found = item.strip() or NOBODY  # an empty item is not the trusted peer that a Unix socket is
        return found
