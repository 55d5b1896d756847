"""Everything the client machine can ask for, in the imperative. The counterpart is events.py.

The shell performs commands in the order in which they stand.
"""

from typing import TypeAlias

import attrs

from protocol.errors import Code
from protocol.messages import Message
from proxyagent.notices import Notice


@attrs.frozen
class Dial:
    """Connect to this agent of Settings.agents; answered by LinkOpened or DialFailed within `timeout_s`."""

    agent: int
    timeout_s: float


@attrs.frozen
class Send:
    """Encode and queue."""

    link: int
    message: Message


@attrs.frozen
class AwaitRoom:
    """Answer with LinkDrained as soon as little is queued on this link."""

    link: int


@attrs.frozen
class Close:
    """Say farewell with this reason and close."""

    link: int
    code: Code
    text: str


@attrs.frozen
class Notify:
    """Tell the host program."""

    notice: Notice


@attrs.frozen
class Log:
    """One log line: a name with keys. Grades: `info`, `warning`, `alarm`."""

    event: str
    grade: str = "info"
    keys: dict[str, object] = attrs.field(factory=dict)


@attrs.frozen
class WakeWaiters:
    """Acknowledgements, synchronisation or isolation have moved: whoever waits should look again."""


Command: TypeAlias = Dial | Send | AwaitRoom | Close | Notify | Log | WakeWaiters
