"""What the client machine must know, and the dice it may throw. No path, no port, no host."""

from typing import Literal, Protocol, TypeAlias

import attrs

from protocol import codes, limits

KeepSessions: TypeAlias = Literal["until-expiry", "drop"] | float
"""What becomes of look-ups when no agent is left: go on, stop at once, or stop after so many seconds."""


class Dice(Protocol):
    """Where chance comes from: random.Random seeded by a test, or SystemRandom."""

    def random(self) -> float: ...

    def getrandbits(self, bits: int, /) -> int: ...


@attrs.frozen
class AgentName:
    """One AuthAgent of the file: what it is called, not where it is."""

    site: str
    id: str


@attrs.frozen
class Settings:
    """One proxy's settings; durations in seconds unless the name says otherwise.

    `agents` stand in the order in which they are tried: those of the own site first, then those of other sites that
    may stand in for it. `digest_key` is the key under
    which tables are compared and `digest_key_id` its name on the wire; neither is ever printed. `code_keys` are the
    keys of one-time codes by the ids of the secret's lines, the newest first.
    """

    site: str
    id: str
    agents: tuple[AgentName, ...]
    digest_key: bytes = attrs.field(repr=False)
    digest_key_id: bytes = attrs.field(repr=False)
    code_keys: tuple[tuple[bytes, bytes], ...] = attrs.field(default=(), repr=False)
    idle_timeout_s: int = 1800
    max_lifetime_ms: int = 12 * 3600 * 1000
    keep_sessions: KeepSessions = "until-expiry"
    key_scope: Literal["all", "site"] = "all"
    user_names: Literal["exact", "lower"] = "exact"
    connect_timeout_s: float = 3.0
    away_after_s: float = 5.0
    return_after_s: float = 10.0
    heartbeat_interval_s: float = 0.2
    suspect_after_s: float = 1.0
    wan_heartbeat_interval_s: float = 1.0
    wan_suspect_after_s: float = 5.0
    max_clock_offset_ms: int = limits.MAX_CLOCK_OFFSET_MS
    sessions_max: int = limits.SESSIONS_MAX
    outbox_events_max: int = limits.OUTBOX_EVENTS_MAX
    undecided_after_s: float = 3.0
    unequal_after_s: float = 1.0

    @property
    def code_lines(self) -> tuple[tuple[bytes, bytes], ...]:
        """`code_keys`, or what goes with the digest key where none were given."""
        return self.code_keys or ((self.digest_key_id, codes.key_of(self.digest_key)),)

    def is_own_site(self, agent: AgentName) -> bool:
        return agent.site == self.site
