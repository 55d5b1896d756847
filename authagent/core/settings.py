"""What the machine must know, and the dice it may throw. No path, no port, no host."""

from typing import Protocol

import attrs

from protocol import limits
from protocol.filter import EVERYTHING, Filter


class Dice(Protocol):
    """Where chance comes from: random.Random seeded by a test, or SystemRandom."""

    def random(self) -> float: ...

    def getrandbits(self, bits: int, /) -> int: ...


@attrs.frozen
class RemoteSite:
    """Another site: its name, the ids of its agents in the order in which they are tried, and what crosses."""

    name: str
    agents: tuple[str, ...]
    filter: Filter = EVERYTHING


@attrs.frozen
class Settings:
    """One agent's settings; durations in seconds unless the name says otherwise.

    `partner` is the id of the other agent of the site, or None where there is only one.
    `retry_attempts` and `retry_interval_s` are the short, bounded way in which a slave makes sure that its master is
    gone; together with `retry_timeout_s` they stay below half a second (promise 6). An attempt at start lasts no longer
    than `connect_interval_s`, so that a dead host delays a start no more than a refusing one. `switch_timeout_s` is how
    long acknowledgements may wait for a switch: nobody shall wait longer than 0.2 s for a login because of one.
    What is named `wan_` is for links between sites.
    """

    site: str
    id: int
    partner: int | None
    connect_attempts: int = 5
    connect_interval_s: float = 0.5
    heartbeat_interval_s: float = 0.2
    suspect_after_s: float = 1.0
    max_clock_offset_ms: int = limits.MAX_CLOCK_OFFSET_MS
    retry_attempts: int = 3
    retry_interval_s: float = 0.1
    retry_timeout_s: float = 0.15
    probe_interval_s: float = 0.4
    probe_timeout_s: float = 0.5
    unsure_after_s: float = 1.0
    handover_timeout_s: float = 1.0
    switch_timeout_s: float = 0.15
    unequal_after_s: float = 1.0
    remotes: tuple[RemoteSite, ...] = ()
    wan_connect_timeout_s: float = 3.0
    wan_heartbeat_interval_s: float = 1.0
    wan_suspect_after_s: float = 5.0
    wan_window_s: float = 0.1
    wan_unequal_after_s: float = 5.0

    @property
    def name(self) -> str:
        return str(self.id)

    @property
    def partner_name(self) -> str:
        return "" if self.partner is None else str(self.partner)
