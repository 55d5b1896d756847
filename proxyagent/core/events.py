"""Everything that can happen to the client machine, in the past tense. The counterpart is commands.py.

What the host program does (look-up, login, logout, touch) is no event: it needs its answer at once, so it enters
through Copy (copy.py), and only what must leave because of it goes through the machine (Changed).
A link is a number that the shell gives; an agent is its place in Settings.agents.
"""

from typing import TypeAlias

import attrs

from protocol.errors import Code
from protocol.messages import Message
from proxyagent.core.settings import Settings


@attrs.frozen
class Started:
    """The host program has opened the agent."""


@attrs.frozen
class LinkOpened:
    """A Dial has led to a proven link. `address` is where the agent was reached."""

    link: int
    agent: int
    address: str


@attrs.frozen
class DialFailed:
    """A Dial came to nothing. `refused` holds the agent's reason when it answered; `elsewhere` whom it named."""

    agent: int
    refused: Code | None
    text: str
    elsewhere: str = ""


@attrs.frozen
class LinkClosed:
    """A link is gone, whoever ended it. `elsewhere` is the agent that a slave named in its farewell."""

    link: int
    code: Code | None
    text: str
    elsewhere: str = ""


@attrs.frozen
class MessagesReceived:
    """Messages that arrived together on one link, in order."""

    link: int
    messages: tuple[Message, ...]


@attrs.frozen
class LinkDrained:
    """Little is queued on this link now: there is room for bulk."""

    link: int


@attrs.frozen
class Changed:
    """The host program has changed the copy, and the tick is over: what it did may leave."""


@attrs.frozen
class Reconfigured:
    """The file or the secret was read again. Who this proxy is (site, id) cannot have changed."""

    settings: Settings


@attrs.frozen
class ResyncAsked:
    """An operator or the host program wants the tables compared now, and accepts the master's time."""


@attrs.frozen
class StopAsked:
    """The host program is leaving: everything has left that could."""


@attrs.frozen
class DeadlinePassed:
    """The machine's `deadline` is here."""


Event: TypeAlias = (
    Started
    | LinkOpened
    | DialFailed
    | LinkClosed
    | MessagesReceived
    | LinkDrained
    | Changed
    | Reconfigured
    | ResyncAsked
    | StopAsked
    | DeadlinePassed
)
