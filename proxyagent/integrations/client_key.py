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
from protocol.configuration import ClientSettings
from protocol.key import key


@attrs.frozen
class ClientKeys:
    """Makes keys as [client] says."""

    settings: ClientSettings

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

    def trusts(self, peer: str) -> bool:
        """Whether the connection's other end may say for whom it asks; a Unix socket has the peer ""."""
        return not peer or any(addresses.comes_from(each, peer) for each in self.settings.trusted_proxies)

    def address(self, peer: str, forwarded: Sequence[str]) -> str:
        """The client's address: `peer` itself, or what trusted proxies wrote into X-Forwarded-For, one item each.

        The last item that is not itself a trusted proxy's address counts; items before it may be forged.
        """
        found = peer
        for item in reversed(forwarded):
            if not self.trusts(found):
                break
            found = item.strip()
        return found
