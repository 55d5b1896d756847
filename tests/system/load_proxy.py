"""A proxy without users: embeds a ProxyAgent and logs in and out, see tests.system.load.

    python -m tests.system.load_proxy --config authagent.toml --id proxy1

Acknowledged means at level `site`.
"""

import argparse
import itertools
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from functools import partial
from typing import Any

import attrs
import trio

import proxyagent
from tests.system.load import serve

ACKNOWLEDGED_WITHIN_S = 8.0

SLICE_SESSIONS = 5_000


@attrs.define(eq=False)
class Awaited:
    """A login or logout whose acknowledgement is waited for."""

    what: Any
    deadline_s: float
    ended: trio.Event = attrs.field(factory=trio.Event)
    acknowledged: bool = False


class ProxyClient:
    """A ProxyAgent as a client of the load.

    One task waits for all acknowledgements, oldest first, as they come: a thousand tasks would all wake for each.
    """

    def __init__(self, agent: proxyagent.ProxyAgent, nursery: trio.Nursery) -> None:
        self._agent = agent
        self._send, self._receive = trio.open_memory_channel[Awaited](math.inf)
        nursery.start_soon(self._acknowledge)

    def login(self, key: str, user: str) -> tuple[str, Callable[[], Awaitable[bool]]]:
        session = self._agent.login(key, user=user)
        return str(session.login_id), partial(self._acknowledged, session)

    def logout(
        self, key: str | None, user: str | None, login_id: str | None
    ) -> tuple[list[str], Callable[[], Awaitable[bool]]]:
        ended = self._agent.logout(key) if key is not None else self._agent.logout(user=user)
        return [str(session.login_id) for session in ended], partial(self._acknowledged, ended)

    async def shown(self) -> AsyncIterator[Mapping[str, str]]:
        sessions = iter(self._agent.sessions())
        while part := list(itertools.islice(sessions, SLICE_SESSIONS)):
            yield {str(session.login_id): session.key for session in part}

    async def look(self, keys: list[str]) -> Mapping[str, str] | None:
        found = (self._agent.lookup(key, touch=False) for key in keys)
        return {str(session.login_id): session.key for session in found if session is not None}

    async def resync(self) -> None:
        await self._agent.resync()

    def state(self) -> Mapping[str, object]:
        agent = self._agent
        served_at = agent.statistics().agent_site
        return {"synchronised": agent.synchronised, "isolated": agent.isolated, "agent_site": served_at}

    async def _acknowledged(self, what: Any) -> bool:
        awaited = Awaited(what, trio.current_time() + ACKNOWLEDGED_WITHIN_S)
        self._send.send_nowait(awaited)
        await awaited.ended.wait()
        return awaited.acknowledged

    async def _acknowledge(self) -> None:
        async for awaited in self._receive:
            left_s = max(0.0, awaited.deadline_s - trio.current_time())
            try:
                await self._agent.wait_acknowledged(awaited.what, level="site", timeout=left_s)
                awaited.acknowledged = True
            except proxyagent.NotAcknowledged:
                pass  # what it says otherwise
            awaited.ended.set()


async def main(options: argparse.Namespace) -> None:
    """Serve commands until standard input ends."""
    async with proxyagent.open_proxy_agent(options.config, id=options.id) as agent, trio.open_nursery() as nursery:
        await serve(ProxyClient(agent, nursery), options.id, nursery)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A ProxyAgent that is told what to do, for the system tests.")
    parser.add_argument("--config", required=True)
    parser.add_argument("--id", required=True)
    trio.run(main, parser.parse_args())
