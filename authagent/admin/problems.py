"""What is wrong at an agent, as far as it can see: found anew each time, gravest first.

Rules of this file:

- Pure: reads the machine, never steps it.
- A problem has a code for programs, whom it is about, and a text for people that says what to do where that is not
  plain. The codes are in docs/reference/json.md.
- Only what an operator should act on, or wait for, is a problem: `healthy` means that there is none.
"""

from collections.abc import Iterator, Mapping

import attrs

from authagent.admin.remotes import Remote, remotes_of_master
from authagent.admission import Refused
from authagent.core.agent import Agent
from authagent.core.peer import Peer
from authagent.core.resync import Resync
from protocol.configuration import Configuration
from protocol.messages import Role
from protocol.stamp import Now

CODES = (
    "starting", "split", "partner_down", "store", "certificate", "http", "webhook", "unequal", "catching_up",
    "configuration", "clock", "refused", "proxy_missing", "site_missing", "site_behind",
)  # fmt: skip
"""Every code, for those who must name what is not there."""

SITE_BEHIND_S = 10.0
"""What arose here is on another site's disk a second or two later, when all is well."""

SAID_MAX = 3
"""Problems in one sentence; the others are counted."""


@attrs.frozen(kw_only=True)
class Facts:
    """What the shell knows besides the machine. `refused` are those who were not let in lately."""

    configuration: Configuration
    site: str
    id: str
    version: str
    store_ok: bool
    store_error: str
    loaded_fraction: float
    certificate_ending: str
    refused: tuple[Refused, ...]
    refused_total: int
    uptime_s: float
    http_error: str = ""
    webhook_errors: Mapping[str, str] = attrs.field(factory=dict)


@attrs.frozen
class Problem:
    """One thing that is wrong, and for how long it has been seen."""

    code: str
    about: str
    text: str
    since_s: float = 0.0


@attrs.define
class Onsets:
    """Since when each problem has been there; to be asked about once a second, so that it knows."""

    _began_s: dict[tuple[str, str], float] = attrs.field(factory=dict)

    def dated(self, found: list[Problem], now_s: float) -> list[Problem]:
        """The same problems with their age."""
        seen = {(each.code, each.about) for each in found}
        self._began_s = {known: began_s for known, began_s in self._began_s.items() if known in seen}
        return [
            attrs.evolve(each, since_s=now_s - self._began_s.setdefault((each.code, each.about), now_s))
            for each in found
        ]


def problems(agent: Agent, facts: Facts, now: Now) -> list[Problem]:
    """Everything that is not as it should be."""
    found = [*_of_role(agent, facts), *_of_this_machine(facts)]
    for peer in sorted(agent.peers, key=lambda peer: (not peer.is_partner, peer.id)):
        found += _of_peer(agent, peer, now)
    for remote in remotes_of_master(agent, now):
        found += _of_remote(agent, remote, now)
    found += [
        Problem("refused", f"{each.kind} {each.site}/{each.id}", f"{_named(each, facts)} is refused: {each.text}")
        for each in facts.refused
    ]
    refused = {each.id for each in facts.refused if (each.kind, each.site) == ("proxy", facts.site)}
    for name in missing_proxies(agent, facts):
        if name not in refused:
            yet = "is not linked: logouts do not reach it"
            found.append(Problem("proxy_missing", name, f"proxy {name} {yet}"))
    return found


def _named(refused: Refused, facts: Facts) -> str:
    elsewhere = f" of {refused.site}" if refused.site != facts.site else ""
    return f"{refused.kind} {refused.id}{elsewhere} at {refused.address}"


def missing_proxies(agent: Agent, facts: Facts) -> list[str]:
    """Proxies of this site listed by name that are not linked; only a master can say."""
    if agent.election.role != Role.MASTER:
        return []
    listed = [each.id for each in facts.configuration.proxyagents if each.site == facts.site and not each.is_pattern]
    return [each for each in listed if agent.peers.named("proxy", facts.site, each) is None]


def _of_role(agent: Agent, facts: Facts) -> Iterator[Problem]:
    election, partner = agent.election, agent.settings.partner
    reason = f": {election.refused}" if election.refused else ""
    if facts.loaded_fraction < 1:
        text = f"agent {facts.id} is starting: {facts.loaded_fraction:.0%} of the stored sessions are loaded"
        yield Problem("starting", facts.id, text)
    elif election.role == Role.STARTING:
        looking = "" if partner is None or reason else f": it is looking for agent {partner}"
        yield Problem("starting", facts.id, f"agent {facts.id} has no role yet{reason or looking}")
    if election.split and agent.peers.partner is not None:
        yield Problem("split", "", f"both agents serve: agents {facts.id} and {partner} join their tables now")
    elif election.split:
        why = f"agent {partner} refuses to link{reason}" if reason else f"agent {partner} is out of reach"
        yield Problem("split", "", f"both agents may serve: {why}; nothing is lost, mend what is between them")
    elif election.role == Role.MASTER and partner is not None and agent.peers.partner is None:
        yield Problem("partner_down", str(partner), f"agent {partner} is down: nobody stands by")


