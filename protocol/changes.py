"""A batch of changes to a session table: what one frame carries and one merge takes.

Rules of this file:

- On the hot path the unit is the batch, never one session; so changes are columns, one list a field.
- A run is columns of equal length about logins of one origin. Nothing here checks a peer: the codec has.
- Changes say what is so ("this login, in this state"), not what to do; so repeating or reordering them is harmless.
  Only a Mark is an instruction: "whoever logged in under this key before this time is out".

All times are milliseconds of cluster time.
"""

from collections.abc import Sequence
from typing import NamedTuple

import attrs

from protocol.item import Item
from protocol.session import Attributes, Origin


@attrs.frozen
class LoginRun:
    """Logins of one origin and one site, in columns of equal length.

    `sequences` is a range when they are consecutive (the ordinary case, and the fast one).
    `active_at` None means "at login". `states` None means all ALIVE; else one State byte each, none of them ABSENT.
    """

    origin: Origin
    sequences: Sequence[int]
    site: str
    keys: list[str]
    users: list[str]
    login_at: list[int]
    expires_at: list[int]
    idle_timeout_s: list[int]
    attributes: list[Attributes]
    active_at: list[int] | None = None
    states: bytes | None = None


@attrs.frozen
class EndRun:
    """Ends of logins of one origin: enough to stand as tombstones where the login was never seen.

    `states` holds one State byte each, SUPERSEDED or above.
    """

    origin: Origin
    sequences: Sequence[int]
    states: bytes
    keys: list[str]
    users: list[str]
    expires_at: list[int]


@attrs.frozen
class TouchRun:
    """Activity of logins of one origin."""

    origin: Origin
    sequences: Sequence[int]
    active_at: list[int]


class Barrier(NamedTuple):
    """Every login of `user` at or before `at` is dead (logout(user), DESIGN section 3)."""

    user: str
    at: int


class Mark(NamedTuple):
    """A logout(key) at `at`: each agent it passes also ends what it holds under the key that is older."""

    key: str
    at: int


@attrs.frozen
class Changes:
    """Everything one batch says, ends and barriers included. `items` are whole copies (protocol.item)."""

    logins: tuple[LoginRun, ...] = ()
    ends: tuple[EndRun, ...] = ()
    touches: tuple[TouchRun, ...] = ()
    barriers: tuple[Barrier, ...] = ()
    marks: tuple[Mark, ...] = ()
    items: tuple[Item, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.logins or self.ends or self.touches or self.barriers or self.marks or self.items)

    def __len__(self) -> int:
        """How many single changes the batch holds."""
        runs: tuple[LoginRun | EndRun | TouchRun, ...] = (*self.logins, *self.ends, *self.touches)
        return sum(len(run.sequences) for run in runs) + len(self.barriers) + len(self.marks) + len(self.items)
