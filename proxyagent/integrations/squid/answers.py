"""What squid's helpers are answered: as whom a client is logged in, and that a login is recorded.

Rules of this file:

- Whatever a question holds, it gets an answer: ERR where it makes no sense. Nothing here blocks.
- A name is escaped as squid wants it; nothing that a user chose can become a word of the answer.
"""

from collections.abc import Sequence
from functools import lru_cache
from urllib.parse import quote

from protocol.io.log import Log
from proxyagent.agent import ProxyAgent
from proxyagent.errors import LimitExceeded
from proxyagent.integrations.squid.fields import KeyOf, text
from proxyagent.integrations.squid.marks import Marks
from proxyagent.integrations.squid.questions import ERR
from proxyagent.session import Session


class Answers:
    """Answers on behalf of one agent."""

    def __init__(self, agent: ProxyAgent, key_of: KeyOf, marks: Marks, log: Log) -> None:
        self._agent = agent
        self._key_of = key_of
        self._marks = marks
        self._log = log

    def session(self, fields: Sequence[bytes]) -> bytes:
        """`ADDRESS [COOKIE]`: OK and as whom they are logged in, or ERR. Counts as activity."""
        key = self._key_of(fields)
        session = None if key is None else self._agent.lookup(key)
        if key is None or session is None:
            return ERR
        self._marks.let_in(key)
        return known_as(session.user)

    def login(self, fields: Sequence[bytes], asked_again: set[str]) -> Session | None:
        """`USER ADDRESS [COOKIE]`: the session that there is now; None where there is to be none, which is ERR.

        `asked_again` is shared by all that came together, and starts empty: of those under a key that must be asked
        again none logs in, for they had left the browser before it could be told.
        """
        key, user = self._key_of(fields[1:]), text(fields[0]) if fields else None
        if key is None or user is None:
            return None
        if key in asked_again or self._marks.take(key):
            asked_again.add(key)
            return None
        try:
            return self._agent.login(key, user)
        except LimitExceeded as error:
            self._log.warning("squid.login_refused", reason=str(error))
            return None


@lru_cache(1_024)
def known_as(user: str) -> bytes:
    """OK, and who it is."""
    return b"OK user=" + quote(user, safe="").encode()
