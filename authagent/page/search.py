"""Finds sessions for the page: by a whole key or user among all, by a part of them among so many as can be looked at.

Rules of this file:

- Bounded twice: in what is told, and in what is looked at. A walk pauses; one search walks at a time.
- A whole user name or key is looked up in the index first, so that it is found in a table of any size.
"""

from collections.abc import Iterator
from itertools import islice
from typing import Any

import attrs
import trio

from authagent.admin import sessions
from authagent.page.listing import Found
from authagent.server import Server
from protocol.session import Record

TOLD_MAX = 50
TOLD_UNASKED_MAX = 12
"""Before anybody has asked for anything: enough to see what a session looks like."""

LOOKED_AT_MAX = 50_000
"""About a third of a second of work, in slices of a millisecond."""

LOOKED_AT_ONCE = 100
QUERY_LETTERS_MAX = 256


@attrs.define
class Search:
    """Searches the sessions of one agent."""

    server: Server
    _turn: trio.Lock = attrs.field(factory=trio.Lock)

    async def find(self, query: str) -> Found:
        """Sessions whose user or key has `query` in it, whatever its case; all of them for an empty one."""
        query = " ".join(query.split())[:QUERY_LETTERS_MAX]
        table, now_ms, told_max = self.server.agent.table, self._now_ms(), TOLD_MAX if query else TOLD_UNASKED_MAX
        found = {record.login_id: record for record in islice(self._whole(query, now_ms), told_max + 1)}
        looked_at, part = 0, query.casefold()
        async with self._turn:
            walk = table.sessions(now_ms)
            while len(found) <= told_max and looked_at < LOOKED_AT_MAX:
                if not (slice_ := list(islice(walk, LOOKED_AT_ONCE))):
                    looked_at = table.alive
                    break
                looked_at += len(slice_)
                found |= {record.login_id: record for record in slice_ if _has(record, part)}
                await trio.lowlevel.checkpoint()
        told = [sessions.describe(record, now_ms) for record in list(found.values())[:told_max]]
        more = len(found) > told_max
        return Found(query=query, sessions=tuple(told), more=more, looked_at=looked_at, total=table.alive)

    def _whole(self, query: str, now_ms: int) -> Iterator[Record]:
        """Those whose key or user is just what was asked for."""
        setup, table = self.server.setup, self.server.agent.table
        question: dict[str, Any]
        for question in ({"key": query}, {"user": query}) if query else ():
            try:
                wanted = sessions.wanted(question, table, setup.configuration, setup.site)
            except ValueError:
                continue  # no session can have such a key
            yield from sessions.candidates(table, wanted, now_ms)

    def _now_ms(self) -> int:
        return self.server.agent.duty.now_ms(self.server.clock())


def _has(record: Record, part: str) -> bool:
    return part in record.login.user.casefold() or part in record.login.key.casefold()
