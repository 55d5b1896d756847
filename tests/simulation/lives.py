"""What the oracle knows of logins: who made them, who ended them, who was there, and what was acknowledged.

Rules of this file:

- Facts only, seen where users see them: at the proxies, and in acknowledgements. No machine is asked what it thinks.
- Times are true time, in seconds of the run.
"""

import attrs

from protocol.session import LoginId
from proxyagent.session import Ended, Session
from tests.simulation.agents import AgentProcess
from tests.simulation.proxies import ProxyProcess


class Broken(AssertionError):
    """A promise was broken: its name, and what is wrong."""

    def __init__(self, promise: str, text: str) -> None:
        super().__init__(f"{promise}: {text}")
        self.promise = promise


@attrs.define(eq=False)
class Witness:
    """Where something was done: one run of one proxy; with `disks`, also which disks held it when it was
    acknowledged at level site."""

    proxy: ProxyProcess
    generation: int
    disks: dict[AgentProcess, int] | None = None

    @property
    def lives(self) -> bool:
        """Whether that run of that proxy goes on."""
        return self.proxy.running and self.proxy.generation == self.generation

    @property
    def holds(self) -> bool:
        """Whether what was done must be known after healing."""
        if self.lives:
            return True
        return self.disks is not None and any(agent.disk.number == number for agent, number in self.disks.items())


def seen_by(proxy: ProxyProcess) -> Witness:
    """The proxy, as it runs now."""
    return Witness(proxy, proxy.generation)


@attrs.define(eq=False)
class Life:
    """One login. `doubtful`: a logout that did not know it may have reached it."""

    login_id: LoginId
    key: str
    user: str
    made: Witness
    made_s: float
    expires_s: float
    last_s: float
    ends: list[Witness] = attrs.field(factory=list)
    doubtful: bool = False
    brought: list[Witness] = attrs.field(factory=list)  # where a cookie of it was honoured
    by_proxy: dict[ProxyProcess, tuple[int, float]] = attrs.field(factory=dict)  # generation, last activity there

    def __str__(self) -> str:
        return f"{self.user}@{self.key} {self.login_id}"

    def seen(self, proxy: ProxyProcess, now_s: float) -> None:
        """Activity at a proxy."""
        self.last_s = max(self.last_s, now_s)
        self.by_proxy[proxy] = proxy.generation, now_s

    def last_at(self, proxy: ProxyProcess) -> float | None:
        """The last activity at this run of a proxy."""
        generation, at_s = self.by_proxy.get(proxy, (0, 0.0))
        return at_s if generation == proxy.generation else None

    @property
    def last_known_s(self) -> float | None:
        """The last activity at any proxy that runs still."""
        known = [
            at_s
            for proxy, (generation, at_s) in self.by_proxy.items()
            if proxy.running and proxy.generation == generation
        ]
        return max(known, default=None)


@attrs.frozen(eq=False)
class Act:
    """A login or logout of which the acknowledgement is awaited: `made` and `ended` are the logins that it is about.

    What was lost with a full outbox and is asked for again is reported anew, in another batch, and without what it
    ended but did not show.
    """

    what: Session | Ended
    batch: int
    witness: Witness
    made: tuple[Life, ...] = ()
    ended: tuple[Life, ...] = ()

    def acknowledge(self, disks: dict[AgentProcess, int]) -> None:
        """It is at level site, on these disks."""
        if self.what.batch == self.batch:
            self.witness.disks = disks
            return
        made, ended = self.acknowledged
        anew = Witness(self.witness.proxy, self.witness.generation, disks)
        for life in made:
            life.made = anew
        for life in ended:
            life.ends.append(anew)

    @property
    def acknowledged(self) -> tuple[tuple[Life, ...], tuple[Life, ...]]:
        """The logins made and ended of which the acknowledgement speaks."""
        if self.what.batch == self.batch:
            return self.made, self.ended
        if isinstance(self.what, Session):
            return self.made, ()
        shown = {session.login_id for session in self.what}
        return (), tuple(life for life in self.ended if life.login_id in shown)


@attrs.frozen(eq=False)
class Logout:
    """A logout: of a user (then `user` is set) or of a key."""

    at_s: float
    user: str | None
    keys: frozenset[str]
    witness: Witness
