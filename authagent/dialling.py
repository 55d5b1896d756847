"""Dialling other agents: a proven link to the one that the file names, and nobody else; or what the failure proves.

Rules of this file:

- Whatever the other end's bytes bring about, this agent serves on: a mistake of ours is a link that failed, told once.
- Who answers at the address of another agent is somebody else's mistake, and refused.
- A link that was proven with a secret which a reload has dropped meanwhile is none.
"""

from collections.abc import Callable
from functools import partial

from authagent import admission
from authagent.setup import Setup
from protocol.configuration import AuthAgentEntry
from protocol.errors import Code
from protocol.io.dial import Connect, dial
from protocol.io.link import Link, LinkFailed, LinkRefused
from protocol.io.log import Log
from protocol.stamp import Now

ANSWERS = {"untrusted": Code.UNAUTHORIZED, "no_tls": Code.PROTOCOL, "protocol": Code.PROTOCOL}
"""Failures to link that prove that somebody lives there."""

DEAD = {"refused", "reset"}
"""Failures to link that prove that the process is gone."""


class Dialling:
    """Dials on behalf of one agent, as its setup is when it does."""

    def __init__(self, setup: Callable[[], Setup], log: Log, clock: Callable[[], Now], connect: Connect) -> None:
        self._setup = setup
        self._log = log
        self._dial = partial(dial, clock=clock, connect=connect)

    async def link_to(self, entry: AuthAgentEntry, host: str, timeout_s: float) -> Link:
        """A proven link to the agent of `entry`, dialled at `host`. Raises LinkFailed, LinkRefused."""
        setup = self._setup()
        try:
            link = await self._dial(host, entry.port, setup.identity, setup.tls, timeout_s)
        except (LinkFailed, LinkRefused):
            raise
        except Exception as error:  # noqa: BLE001 - see above
            self._log.alarm("link.broken", peer=str(entry), error=repr(error))
            raise LinkFailed("broken", repr(error)) from None
        peer = link.peer
        if (peer.kind, peer.site, peer.id) != ("agent", entry.site, str(entry.id)):
            text = f"{host}:{entry.port} is {peer.kind} {peer.id} of {peer.site}, not {entry}"
            link.close(Code.WRONG_SITE, text)
            raise LinkRefused(Code.WRONG_SITE, text)
        setup = self._setup()
        if (unwanted := admission.unwanted(peer, setup.identity.secrets, setup.configuration)) is not None:
            link.close(*unwanted)
            raise LinkFailed("superseded", unwanted[1])
        return link
