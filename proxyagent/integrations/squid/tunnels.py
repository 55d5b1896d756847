"""A logout cuts the user's tunnels: squid cannot, but HAProxy in front of it can.

Rules of this file:

- Squid asks once for a tunnel; one that is open outlives the session, unless somebody ends its connection.
- An end by will cuts, and no other: where a session is superseded, somebody else is at the same address now.
- It waits GRACE_S first: the page on which the user logged out may come through one of these connections.
"""

import trio

from protocol import addresses
from protocol.io.log import Log
from proxyagent.agent import ProxyAgent
from proxyagent.integrations.haproxy.runtime import Runtime, RuntimeFailed
from proxyagent.integrations.squid.marks import BY_WILL
from proxyagent.notices import Notice, SessionEnded
from proxyagent.subscriptions import Subscription

GRACE_S = 0.5


async def cut(place: str, agent: ProxyAgent, log: Log) -> None:
    """Cut tunnels through the HAProxy whose runtime socket is at `place`, until cancelled."""
    notices, complaint = agent.notices(), ""
    try:
        async for notice in notices:
            clients = {client for client in map(client_of, await _gathered(notice, notices)) if client}
            if not clients:
                continue
            try:
                count = await Runtime(place).shut_down_clients(clients)
            except RuntimeFailed as error:
                if complaint != (complaint := str(error)):
                    log.warning("squid.cut_failed", error=complaint)
            else:
                complaint = ""
                log.note("squid.tunnels_cut", connections=count)
    finally:
        notices.close()


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
