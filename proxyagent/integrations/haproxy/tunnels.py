"""A logout cuts the user's tunnels: no proxy does it for those that it has opened, but HAProxy in front of them can.

Rules of this file:

- A proxy asks once for a tunnel; one that is open outlives the session, unless somebody ends its connection.
- An end by will cuts, and no other: where a session is superseded, somebody else is at the same address now.
- It waits GRACE_S first: the page on which the user logged out may come through one of these connections.
- A HAProxy that cannot be asked is told once, until it can: what it would have cut has ended with it, or stays.
- When more log out at once than notices tell, that is told.
"""

from contextlib import closing

import attrs
import trio

from protocol import addresses
from protocol.io.log import Log
from proxyagent.agent import ProxyAgent
from proxyagent.config import ProxySetup
from proxyagent.integrations.haproxy.runtime import Runtime, RuntimeFailed
from proxyagent.notices import Notice, NoticesLost, SessionEnded
from proxyagent.session import BY_WILL
from proxyagent.subscriptions import Subscription

GRACE_S = 0.5


def make(setup: ProxySetup) -> "Tunnels | None":
    """An adapter where [haproxy] names a runtime socket."""
    place = setup.configuration.haproxy.runtime
    return Tunnels(Runtime(setup.file(place) if "/" in place else place)) if place else None


@attrs.frozen
class Tunnels:
    """Cuts tunnels through one HAProxy."""

    runtime: Runtime

    async def serve(self, agent: ProxyAgent, log: Log) -> None:
        """Until cancelled. Raises nothing."""
        complaint = ""
        with closing(agent.notices()) as notices:
            async for notice in notices:
                gathered = await _gathered(notice, notices)
                if any(isinstance(each, NoticesLost) for each in gathered):
                    log.warning("haproxy.cut_incomplete")
                clients = {client for client in map(client_of, gathered) if client}
                if not clients:
                    continue
                try:
                    count = await self.runtime.shut_down_clients(clients)
                except RuntimeFailed as error:
                    if complaint != (complaint := str(error)):
                        log.warning("haproxy.cut_failed", error=complaint)
                else:
                    complaint = ""
                    log.note("haproxy.tunnels_cut", connections=count)


async def _gathered(first: Notice, notices: Subscription) -> list[Notice]:
    """This notice and all that come within the grace, so that a thousand logouts are one question."""
    if not client_of(first):
        return [first]
    await trio.sleep(GRACE_S)
    return [first, *notices.waiting()]


def client_of(notice: Notice) -> str:
    """The address whose connections this notice ends; empty for none."""
    if not isinstance(notice, SessionEnded) or notice.reason not in BY_WILL:
        return ""
    found = addresses.address(notice.session.key.partition("+")[0])
    return "" if found is None else str(found)
