"""What must be so when all is calm: faults are off, everybody runs, and some seconds have passed.

Rules of this file:

- Settled: each site has one master, its partner follows and counts, every proxy is served, and at home. Then equal,
  within the seconds of promise 4, and told: activity, of which digests say nothing, has got through too. Then each
  login is looked at, in every table, and each key at every proxy.
- Sites that do not share every user have equal tables each, and equal selections; a session that is not shared is alive
  in no table of another site, and its end is in all.
- Seconds are those of DESIGN section 9 at the default heartbeat of 200 ms, and in proportion at slower ones.
"""

import itertools
from collections.abc import Iterator

from protocol.messages import Role
from protocol.session import State
from protocol.table import Table
from tests.simulation.agents import AgentProcess
from tests.simulation.lives import Broken, Life
from tests.simulation.oracle import Oracle, Site, cut_min, state_of
from tests.simulation.proxies import ProxyProcess

SETTLED_WITHIN_S = 12.0

HOME_WITHIN_S = 24.0
"""A proxy served elsewhere looks for its own agents in turn, 3 s apart at most, and trusts one after 10 s."""

EQUAL_WITHIN_S = 2.0
"""Promise 4, on a LAN."""

WAN_EQUAL_WITHIN_S = 5.0
"""Promise 4, over a WAN."""

TOLD_WITHIN_S = 5.0
"""The slowest disk has written by then."""


class Verdict:
    """The judgement on all sites of a run, at one calm moment after another."""

    def __init__(self, oracle: Oracle) -> None:
        self._oracle = oracle

    @property
    def settled_within_s(self) -> float:
        """How long it may take until all is settled, at the usual heartbeat."""
        return SETTLED_WITHIN_S + (HOME_WITHIN_S if self._oracle.options.stand_in else 0.0)

    @property
    def equal_within_s(self) -> float:
        """Promise 4, for this run."""
        options = self._oracle.options
        return (WAN_EQUAL_WITHIN_S if options.linked else EQUAL_WITHIN_S) * options.scale

    # -- what is waited for --------------------------------------------------------------------------------------

    def settled(self) -> bool:
        return all(map(_settled, self._oracle.sites))

    def equal(self, now_s: float) -> bool:
        """All tables hold the same, or as much of it as is shared."""
        if not self._oracle.options.kept_home:
            return all(len(_roots(site, now_s)) == 1 for site in self._oracle.sites)
        return all(self._equal_as_shared(site, cut_min(now_s)) for site in self._oracle.sites)

    def _equal_as_shared(self, site: Site, at_min: int) -> bool:
        """Every table of one LAN is as its others; between two LANs what the filter lets pass is the same."""
        first = {agent.site: agent for agent in reversed(site.agents)}
        if any(each.table.root(at_min) != first[each.site].table.root(at_min) for each in _everybody(site)):
            return False
        for here, there in itertools.combinations(first.values(), 2):
            (shared,) = (remote.filter for remote in here.settings.remotes if remote.name == there.site)
            shown = {each.table.selection(shared).root(at_min) for each in (here, there)}
            if len(shown) > 1:
                return False
        return True

    def told(self) -> bool:
        """Nobody has anything left to tell, nor takes a link for open that is not."""
        if self._oracle.sites[0].agents[0].world.network.half_open:
            return False
        return not any(proxy.client.outbox.events for site in self._oracle.sites for proxy in site.proxies)

    def picture(self, now_s: float) -> str:
        """How everybody is, for whoever asks why it is not settled or equal."""
        return ", ".join(text for site in self._oracle.sites for text in _picture(site, now_s))

    def note(self) -> None:
        """Take what everybody holds in the end into the trace."""
        for site in self._oracle.sites:
            for process in (*site.agents, *site.proxies):
                if process.generation:
                    table = process.table
                    process.loop.note(int.from_bytes(table.root(0), "big"), table.records, table.ended)

    # -- what is demanded ----------------------------------------------------------------------------------------

    def judge(self, now_s: float) -> None:
        """Look at every login that is not over. Raises Broken."""
        for site in self._oracle.sites:
            for life in site.lives.values():
                if now_s < life.expires_s - self._oracle.doubt_s:
                    at_home = {
                        state_of(each.table, life.login_id)
                        for each in _everybody(site)
                        if self._oracle.knows(each.site, life)
                    }
                    for state in at_home:
                        self._judge_life(life, state)
                    self._judge_shared(site, life, at_home)
            if len({frozenset(table.barriers()) for table in _tables(site)}) > 1:
                raise Broken("unequal", "tables hold different barriers, though their digests are equal")
            self._judge_barriers(site, now_s)
            for key in site.by_key:
                self._judge_key(site, key, now_s)
            self._oracle.items.judge(now_s, _everybody(site))

    def _judge_life(self, life: Life, state: State) -> None:
        checks = self._oracle.checks
        checks["back"] += bool(life.ends)
        checks["lost"] += 1
        if any(end.holds for end in life.ends):
            if state == State.ALIVE:
                raise Broken("back", f"{life} was ended and is alive")
        elif any(each.holds for each in (life.made, *life.brought)) and state == State.ABSENT:
            raise Broken("lost", f"{life} is in a table no more")
        if not life.ends and not life.doubtful and state not in (State.ALIVE, State.ABSENT):
            raise Broken("lost", f"{life} was ended by nobody, and is {state.name}")

    def _judge_shared(self, site: Site, life: Life, at_home: set[State]) -> None:
        """A login is alive at no site that may not know of it; that it has ended is known there too."""
        for each in _everybody(site):
            if self._oracle.knows(each.site, life):
                continue
            self._oracle.checks["leak"] += 1
            state = state_of(each.table, life.login_id)
            if state == State.ALIVE:
                raise Broken("leak", f"{each.name} holds {life}, which is not shared with its site")
            if state == State.ABSENT and max(at_home) > State.ALIVE:
                raise Broken("unequal", f"{each.name} has not heard that {life} has ended")

    def _judge_barriers(self, site: Site, now_s: float) -> None:
        """No login of a user that was surely made before a logout of that user is shown anywhere."""
        for logout in site.logouts:
            if logout.user is None or not logout.witness.holds:
                continue
            for life in site.lives.values():
                before = life.user == logout.user and life.made_s < logout.at_s - self._oracle.doubt_s
                if not before or now_s > life.expires_s:
                    continue
                self._oracle.checks["back"] += 1
                if any(proxy.shown_under(life.key) == life.login_id for proxy in site.proxies):
                    raise Broken("back", f"{life} survives a logout of its user made later")

    def _judge_key(self, site: Site, key: str, now_s: float) -> None:
        """All proxies show the same, those of one LAN if not all may; and whoever was active of late."""
        names = sorted({proxy.site for proxy in site.proxies})
        lives = [life for life in site.by_key[key] if not _over(life)]
        if all(self._oracle.knows(name, life) for name in names for life in lives):
            self._judge_shown(site.proxies, key, lives, now_s)
            return
        for name in names:
            known = [life for life in lives if self._oracle.knows(name, life)]
            self._judge_shown([proxy for proxy in site.proxies if proxy.site == name], key, known, now_s)

    def _judge_shown(self, proxies: list[ProxyProcess], key: str, lives: list[Life], now_s: float) -> None:
        oracle = self._oracle
        oracle.checks["unequal"] += 1
        shown = [proxy.lookup(key, touch=False) for proxy in proxies]
        login_ids = {None if session is None else session.login_id for session in shown}
        near = any(self._near_its_end(life, now_s) for life in lives)
        if len(login_ids) > 1 and not near:
            raise Broken("unequal", f"proxies show {sorted(map(str, login_ids))} under {key}")
        if len(lives) != 1 or near:
            return
        (life,) = lives
        last_s, idle_s = life.last_known_s, oracle.options.idle_timeout_s
        if last_s is None or life.ends or life.doubtful or now_s > life.expires_s:
            return
        oracle.checks["early"] += 1
        if None in login_ids and now_s < last_s + idle_s - self._slack_s:
            raise Broken("early", f"{life}, active {now_s - last_s:.1f} s ago, is not shown everywhere")

    @property
    def _slack_s(self) -> float:
        """What activity may be old at another proxy: an interval of reporting, and what clocks differ."""
        options = self._oracle.options
        across_s = options.idle_timeout_s / 10 + 1.0 if options.linked else 0.0
        return max(5.0, options.idle_timeout_s / 20) + across_s + 1.0 + self._oracle.doubt_s

    def _near_its_end(self, life: Life, now_s: float) -> bool:
        """Whether a clock may say that it is over, and another that it is not."""
        if abs(now_s - life.expires_s) <= self._oracle.doubt_s + 1.0:
            return True
        idle_s = self._oracle.options.idle_timeout_s
        return any(
            -self._slack_s <= now_s - at_s - idle_s <= self._slack_s
            for at_s in (life.last_s, *(at_s for _, at_s in life.by_proxy.values()))
        )


