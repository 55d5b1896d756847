"""How far a proxy's copy has got, and what a comparison with an agent did: what is kept of links when they are gone."""

import attrs

from proxyagent.core.settings import AgentName


@attrs.define
class Progress:
    """What outlives a link: how far the copy has got, and with whom it was compared when."""

    log_id: int = 0
    sequence: int = 0
    complete: bool = False  # whether a full copy has ever been here
    compared_ms: dict[AgentName, int] = attrs.field(factory=dict)


@attrs.frozen
class Compared:
    """A comparison that this proxy opened is over."""

    sent: int
    received: int
    duration_s: float
    asked: bool
