"""How this agent stands with each other site: what status, problems, numbers, the page and the log say of it.

Rules of this file:

- Pure: reads the machine, never steps it.
- Only a master is linked across; a slave knows nothing of other sites, and says so.
- A site in a split has two masters, and a link with each. What is told is the worse of the two, and of the one that
  will stay (by term) where that means nothing.
"""

from collections.abc import Iterator

import attrs

from authagent.core.agent import Agent
from authagent.core.border import Border, Traffic
from authagent.core.peer import Peer
from protocol.messages import Role
from protocol.stamp import Now


@attrs.frozen(kw_only=True)
class Remote:
    """One other site at one moment. `lost_s` is the monotonic time since which nobody there is linked, if known."""

    site: str
    links: tuple[Border, ...]
    traffic: Traffic
    queued: int
    lag_s: float | None
    refused: str
    lost_s: float | None
    comparing: bool

    @property
    def name(self) -> str:
        """How it is named among nodes: a proxy may bear the same name."""
        return f"site {self.site}"

    @property
    def peer(self) -> Peer | None:
        """Its master; None while there is no link."""
        return max((border.peer for border in self.links), key=_standing, default=None)

    @property
    def complete(self) -> bool:
        """Whether both sides have, but for what is on its way, what the other has."""
        return bool(self.links) and all(border.complete and border.holds for border in self.links)

    @property
    def equal(self) -> bool | None:
        """Whether its table was equal to ours when digests were compared last; None before that."""
        said = [border.peer.equal for border in self.links]
        return False if False in said else None if None in said or not said else True

    @property
    def equal_s(self) -> float:
        """When all its tables were seen to be equal last, in monotonic seconds; 0 for never."""
        return min((border.peer.equal_s for border in self.links), default=0.0)

    @property
    def unequal_since_s(self) -> float | None:
        """Since when its table is known to differ, in monotonic seconds."""
        since_s = [each.peer.unequal_since_s for each in self.links if each.peer.unequal_since_s is not None]
        return min(since_s, default=None)

    @property
    def standing(self) -> dict[str, object]:
        """For the log."""
        lag_s = None if self.lag_s is None else round(self.lag_s, 1)
        return {"linked": bool(self.links), "equal": self.equal, "lag_s": lag_s, "queued": self.queued}

    def has(self, sequence: int) -> bool:
        """Whether it is known to have all that arose here up to this place of our log, on stable storage."""
        return bool(self.links) and all(border.has(sequence) for border in self.links)


def remotes(agent: Agent, now: Now) -> Iterator[Remote]:
    """Every other site that the file lists, in its order."""
    for name, known in agent.sites.known.items():
        links = tuple(agent.sites.links(name))
        away_s = None if known.lost_s is None else now.monotonic_s - known.lost_s
        yield Remote(
            site=name,
            links=links,
            traffic=known.traffic,
            queued=agent.sites.queued(name),
            lag_s=max((border.lag_s(now.monotonic_s) for border in links), default=away_s),
            refused="" if links else known.refused,
            lost_s=None if links else known.lost_s,
            comparing=any(agent.resync.comparing(border.peer.link) for border in links),
        )


def remotes_of_master(agent: Agent, now: Now) -> list[Remote]:
    """The same at a master; nothing at any other agent, which is not to be linked across."""
    return list(remotes(agent, now)) if agent.election.role == Role.MASTER else []


def _standing(peer: Peer) -> tuple[int, int]:
    """Which of two masters stays: the one of the greater term, then of the lower id."""
    return (peer.heartbeat.term if peer.heartbeat is not None else 0, -int(peer.id))
