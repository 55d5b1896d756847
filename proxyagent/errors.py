"""What the library raises (DESIGN section 8).

    Error
    |-- ConfigurationError   (also a ValueError)    the file, or what was passed to open_proxy_agent
    |-- LimitExceeded        (also a ValueError)    a key, user or attribute over its bound, or a full table
    |-- NotAcknowledged      (also a TimeoutError)  the level was not reached in time; `.reached` says how far it got
    |-- Refused                                     a code or challenge is wrong, used, expired or void
    |-- Undecided            (also a TimeoutError)  nobody may decide about it now; nothing was used up
    |-- Closed                                      the agent was left, closed, or is used after a fork
    `-- InternalError                               a broken invariant of ours; the agent is closed, the process is not

Rules of this file:

- `lookup`, `touch`, `login` and `logout` raise for no network reason.
- Each text is one line that may be logged: no secret, no attribute.
"""

from collections.abc import Iterable

from protocol.mistakes import Mistake, MistakesFound


class Error(Exception):
    """Base of all errors of the library."""


class ConfigurationError(Error, ValueError):
    """The configuration cannot be used. `mistakes` lists all that is wrong; str() is one line for each."""

    def __init__(self, text: str, mistakes: Iterable[Mistake] = ()) -> None:
        super().__init__(text)
        self.mistakes = tuple(mistakes)

    @classmethod
    def of(cls, found: MistakesFound) -> "ConfigurationError":
        """The library's own error for what the parser found."""
        return cls(str(found), found.mistakes)


class LimitExceeded(Error, ValueError):
    """An argument is over its bound, or the table is full. Nothing was changed."""


class NotAcknowledged(Error, TimeoutError):
    """The level asked for was not reached in time. The change stands, and is still on its way.

    `reached` is the level that was: "local" or "master".
    """

    def __init__(self, text: str, reached: str) -> None:
        super().__init__(text)
        self.reached = reached


class Refused(Error):
    """The code or challenge is wrong, used, expired, revoked or unknown; only the agent's log says which."""


class Undecided(Error, TimeoutError):
    """Nobody could decide about a code or challenge in time. Nothing was used up; the same call may be made again."""


class Closed(Error):
    """The agent is closed, or this process is a fork of the one that opened it. Open a new one."""


class InternalError(Error):
    """An invariant of ours is broken: a bug. The agent has closed itself; please report it."""