def _over(life: Life) -> bool:
    return any(end.holds for end in life.ends)


def _settled(site: Site) -> bool:
    names = {agent.site for agent in site.agents}
    masters = [agent for agent in site.agents if agent.role == Role.MASTER]
    if len(masters) != len(names) or {master.site for master in masters} != names:
        return False
    if any(master.settings.partner is not None and master.agent.service.slave is None for master in masters):
        return False
    if not all(_linked(master, names) for master in masters):
        return False
    return all(proxy.client.synchronised and proxy.at_home for proxy in site.proxies)


def _linked(master: AgentProcess, names: set[str]) -> bool:
    """Whether every other site follows this master, and this master it."""
    borders = master.agent.sites.borders.values()
    return {border.peer.site for border in borders if border.follows and border.log_id} == names - {master.site}


def _everybody(site: Site) -> list[AgentProcess | ProxyProcess]:
    return [*site.agents, *site.proxies]


def _tables(site: Site) -> Iterator[Table]:
    yield from (agent.table for agent in site.agents)
    yield from (proxy.table for proxy in site.proxies)


def _roots(site: Site, now_s: float) -> set[bytes]:
    return {table.root(cut_min(now_s)) for table in _tables(site)}


def _picture(site: Site, now_s: float) -> Iterator[str]:
    for agent in site.agents:
        root = agent.table.root(cut_min(now_s)).hex()[:4]
        yield f"{agent.name} {agent.role.name} term {agent.agent.election.term} root {root}"
    for proxy in site.proxies:
        how = "served" if not proxy.client.isolated else f"isolated {proxy.client.last_refusal}".strip()
        how += "" if proxy.at_home else " away" * (not proxy.client.isolated)
        root = proxy.table.root(cut_min(now_s)).hex()[:4]
        yield f"{proxy.name} {how} outbox {proxy.client.outbox.events} root {root}"
