"""Everything an agent can ask for, in the imperative. The counterpart is events.py.

The shell performs commands in the order in which they stand: persist, then send, then tell.
"""

from collections.abc import Mapping
from typing import TypeAlias

import attrs

from protocol.changes import Changes
from protocol.errors import Code
from protocol.messages import Message, Role


@attrs.frozen
class Dial:
    """Connect to the partner; answered by LinkOpened(dialled=True) or DialFailed, within `timeout_s`."""

    timeout_s: float


@attrs.frozen
class Reach:
    """Connect to an agent of another site; answered by LinkOpened(dialled=True) or NotReached, within `timeout_s`."""

    site: str
    agent: str
    timeout_s: float


@attrs.frozen
class Send:
    """Encode once and queue on each of the links."""

    links: tuple[int, ...]
    message: Message


@attrs.frozen
class Relay:
    """Queue frames, encoded already, on each of the links: the same bytes to every follower."""

    links: tuple[int, ...]
    frames: bytes


@attrs.frozen
class Close:
    """Say farewell with this reason and close."""

    link: int
    code: Code
    text: str
    elsewhere: str = ""


@attrs.frozen
class Persist:
    """Write to the store; Stored(position) follows once it is on stable storage. `payload` is encoded Changes."""

    position: int
    payload: bytes


@attrs.frozen
class PersistTerm:
    """Give the term to the store before anybody hears of it; nobody waits for the disk (docs/decisions/0005)."""

    term: int


@attrs.frozen
class PersistClock:
    """Keep how far cluster time is ahead of this machine's boot clock, for the next process here; None: forget it."""

    offset_ms: int | None


@attrs.frozen
class Tell:
    """Changes that were news here: for the log of sessions, the statistics, and whoever asks what happened.

    `source` is who reported them, `message` the name of the message that brought them, empty where none did, and
    `payloads` are the changes as they were stored.
    """

    source: str
    changes: Changes
    message: str = ""
    payloads: tuple[bytes, ...] = ()


@attrs.frozen
class Log:
    """One log line: a name with keys. Grades: `info`, `warning`, `alarm`."""

    event: str
    grade: str = "info"
    keys: Mapping[str, object] = attrs.field(factory=dict)


@attrs.frozen
class AnnounceRole:
    """The role is decided, or has changed."""

    role: Role
    term: int


@attrs.frozen
class CarryOut:
    """Do this admin verb for the partner, and answer with AdminDone."""

    link: int
    request: int
    body: bytes


@attrs.frozen
class Answer:
    """The answer to a LogoutAsked, AdminAsked, SwitchAsked or ItemAsked.

    `sequence` is the log position to be reached everywhere; `unfinished` is an error that asking again may mend.
    `ruling` is the Ruling of an item, which is in `body` where it is GRANTED.
    """

    request: int
    body: bytes = b""
    ended: int = 0
    sequence: int = 0
    error: str = ""
    unfinished: bool = False
    ruling: int = 0


@attrs.frozen
class Exit:
    """Everything is handed over: flush and end."""


Command: TypeAlias = (
    Dial
    | Reach
    | Send
    | Relay
    | Close
    | Persist
    | PersistTerm
    | PersistClock
    | Tell
    | Log
    | AnnounceRole
    | CarryOut
    | Answer
    | Exit
)
