"""Who must be asked for a password again: a browser sends the old one with every request, so a logout would not last.

Rules of this file:

- A key is marked when its session is ended by will (logged out, by its user or an administrator), and no longer once
  somebody has logged in under it again, anywhere, or has been asked.
- Each ProxyAgent has marks of its own, for as long as it runs: behind a switch that does not keep a client with its
  proxy, each proxy asks once.
- What happened before a question counts for its answer: whatever notices wait are read first.
"""

from proxyagent.agent import ProxyAgent
from proxyagent.notices import Notice, SessionEnded, SessionOpened
from proxyagent.session import BY_WILL

MARKS_MAX = 50_000
"""Some MiB; the oldest give way. So many users that log out and do not come back have closed their browsers."""


class Marks:
    """The marks of one adapter, from its start on."""

    def __init__(self, agent: ProxyAgent) -> None:
        self._marked: dict[str, None] = {}
        self._notices = agent.notices()

    def close(self) -> None:
        """Listen no longer."""
        self._notices.close()

    async def follow(self) -> None:
        """Read notices as they come, until cancelled or the agent is left."""
        async for notice in self._notices:
            self._note(notice)

    def take(self, key: str) -> bool:
        """Whether whoever is under `key` must be asked again; then they are not, the next time."""
        for notice in self._notices.waiting():
            self._note(notice)
        return self._marked.pop(key, self) is None

    def _note(self, notice: Notice) -> None:
        match notice:
            case SessionEnded(session, reason) if reason in BY_WILL:
                self._marked.pop(session.key, None)
                self._marked[session.key] = None
                if len(self._marked) > MARKS_MAX:
                    del self._marked[next(iter(self._marked))]
            case SessionOpened(session):
                self._marked.pop(session.key, None)
            case _:
                pass
