"""What the agent knows of one proven link: who is there, whether it lives, how far it has come.

Rules of this file:

- One class for partner, proxies and remotes (agents of other sites): a follower is a follower, whoever it is.
- Names are unique in a site only; so whoever is from elsewhere is named with its site.
- Holds facts and answers questions about them; agent.py, replication.py and resync.py decide.
"""

from collections.abc import Iterator

import attrs

from authagent.core.acknowledgements import Ledger
from authagent.core.events import LinkOpened
from authagent.core.settings import Settings
from protocol.liveness import Liveness, Punctuality
from protocol.messages import Heartbeat, Role
from protocol.stamp import Now, OffsetEstimator


@attrs.define(eq=False)
class Peer:
    """One link's other end. Times are monotonic seconds."""

    link: int
    kind: str
    site: str
    id: str
    incarnation: int
    address: str
    software: str
    configuration_equal: bool
    dialled: bool
    opened_s: float
    liveness: Liveness
    wall_offset_ms: int
    heard_s: float = 0.0  # when anything came last
    offsets: OffsetEstimator = attrs.field(factory=OffsetEstimator)
    heartbeat: Heartbeat | None = None
    # as a follower of ours
    ledger: Ledger = attrs.field(factory=Ledger)
    stored: int | None = None  # a slave's: what it has on stable storage, once it is complete
    crossed: int = 0  # a remote's: how far our log has been sent to it
    supplied: tuple[int, int] = (0, 0)  # changes, and bytes of them, that our last comparison gave it
    away: bool = False  # it is of another site than ours
    # equality
    equal: bool | None = None
    equal_s: float = 0.0
    unequal_since_s: float | None = None
    # a second link of this id that waits for this one to prove itself alive
    rival: int | None = None
    ping_deadline_s: float | None = None

    @property
    def is_partner(self) -> bool:
        return self.kind == "agent" and not self.away

    @property
    def is_remote(self) -> bool:
        return self.kind == "agent" and self.away

    @property
    def is_proxy(self) -> bool:
        return self.kind == "proxy"

    @property
    def role(self) -> Role | None:
        """What the peer said it is."""
        return None if self.heartbeat is None else Role(self.heartbeat.role)

    @property
    def name(self) -> str:
        """How log lines name it."""
        name = self.id if self.is_proxy else f"authagent-{self.id}"
        return f"{self.site}/{name}" if self.away else name

    def spoke(self, now: Now) -> None:
        """Anything came from the peer."""
        self.liveness.heard(now)
        self.heard_s = now.monotonic_s

    def heard(self, heartbeat: Heartbeat, now: Now) -> None:
        """Take in a heartbeat, at the moment it was read."""
        self.heartbeat = heartbeat
        self.offsets.heard(heartbeat, now)
        if self.offsets.wall_offset_ms is not None:
            self.wall_offset_ms = self.offsets.wall_offset_ms

    def compared(self, equal: bool, now: Now) -> None:
        """Two digests at one cut were seen to be equal, or not."""
        self.equal = equal
        if equal:
            self.equal_s = now.monotonic_s
            self.unequal_since_s = None
        elif self.unequal_since_s is None:
            self.unequal_since_s = now.monotonic_s


@attrs.define
class Peers:
    """All links that were let in: by link, by name, and the partner's."""

    partner: Peer | None = None
    _by_link: dict[int, Peer] = attrs.field(factory=dict)
    _by_name: dict[tuple[str, str, str], Peer] = attrs.field(factory=dict)

    def __iter__(self) -> Iterator[Peer]:
        """A copy is walked, so that peers may leave meanwhile."""
        return iter(list(self._by_link.values()))

    def __len__(self) -> int:
        return len(self._by_link)

    def __contains__(self, link: object) -> bool:
        return link in self._by_link

    def get(self, link: int | None) -> Peer | None:
        return None if link is None else self._by_link.get(link)

    def named(self, kind: str, site: str, id: str) -> Peer | None:
        return self._by_name.get((kind, site, id))

    def enter(self, peer: Peer) -> None:
        self._by_link[peer.link] = peer
        self._by_name[peer.kind, peer.site, peer.id] = peer
        if peer.is_partner:
            self.partner = peer

    def leave(self, peer: Peer) -> None:
        self._by_link.pop(peer.link, None)
        if self._by_name.get((peer.kind, peer.site, peer.id)) is peer:
            del self._by_name[peer.kind, peer.site, peer.id]
        if self.partner is peer:
            self.partner = None


def open_peer(event: LinkOpened, now: Now, settings: Settings, punctuality: Punctuality) -> Peer:
    """The peer of a link that has just been proven."""
    away = event.site != settings.site
    liveness = Liveness(settings.wan_suspect_after_s if away else settings.suspect_after_s, punctuality)
    peer = Peer(
        link=event.link,
        kind=event.kind,
        site=event.site,
        id=event.id,
        incarnation=event.incarnation,
        address=event.address,
        software=event.software,
        configuration_equal=event.configuration_equal,
        dialled=event.dialled,
        opened_s=now.monotonic_s,
        liveness=liveness,
        wall_offset_ms=event.wall_offset_ms,
        away=away,
    )
    peer.spoke(now)
    return peer
