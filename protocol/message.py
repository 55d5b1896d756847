"""What every message is, and the roles of those who speak. The messages themselves are in messages.py.

Rules of this file: nothing of the language is imported here, so that any family of messages may stand on it.
"""

import enum
from typing import ClassVar

import attrs


class Role(enum.IntEnum):
    """What an agent is to its site; a proxy is always PROXY."""

    STARTING = 0  # not decided yet: neither serves nor redirects, its callers wait
    MASTER = 1
    SLAVE = 2
    PROXY = 3


@attrs.frozen
class Message:
    """Base of all messages; `number` is the first element on the wire."""

    number: ClassVar[int]
