"""Who must be asked for a password again: a browser sends the old one with every request, so a logout would not last.

Rules of this file:

- A key is marked when its session is ended by will (logged out, by its user or an administrator), and no longer once
  somebody has logged in under it again, anywhere, or has been asked.
- Each ProxyAgent has marks of its own, for as long as it runs: behind a switch that does not keep a client with its
  proxy, each proxy asks once.
- What happened before a question counts for its answer: whatever notices wait are read first.
- Where more happens at once than notices tell (everybody is logged out), all those who were let in here and are known
  no more are marked.
"""

from proxyagent.agent import ProxyAgent
from proxyagent.notices import Notice, NoticesLost, SessionEnded, SessionOpened
from proxyagent.session import BY_WILL

MARKS_MAX = 50_000
"""Some MiB; the oldest give way. So many users that log out and do not come back have closed their browsers."""


class Marks:
    """The marks of one adapter, from its start on."""

    def __init__(self, agent: ProxyAgent) -> None:
        self._marked: dict[str, None] = {}
        self._let_in: dict[str, None] = {}
        self._agent = agent
        self._notices = agent.notices()

    def close(self) -> None:
        """Listen no longer."""
        self._notices.close()

    async def follow(self) -> None:
        """Read notices as they come, until cancelled or the agent is left."""
        async for notice in self._notices:
            self._note(notice)

    def let_in(self, key: str) -> None:
        """Whoever is under `key` is known here."""
        if key not in self._let_in:
            _add(self._let_in, key)

    def take(self, key: str) -> bool:
        """Whether whoever is under `key` must be asked again; then they are not, the next time."""
        for notice in self._notices.waiting():
            self._note(notice)
        return self._marked.pop(key, self) is None

    def _note(self, notice: Notice) -> None:
        match notice:
            case SessionEnded(session, reason) if reason in BY_WILL:
                self._mark(session.key)
            case SessionOpened(session):
                self._marked.pop(session.key, None)
            case NoticesLost():
                for key in self._let_in:
                    if self._agent.lookup(key, touch=False) is None:
                        self._mark(key)
            case _:
                pass

    def _mark(self, key: str) -> None:
        self._marked.pop(key, None)  # it goes behind the others
        _add(self._marked, key)


def _add(keys: dict[str, None], key: str) -> None:
    keys[key] = None
    if len(keys) > MARKS_MAX:
        del keys[next(iter(keys))]
