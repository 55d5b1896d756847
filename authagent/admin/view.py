"""What the page shows of a site at one moment: agents, proxies, other sites, and how well they are linked. Pure.

Rules of this file:

- A view is made from the fields of `authagent status --json`: the page tells nothing that the command does not.
- It is bounded: of many proxies those that are not well come first, and the others are counted. So it fits into one
  frame, when a slave asks its master for it.
- What came from the partner is checked field by field; one that speaks another version is as good as silent.
- Nothing here has an age: a picture changes when something happens, and is still when nothing does.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

import attrs
import cattrs
from cattrs.errors import BaseValidationError

from authagent.admin.problems import SITE_BEHIND_S

EQUAL = "equal"
BEHIND = "behind"
UNKNOWN = "unknown"
GONE = "gone"
HEALTHS = (EQUAL, BEHIND, UNKNOWN, GONE)

PROXIES_SHOWN_MAX = 24
"""Boxes that fit into a picture in three rows; the others are one box with their number."""

REMOTES_SHOWN_MAX = 6

BEHIND_FROM_EVENTS = 500
"""Fewer are one batch on its way: at full load a follower is never quite there."""


@attrs.frozen(kw_only=True)
class Health:
    """How one link is doing: one of HEALTHS, and a few words for people."""

    state: str
    words: str


UNSEEN = Health(state=UNKNOWN, words="linked by the master")
MOVING = Health(state=UNKNOWN, words="on its way")


@attrs.frozen(kw_only=True)
class AgentSeen:
    """One agent of the pair. `role` is master, slave, starting, or away when it does not answer."""

    id: str
    role: str
    term: int | None
    here: bool


@attrs.frozen(kw_only=True)
class Follower:
    """A proxy, or another site, and the link to it."""

    id: str
    health: Health


@attrs.frozen(kw_only=True)
class View:
    """A site, as one agent sees it. `between` is the link of the two agents, None for a single one."""

    site: str
    agents: tuple[AgentSeen, ...]
    between: Health | None
    split: bool
    proxies: tuple[Follower, ...]
    proxies_total: int
    unshown: tuple[int, ...]
    """How many proxies are not in `proxies`, for each of HEALTHS."""
    remotes: tuple[Follower, ...]
    lag_events: int

    @property
    def master(self) -> AgentSeen | None:
        """Who serves; the one of this page where both do."""
        serving = [each for each in self.agents if each.role == "master"]
        return next((each for each in serving if each.here), serving[0] if serving else None)


def view_of(status: Mapping[str, Any]) -> View:
    """The view of the agent that has this status."""
    partner, term = status["partner"], status["term"]
    agents = [AgentSeen(id=status["id"], role=status["role"], term=term, here=True)]
    if partner is not None:
        role = (partner["role"] or "starting") if partner["connected"] else "away"
        agents.append(AgentSeen(id=partner["id"], role=role, term=term if role == "master" else None, here=False))
    proxies = [Follower(id=each["id"], health=health(each)) for each in status["proxies"]]
    proxies.sort(key=_by_name)
    shown = _shown(proxies)
    hidden = [each.health.state for each in proxies if each not in shown]
    serves = status["role"] == "master"
    remotes = [Follower(id=each["site"], health=health(each) if serves else UNSEEN) for each in status["remotes"]]
    return View(
        site=status["site"],
        agents=tuple(sorted(agents, key=lambda each: each.id)),
        between=None if partner is None else health(partner),
        split=status["split"],
        proxies=tuple(shown),
        proxies_total=len(proxies),
        unshown=tuple(hidden.count(state) for state in HEALTHS),
        remotes=tuple(remotes[:REMOTES_SHOWN_MAX]),
        lag_events=max((each.get("lag_events") or 0 for each in status["proxies"]), default=0),
    )


def health(link: Mapping[str, Any]) -> Health:
    """How a link is, from its object in the status."""
    if not link["connected"]:
        return Health(state=GONE, words="refused" if link["refused"] else "not linked")
    behind = link.get("lag_events") or 0
    if behind >= BEHIND_FROM_EVENTS:
        return Health(state=BEHIND, words=f"{behind:,} behind")
    late_s = link.get("lag_s") or 0.0
    if late_s >= SITE_BEHIND_S:
        return Health(state=BEHIND, words=f"{late_s:.0f} s behind")
    if link["digest_equal"]:
        return Health(state=EQUAL, words="equal")
    words = "comparing" if link["digest_equal"] is False else "not compared"
    return Health(state=UNKNOWN, words=words)


def _shown(proxies: list[Follower]) -> list[Follower]:
    """All of them if they fit; else those that are not well first, in the order of their names."""
    if len(proxies) <= PROXIES_SHOWN_MAX:
        return proxies
    worst_first = sorted(proxies, key=lambda each: -HEALTHS.index(each.health.state))
    return sorted(worst_first[: PROXIES_SHOWN_MAX - 1], key=_by_name)


def _by_name(node: Follower) -> list[tuple[str, int]]:
    """As people count: proxy2 before proxy10."""
    return [(text, int(number or 0)) for text, number in re.findall(r"(\D*)(\d*)", node.id)]


# -- between the two agents ---------------------------------------------------------------------------------------


def to_partner(view: View) -> dict[str, Any]:
    """A view as JSON."""
    return attrs.asdict(view)


def from_partner(told: Any) -> View | None:
    """The master's view; None where it cannot be read."""
    try:
        view = cattrs.structure(told, View)
    except (BaseValidationError, TypeError, ValueError):
        return None
    links = [*view.proxies, *view.remotes]
    known = all(each.health.state in HEALTHS for each in links) and len(view.unshown) == len(HEALTHS)
    return view if known and len(links) <= PROXIES_SHOWN_MAX + REMOTES_SHOWN_MAX else None