def _of_this_machine(facts: Facts) -> Iterator[Problem]:
    if not facts.store_ok:
        yield Problem("store", "", f"nothing is stored on disk: {facts.store_error}")
    if facts.certificate_ending:
        yield Problem("certificate", "", f"own certificate: {facts.certificate_ending}")
    if facts.http_error:
        yield Problem("http", "", facts.http_error)
    for receiver, text in facts.webhook_errors.items():
        yield Problem("webhook", receiver, text)


def _of_peer(agent: Agent, peer: Peer, now: Now) -> Iterator[Problem]:
    """What is wrong with one link."""
    settings = agent.settings
    if peer.is_remote:
        pass  # whether it has everything is judged of its site: _of_remote
    elif peer.unequal_since_s is not None and now.monotonic_s - peer.unequal_since_s >= settings.unequal_after_s:
        yield Problem("unequal", peer.name, f"{peer.name} differs; tables are being compared")
    elif _catches_up(agent, peer, agent.resync):
        yield Problem("catching_up", peer.name, f"{peer.name} has not everything yet; tables are being compared")
    if not peer.configuration_equal:
        yield Problem("configuration", peer.name, f"{peer.name} runs with another configuration file")
    offset_s, most_s = peer.wall_offset_ms / 1000, settings.max_clock_offset_ms / 1000
    if abs(offset_s) > most_s / 2:
        which = "ahead of" if offset_s > 0 else "behind"
        bound = "" if peer.is_proxy else f" (at {most_s:g} s the link is refused)"
        yield Problem("clock", peer.name, f"the clock of {peer.name} is {abs(offset_s):.1f} s {which} ours{bound}: NTP")


def _of_remote(agent: Agent, remote: Remote, now: Now) -> Iterator[Problem]:
    """What is wrong between this site and another one."""
    name, since_s = remote.name, remote.unequal_since_s
    if not remote.links:
        reason = f" ({remote.refused})" if remote.refused else ""
        waits = f", {remote.queued:,} {'event waits' if remote.queued == 1 else 'events wait'}" * bool(remote.queued)
        yield Problem("site_missing", name, f"{name} is not linked{reason}{waits}: logouts do not reach it")
    elif since_s is not None and now.monotonic_s - since_s >= agent.settings.wan_unequal_after_s:
        yield Problem("unequal", name, f"{name} differs; tables are being compared")
    elif remote.comparing or not remote.complete:
        yield Problem("catching_up", name, f"{name} has not everything yet; tables are being compared")
    elif remote.lag_s is not None and remote.lag_s >= SITE_BEHIND_S:
        yield Problem("site_behind", name, f"{name} is {remote.lag_s:.0f} s behind: logouts reach it that late")


def _catches_up(agent: Agent, peer: Peer, resync: Resync) -> bool:
    """Whether a follower of ours, or we as a follower, have not all that is to be had yet."""
    if resync.comparing(peer.link):
        return True
    if agent.election.role == Role.MASTER:
        return peer.link not in agent.replication.followers or (peer.is_partner and agent.service.slave is None)
    return peer.link == agent.replication.lead and agent.replication.complete is None


def sentence(agent: Agent, found: list[Problem]) -> str:
    """The first line of `authagent status`, and of the page: that all is equal, or what is wrong, with its price."""
    if found:
        said = "; ".join(each.text for each in found[:SAID_MAX])
        return said + (f"; and {len(found) - SAID_MAX} more" if len(found) > SAID_MAX else "")
    proxies = sum(peer.is_proxy for peer in agent.peers)
    users = f"{agent.table.users:,} user{'' if agent.table.users == 1 else 's'}"
    if agent.election.role == Role.SLAVE:
        return f"Everything equal. Standing by for agent {agent.settings.partner}, {users}."
    sites = 1 + len(agent.sites.known)
    here = " here" if sites > 1 else ""
    counted = f"{sites} {'site' if sites == 1 else 'sites'}, {proxies} {'proxy' if proxies == 1 else 'proxies'}{here}"
    return f"Everything equal. {counted}, {users}."
