"""Everything that can happen to an agent, in the past tense. The counterpart is commands.py.

A link is a number that the shell gives; the machine never sees a socket.
"""

from typing import TypeAlias

import attrs

from protocol.errors import Code
from protocol.messages import Creation, Message, Redemption, Revocation
from protocol.session import State


@attrs.frozen
class Started:
    """The table is loaded; `term` is the greatest term on disk.

    `offset_ms` is the last PersistClock, if this machine has not started anew since then.
    """

    term: int
    offset_ms: int | None = None


@attrs.frozen
class LinkOpened:
    """A proven link. `wall_offset_ms` is the peer's wall clock less ours, from the handshake."""

    link: int
    kind: str
    site: str
    id: str
    incarnation: int
    address: str
    software: str
    configuration_equal: bool
    wall_offset_ms: int
    dialled: bool


@attrs.frozen
class LinkClosed:
    """A link is gone. `proven_dead`: the other process itself ended it (reset, end of stream), as opposed to our
    giving up on its silence."""

    link: int
    code: Code | None
    text: str
    proven_dead: bool


@attrs.frozen
class DialFailed:
    """A Dial came to nothing. `refused` holds the partner's reason when it answered; `proven_dead` is a refused or
    reset connection, as opposed to silence."""

    refused: Code | None
    text: str
    proven_dead: bool


@attrs.frozen
class NotReached:
    """A Reach came to nothing. `refused` holds the other agent's reason when it answered."""

    site: str
    agent: str
    refused: Code | None
    text: str


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
class Stored:
    """Everything persisted up to `position` is on stable storage."""

    position: int


@attrs.frozen
class LogoutAsked:
    """An operator ends sessions: of one key, of one user, or what is held under some keys (exactly one is given).

    Of a site, or all, is a matter of many events with some hundred keys each: one step must stay short.
    """

    request: int
    key: str | None = None
    user: str | None = None
    keys: tuple[str, ...] = ()
    state: State = State.ADMINISTRATOR


@attrs.frozen
class ItemAsked:
    """An item is to be made, redeemed or voided, at the word of the control socket; `question` is the request."""

    message: Creation | Redemption | Revocation


@attrs.frozen
class AdminAsked:
    """A verb that the other agent must carry out was asked of this agent's control socket."""

    request: int
    body: bytes


@attrs.frozen
class AdminDone:
    """The shell has carried out an AdminRequest that came over `link`."""

    link: int
    request: int
    body: bytes


@attrs.frozen
class SwitchAsked:
    """An operator wants the other agent of the site to be master: `authagent switch`. Only a master can do that."""

    request: int


@attrs.frozen
class StopAsked:
    """SIGTERM: hand over and end."""


@attrs.frozen
class DeadlinePassed:
    """The machine's `deadline` is here."""


Event: TypeAlias = (
    Started
    | LinkOpened
    | LinkClosed
    | DialFailed
    | NotReached
    | MessagesReceived
    | LinkDrained
    | Stored
    | LogoutAsked
    | ItemAsked
    | AdminAsked
    | AdminDone
    | SwitchAsked
    | StopAsked
    | DeadlinePassed
)
