"""What a host program is told, in the past tense. Pure values; agent.py delivers them.

A subscriber that does not read fast enough gets one NoticesLost for all it missed, and should then read
`sessions()` again: absence of a notice never means absence of an event.
"""

from typing import TypeAlias

import attrs

from proxyagent.session import EndReason, Session


@attrs.frozen
class SessionOpened:
    """A user has logged in, here or anywhere else."""

    session: Session


@attrs.frozen
class SessionEnded:
    """A session is over. Being superseded by the same user under the same key is not told."""

    session: Session
    reason: EndReason


@attrs.frozen
class AgentFound:
    """The AuthAgent `agent` of `site` serves this proxy now."""

    agent: str
    site: str
    address: str


@attrs.frozen
class AgentLost:
    """No AuthAgent serves this proxy any more; look-ups and logins go on from the local copy."""

    agent: str
    reason: str


@attrs.frozen
class AgentRefused:
    """An AuthAgent would not have this proxy, or this proxy would not have it (clocks too far apart)."""

    agent: str
    reason: str


@attrs.frozen
class Resynced:
    """The local copy was compared with the master's table: changes that went out and records that came in."""

    sent: int
    received: int
    duration_s: float


@attrs.frozen
class NoticesLost:
    """`count` notices were dropped because nobody read them."""

    count: int


Notice: TypeAlias = SessionOpened | SessionEnded | AgentFound | AgentLost | AgentRefused | Resynced | NoticesLost