def through_master(own: View, told: View | None) -> View:
    """A slave's view, with what only its master can know: the proxies and the other sites.

    Who serves and how the two agents are linked is the slave's own knowledge, which is newer when the master dies.
    """
    if told is None or own.master is None or own.master.here or told.site != own.site:
        return own
    return attrs.evolve(
        own,
        proxies=told.proxies,
        proxies_total=told.proxies_total,
        unshown=told.unshown,
        remotes=told.remotes,
        lag_events=told.lag_events,
    )


def with_those_on_their_way(own: View, told: View | None) -> View:
    """The view of a slave that has just become master, with the proxies that its master had a moment ago.

    They are about to link, and a picture from which they vanish in between would tell of a loss that there is not. Of
    so many that not all are shown, nobody sees one missing.
    """
    if told is None or own.master is None or not own.master.here or any((*own.unshown, *told.unshown)):
        return own
    linked = {each.id for each in own.proxies}
    moving = [Follower(id=each.id, health=MOVING) for each in told.proxies if each.id not in linked]
    proxies = sorted([*own.proxies, *moving], key=_by_name)
    if len(proxies) > PROXIES_SHOWN_MAX:
        return own
    return attrs.evolve(own, proxies=tuple(proxies), proxies_total=len(proxies))


# -- in words -----------------------------------------------------------------------------------------------------


def in_words(view: View) -> Iterable[str]:
    """The picture as sentences, for those who hear the page."""
    for agent in view.agents:
        term = "" if agent.term is None or agent.role == "away" else f", term {agent.term}"
        role = "does not answer" if agent.role == "away" else f"is {agent.role}"
        yield f"Agent {agent.id} {role}{term}{' and shows this page' if agent.here else ''}."
    if view.between is not None:
        yield f"Link between the agents: {view.between.words}."
    for proxy in view.proxies:
        yield f"Proxy {proxy.id}: {proxy.health.words}."
    for state, count in zip(HEALTHS, view.unshown, strict=True):
        if count:
            yield f"{count:,} more {'proxy' if count == 1 else 'proxies'}: {state}."
    for remote in view.remotes:
        yield f"Site {remote.id}: {remote.health.words}."
