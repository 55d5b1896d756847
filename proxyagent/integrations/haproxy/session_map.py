"""The map of sessions that HAProxy itself enforces: who is logged in, pushed over its runtime socket.

Rules of this file:

- HAProxy asks nobody per request: the map has every session's key and its user, and HAProxy looks the key up.
- On connecting, and whenever another process of HAProxy answers, the map is compared with the copy of the sessions and
  mended; then it follows what happens. Lost notices, and what a lost AuthAgent may mean, are a comparison too.
- A key is pushed as it is shown here: whatever a notice says, what counts is a look-up of its key.
- When HAProxy cannot be spoken to the adapter fails, and is tried again soon (adapter.py): nothing is queued meanwhile,
  since the comparison makes up for it.
- The map's keys are session keys of the kind that [client] asks for, since a map of addresses takes nothing else.
"""

import itertools
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import closing

import attrs
import trio

from protocol.io.log import Log
from proxyagent.agent import ProxyAgent
from proxyagent.config import ProxySetup
from proxyagent.core.client import Client
from proxyagent.integrations.adapter import AdapterUnusable
from proxyagent.integrations.client_key import ClientKeys
from proxyagent.integrations.haproxy.runtime import MapChanges, Runtime, RuntimeFailed
from proxyagent.notices import Notice, SessionEnded, SessionOpened
from proxyagent.subscriptions import Subscription

POLL_S = 0.25
"""Between two looks at which process answers: as long a HAProxy that was started anew knows nobody."""

RETRY_S = 0.25
"""As POLL_S, for a HAProxy that cannot be spoken to."""

COMPARE_S = 300.0
"""Between two comparisons of the whole: mends what an operator changed by hand."""

SLICE = 2_000
"""Entries that are changed before other tasks have their turn."""


def make(setup: ProxySetup) -> "SessionMap | None":
    """An adapter where [haproxy] names a map."""
    settings = setup.configuration.haproxy
    if not settings.map:
        return None
    if not settings.runtime:
        raise AdapterUnusable("[haproxy] map needs runtime: the path of HAProxy's `stats socket`, or HOST:PORT")
    place = setup.file(settings.runtime) if "/" in settings.runtime else settings.runtime
    return SessionMap(Runtime(place), settings.map, ClientKeys(setup.configuration.client))


@attrs.define
class SessionMap:
    """Keeps one map of one HAProxy."""

    runtime: Runtime
    name: str
    keys: ClientKeys
    _pushed: dict[str, str] = attrs.field(factory=dict)
    """What HAProxy's map holds, as far as is known."""

    async def serve(self, agent: ProxyAgent, log: Log) -> None:
        """Push until cancelled. Raises AdapterUnusable where HAProxy cannot be spoken to or refuses."""
        try:
            with closing(agent.notices()) as notices:
                while True:
                    await self._follow(agent, notices, log)
        except RuntimeFailed as error:
            raise AdapterUnusable(f"[haproxy] {error}", retry_s=RETRY_S) from None

    async def _follow(self, agent: ProxyAgent, notices: Subscription, log: Log) -> None:
        """Compare, then follow one process of HAProxy until another answers or the whole must be compared."""
        seen = await self.runtime.identity()
        await self._compare(agent, log)
        until_s = trio.current_time() + COMPARE_S
        while trio.current_time() < until_s:
            happened = await _wait(notices)
            moved = [each for each in happened if isinstance(each, SessionOpened | SessionEnded)]
            now = await self.runtime.identity()
            if not now.follows(seen) or len(moved) < len(happened):
                return
            seen = now
            await self._push(agent, {each.session.key for each in moved})

    async def _compare(self, agent: ProxyAgent, log: Log) -> None:
        self._pushed = await self.runtime.map_entries(self.name)
        wanted = {key: user async for key, user in _known(agent) if self.keys.fits(key)}
        changed = [key for key, user in wanted.items() if self._pushed.get(key) != user]
        changed += [key for key in self._pushed if key not in wanted]
        await self._push(agent, changed)
        log.note("haproxy.map_compared", at=self.runtime.place, entries=len(self._pushed), changed=len(changed))

    async def _push(self, agent: ProxyAgent, keys: Iterable[str]) -> None:
        """Have these keys in the map as they are shown here now."""
        for part in _parts(list(keys)):
            shown = {key: agent.lookup(key, touch=False) for key in part if self.keys.fits(key)}
            wanted = {key: session.user for key, session in shown.items() if session is not None}
            changes = MapChanges(
                delete=[key for key in part if key not in wanted and key in self._pushed],
                set={key: user for key, user in wanted.items() if self._pushed.get(key, user) != user},
                add={key: user for key, user in wanted.items() if key not in self._pushed},
            )
            if changes:
                await self.runtime.change_map(self.name, changes)
            for key in changes.delete:
                del self._pushed[key]
            self._pushed.update(wanted)


async def _known(agent: ProxyAgent) -> AsyncIterator[tuple[str, str]]:
    """Key and user of every session, page by page: a look at all of a large table at once would stop the loop."""

    def taken(client: Client) -> list[tuple[str, str]]:
        shown = itertools.islice(records, SLICE)
        return [(client.cache.public(each.login.key), each.login.user) for each in shown]

    records = agent.shell.call(lambda client, now: client.cache.table.sessions(client.cache.clock.now_ms(now)))
    while agent.answering and (part := agent.shell.call(lambda client, now: taken(client))):
        for each in part:
            yield each
        await trio.lowlevel.checkpoint()


async def _wait(notices: Subscription) -> Sequence[Notice]:
    """What has happened, as soon as something has; nothing after POLL_S."""
    with trio.move_on_after(POLL_S):
        return [await anext(notices), *notices.waiting()]
    return []


def _parts(keys: Sequence[str]) -> Iterator[Sequence[str]]:
    return (keys[start : start + SLICE] for start in range(0, len(keys), SLICE))
