"""The oracle: sees every act, every acknowledgement and every look-up, and says when a promise is broken.

Rules of this file:

- What can be judged at once is judged at once: what a user sees (ghost, early), what an acknowledgement claims
  (false), what an agent says after a pause (stale), which term a mastership has. What needs calm stands in verdict.py.
- It errs on the side of silence: where clocks or the crossing of acts leave a doubt, nothing is demanded.
- All sites share one table, and are judged as one. What an acknowledgement counts is a matter of one site's agents.

Source: DESIGN section 9, promises 1 to 5, 8 and 9.
"""

from collections import Counter

import attrs

from protocol import codec
from protocol.messages import Acknowledgement, Following, Heartbeat, Message, Role, Ruling, Stored, Verdict
from protocol.session import LoginId, Record, State
from protocol.table import Table
from proxyagent.session import Session
from tests.simulation.agents import AgentProcess
from tests.simulation.item_oracle import ItemOracle
from tests.simulation.links import Wire
from tests.simulation.lives import Act, Broken, Life, Logout, Witness, seen_by
from tests.simulation.loop import EPOCH_MS
from tests.simulation.options import Options
from tests.simulation.process import Process
from tests.simulation.proxies import ProxyProcess

ROUNDING_S = 1.0
"""Added to what clocks may differ, wherever a time is judged: clocks are cut to milliseconds, upkeep takes a second."""

UPKEEP_S = 1.2
"""A proxy that has slept notices it within a second; until then a quiet session is shown without a thought."""

CROSSING_S = 0.5
"""For so long, besides what clocks differ, a logout may cross a login that was made elsewhere."""


@attrs.define(eq=False)
class Site:
    """The processes that share one table: of one LAN, or of all that are linked."""

    agents: list[AgentProcess]
    proxies: list[ProxyProcess]
    lives: dict[LoginId, Life] = attrs.field(factory=dict)
    by_key: dict[str, list[Life]] = attrs.field(factory=dict)
    logouts: list[Logout] = attrs.field(factory=list)
    waiting: dict[ProxyProcess, list[Act]] = attrs.field(factory=dict)


@attrs.define(eq=False)
class Pause:
    """A master has slept: how long it must hold its tongue, and what its partner's clock showed when it woke."""

    until_s: float
    partner_ms: int


class Oracle:
    """The judge of one run."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.sites: list[Site] = []
        self.checks: Counter[str] = Counter()
        self.doubt_s = options.doubt_s + ROUNDING_S
        self.items = ItemOracle(self.checks, self.doubt_s)
        self._site_of: dict[Process, Site] = {}
        self._stored_on: dict[AgentProcess, int] = {}  # the disk that an agent had when it last said what is on it
        self._claims: dict[tuple[int, int], dict[AgentProcess, int]] = {}  # by wire and number of the report
        self._terms: dict[AgentProcess, tuple[int, int]] = {}  # disk and term that its last mastership kept there
        self._pauses: dict[AgentProcess, Pause] = {}

    def watch(self, site: Site) -> None:
        self.sites.append(site)
        self.items.agents += site.agents
        for process in (*site.agents, *site.proxies):
            self._site_of[process] = site

    # -- what users do, through the oracle -----------------------------------------------------------------------

    def login(self, proxy: ProxyProcess, key: str, user: str) -> None:
        """Log a user in, and remember whom that superseded."""
        site, now_s = self._site_of[proxy], proxy.loop.now_s
        held = {record.login_id for record in proxy.table.held(key)}
        session = proxy.login(key, user)
        known = site.lives.get(session.login_id)
        if known is not None:
            self._check_ghost(proxy, known, session.login_id)
            known.seen(proxy, now_s)
            return
        self.checks["wins"] += 1
        if proxy.shown_under(key) != session.login_id:
            raise Broken("wins", f"{proxy.name} has just logged in {user}@{key}, and does not show it")
        witness = seen_by(proxy)
        life = Life(session.login_id, key, user, witness, now_s, now_s + self.options.lifetime_s, now_s)
        life.seen(proxy, now_s)
        life.doubtful = any(
            now_s - each.at_s < self.doubt_s + CROSSING_S + 2.0 and (user == each.user or key in each.keys)
            for each in site.logouts
        )
        site.lives[life.login_id] = life
        under = site.by_key.setdefault(key, [])
        if life.doubtful:  # then so is whoever it hides: nobody may surface
            for other in under:
                other.doubtful = True
        under.append(life)
        ended = self._end(site, held, witness)
        site.waiting.setdefault(proxy, []).append(Act(session, session.batch, witness, (life,), ended))

    def logout(self, proxy: ProxyProcess, key: str | None, user: str | None) -> None:
        """Log out a key or a user, and remember who was ended, and who may have been without being known here."""
        site, table = self._site_of[proxy], proxy.table
        if key is not None:
            keys = frozenset((key,))
        else:
            keys = frozenset(life.key for life in site.lives.values() if life.user == user)
        candidates = {record.login_id for each in keys for record in table.held(each)}
        ended = proxy.logout(key, user)
        left = table.held(key) if key is not None else table.held_of(user or "")
        for record in left:  # what every table has forgotten, or is about to, can be ended no more
            if proxy.cluster_ms < record.login.expires_at + table.kept_ms:
                raise Broken("back", f"{proxy.name} has just logged out {key or user}, and left {record.login_id}")
        gone = {login_id for login_id in candidates if state_of(table, login_id) != State.ALIVE}
        witness = seen_by(proxy)
        lives = self._end(site, gone, witness)
        self._doubt(site, keys)
        site.logouts.append(Logout(proxy.loop.now_s, user, keys, witness))
        site.waiting.setdefault(proxy, []).append(Act(ended, ended.batch, witness, (), lives))

    def operator(self, agent: AgentProcess, key: str) -> None:
        """An operator ends a key's sessions at an agent; it is not acknowledged, so nothing is demanded of it."""
        site = self._site_of[agent]
        self._doubt(site, frozenset((key,)))
        site.logouts.append(Logout(agent.loop.now_s, None, frozenset((key,)), Witness(site.proxies[0], -1)))

    def look(self, proxy: ProxyProcess, key: str, *, touch: bool) -> Session | None:
        """Ask who is there, and judge the answer."""
        session = proxy.lookup(key, touch=touch)
        if session is None:
            self._check_early(proxy, key)
            return None
        life = self._site_of[proxy].lives.get(session.login_id)
        if life is None:
            raise Broken("ghost", f"{proxy.name} shows {session.login_id}, which nobody ever made")
        self._check_ghost(proxy, life, session.login_id)
        if touch:
            life.seen(proxy, proxy.loop.now_s)
        return session

    def honour(self, proxy: ProxyProcess, key: str, brought: Record) -> None:
        """A browser shows a cookie, where its session may be known; a filter keeps others at home."""
        site, now_s = self._site_of[proxy], proxy.loop.now_s
        life = site.lives[brought.login_id]
        if not self.knows(proxy.site, life):
            return
        held = {record.login_id for record in proxy.table.held(key)} - {life.login_id}
        session = proxy.honour(brought, key)
        if session is None:
            self._check_honoured(proxy, life, (brought.active_at - EPOCH_MS) / 1000)
            return
        if session.login_id != life.login_id:
            raise Broken("cookie", f"{proxy.name} shows {session.login_id} for a cookie of {life}")
        self._check_ghost(proxy, life, session.login_id)
        life.seen(proxy, now_s)
        witness = seen_by(proxy)
        life.brought.append(witness)
        ended = self._end(site, held, witness)
        site.waiting.setdefault(proxy, []).append(Act(session, session.batch, witness, (), ended))

    def _check_honoured(self, proxy: ProxyProcess, life: Life, active_s: float) -> None:
        """A cookie is refused: then something speaks against its session, or might."""
        now_s, clock = proxy.loop.now_s, proxy.client.cache.clock
        until_s = min(life.expires_s, active_s + self.options.idle_timeout_s) - self.doubt_s
        if clock.is_set and self._is_alone(life, now_s) and not life.ends and not life.doubtful:
            self.checks["early"] += 1
            if now_s < until_s:
                raise Broken("early", f"{proxy.name} refuses the cookie of {life}, active {now_s - active_s:.1f} s ago")

    def _end(self, site: Site, login_ids: set[LoginId], witness: Witness) -> tuple[Life, ...]:
        lives = tuple(site.lives[login_id] for login_id in sorted(login_ids) if login_id in site.lives)
        for life in lives:
            life.ends.append(witness)
        return lives

    def _doubt(self, site: Site, keys: frozenset[str]) -> None:
        for key in keys:
            for life in site.by_key.get(key, ()):
                life.doubtful = True

    def knows(self, site: str, life: Life) -> bool:
        """Whether a site may hold this login while it is alive."""
        home = life.made.proxy.site
        return site == home or self.options.shared(life.user, home, site)

    # -- what users see ------------------------------------------------------------------------------------------

    def _check_ghost(self, proxy: ProxyProcess, life: Life, login_id: LoginId) -> None:
        """Whoever is shown has not ended here, nor expired, nor been idle everywhere for too long."""
        self.checks["ghost"] += 1
        if not self.knows(proxy.site, life):
            raise Broken("leak", f"{proxy.name} shows {life}, which is not shared with its site")
        now_s, where = proxy.loop.now_s, f"{proxy.name} shows {life}"
        if any(end.proxy is proxy and end.lives for end in life.ends):
            raise Broken("ghost", f"{where}, which was ended there")
        if state_of(proxy.table, login_id) != State.ALIVE:
            raise Broken("ghost", f"{where}, which it knows to be ended")
        at_home = life.made.lives and life.made.proxy is proxy
        if now_s < proxy.resumed_s + UPKEEP_S or not (at_home or proxy.client.cache.clock.is_set):
            return
        if now_s > life.expires_s + self.doubt_s:
            raise Broken("ghost", f"{where}, which expired {now_s - life.expires_s:.1f} s ago")
        if now_s > life.last_s + self.options.idle_timeout_s + self.doubt_s:
            raise Broken("ghost", f"{where}, which was last active {now_s - life.last_s:.1f} s ago")

    def _check_early(self, proxy: ProxyProcess, key: str) -> None:
        """Nobody is shown: then nobody may be there who was active here of late (promises 5 and 8)."""
        site, now_s = self._site_of[proxy], proxy.loop.now_s
        lives = [life for life in site.by_key.get(key, ()) if not self._surely_over(life, now_s)]
        if len(lives) != 1:
            return  # nobody, or two of whom clocks may not tell who it is
        (life,) = lives
        last_s = life.last_at(proxy)
        if life.brought and not self._is_alone(life, now_s):
            return  # a cookie carries no ends of those before it, so two may be there of whom clocks cannot tell
        if last_s is None or life.ends or life.doubtful or now_s > life.expires_s - self.doubt_s:
            return
        self.checks["early"] += 1
        if now_s < last_s + self.options.idle_timeout_s - self.doubt_s:
            raise Broken("early", f"{proxy.name} does not show {life}, active there {now_s - last_s:.1f} s ago")

    def _is_alone(self, life: Life, now_s: float) -> bool:
        """Whether nobody else was ever under its key whose time is not over."""
        under = (each for site in self.sites for each in site.by_key.get(life.key, ()))
        return all(each is life or now_s > each.expires_s for each in under)

    def _surely_over(self, life: Life, now_s: float) -> bool:
        return now_s > life.expires_s + self.doubt_s or any(end.lives for end in life.ends)

    # -- acknowledgements ----------------------------------------------------------------------------------------

    def said(self, agent: AgentProcess, links: tuple[int, ...], message: Message) -> None:
        """An agent says something on which a promise hangs."""
        if agent in self._pauses:
            self._check_stale(agent, links, message)
        if isinstance(message, Stored):
            self._stored_on[agent] = agent.disk.number
        elif isinstance(message, Verdict):
            if message.ruling == Ruling.GRANTED:
                self.items.said(agent, codec.decode_changes(message.payload).items, self._counting(agent))
        elif isinstance(message, Acknowledgement) and message.site:
            self._stored_on[agent] = agent.disk.number
            disks = {
                each: self._stored_on[each]
                for each in self._site_of[agent].agents
                if each.site == agent.site and each.id in message.counted
            }
            for link in links:
                self._claims[link, message.site] = disks

    def _counting(self, agent: AgentProcess) -> dict[AgentProcess, int]:
        """The disks on which an item must be that a master grants: its own, and its slave's if that keeps items."""
        disks, slave, partner = {agent: agent.disk.number}, agent.agent.service.slave, agent.partner
        if slave is not None and partner is not None and agent.agent.resync.knows_items(slave):
            disks[partner] = self._stored_on.get(partner, partner.disk.number)
        return disks

    def heard(self, proxy: ProxyProcess, wire: Wire, messages: tuple[Message, ...]) -> None:
        """A proxy has read what came together: the last acknowledgement covers what is at level site now."""
        told = [message for message in messages if isinstance(message, Acknowledgement)]
        if told and told[-1].site:
            disks = self._claims.get((wire.number, told[-1].site), {})
            self._acknowledged(proxy, disks)
            self.items.acknowledged(proxy, disks)

    def _acknowledged(self, proxy: ProxyProcess, disks: dict[AgentProcess, int]) -> None:
        site = self._site_of[proxy]
        waiting = site.waiting.get(proxy, [])
        done = [act for act in waiting if proxy.reached(act.what) == "site"]
        if not done:
            return
        site.waiting[proxy] = [act for act in waiting if act not in done]
        for agent, number in disks.items():
            if agent.disk.number == number:
                agent.disk.facts.refresh(agent.disk.content)
        for act in done:
            act.acknowledge(disks)
            self._check_stored(act, disks)

    def _check_stored(self, act: Act, disks: dict[AgentProcess, int]) -> None:
        """What is acknowledged at level site is on the disks of those who counted."""
        now_s = act.witness.proxy.loop.now_s
        for agent, number in disks.items():
            if agent.disk.number != number:
                continue
            states = agent.disk.facts.states
            self.checks["stored"] += 1
            made, ended = act.acknowledged
            for life in (*made, *ended):
                least = State.SUPERSEDED if life in ended else State.ALIVE
                if now_s < life.expires_s - self.doubt_s and states.get(life.login_id, 0) < least:
                    raise Broken("false", f"{life} is acknowledged, and {agent.name}, which counted, has not stored it")

    def went_away(self, proxy: ProxyProcess, unheard_s: float) -> None:
        """An agent of another site serves a proxy: none of its own has answered it for as long as was set."""
        self.checks["away"] += 1
        if unheard_s < 0.99 * proxy.settings.away_after_s:
            raise Broken("away", f"{proxy.name} is served elsewhere {unheard_s:.1f} s after its own agents answered")

    # -- agents --------------------------------------------------------------------------------------------------

    def started(self, process: Process) -> None:
        """A process starts anew: what it waited for, it waits for no more."""
        if isinstance(process, ProxyProcess):
            self._site_of[process].waiting.pop(process, None)
        elif isinstance(process, AgentProcess):
            self._pauses.pop(process, None)
            self._check_kept(process)

    def _check_kept(self, agent: AgentProcess) -> None:
        """An agent that starts holds what was acknowledged while it counted, if its disk is the same."""
        now_s, table = agent.loop.now_s, agent.table
        for life in self._site_of[agent].lives.values():
            if now_s > life.expires_s - self.doubt_s:
                continue
            state = state_of(table, life.login_id)
            if _counted(life.made, agent) and state == State.ABSENT:
                raise Broken("lost", f"{life} was stored by {agent.name}, which has lost it")
            if state == State.ALIVE and any(_counted(end, agent) for end in life.ends):
                raise Broken("back", f"the end of {life} was stored by {agent.name}, which has lost it")
            self.checks["kept"] += 1

    def announced(self, agent: AgentProcess, role: Role, term: int) -> None:
        """A role was taken."""
        if role != Role.MASTER:
            return
        self.checks["term"] += 1
        number, least = self._terms.get(agent, (-1, 0))
        if number == agent.disk.number and term <= least:
            raise Broken("term", f"{agent.name} became master of term {term} again")
        self._terms[agent] = agent.disk.number, term

    def ended(self, agent: AgentProcess) -> None:
        """A term that did not reach the disk in time may come again (docs/decisions/0005)."""
        number, term = self._terms.get(agent, (-1, 0))
        if number == agent.disk.number:
            self._terms[agent] = number, min(term, agent.disk.content.term)

    # -- after a pause -------------------------------------------------------------------------------------------

    def resumed(self, agent: AgentProcess, slept_s: float) -> None:
        """A process runs again: a master that slept for over a second must hear its partner first, or wait a second."""
        partner, settings = agent.partner, agent.settings
        if partner is None or agent.role != Role.MASTER:
            return
        if slept_s > 1.1 + 2 * settings.heartbeat_interval_s:
            now_s = agent.loop.now_s
            self._pauses[agent] = Pause(now_s + 0.99 * settings.unsure_after_s, partner.now().boot_ms)

    def met(self, agent: AgentProcess, messages: tuple[Message, ...]) -> None:
        """An agent reads what its partner says: a word said after the pause ends it."""
        pause = self._pauses.get(agent)
        if pause is not None and any(
            isinstance(message, Heartbeat) and message.sent_ms >= pause.partner_ms for message in messages
        ):
            del self._pauses[agent]

    def _check_stale(self, agent: AgentProcess, links: tuple[int, ...], message: Message) -> None:
        pause = self._pauses[agent]
        if agent.loop.now_s >= pause.until_s:
            del self._pauses[agent]
            return
        self.checks["stale"] += 1
        if isinstance(message, Heartbeat):
            stale = message.role == Role.MASTER and not message.unsure
        else:
            to_proxies = any(isinstance(agent.world.network.peer(link, agent), ProxyProcess) for link in links)
            stale = to_proxies and isinstance(message, (Acknowledgement, Following)) and agent.role == Role.MASTER
        if stale:
            raise Broken("stale", f"{agent.name} says {type(message).__name__} as master right after a pause")


def state_of(table: Table, login_id: LoginId) -> State:
    """What a table holds of a login."""
    record = table.record(login_id)
    return State.ABSENT if record is None else record.state


def _counted(witness: Witness, agent: AgentProcess) -> bool:
    """Whether an agent counted when this was acknowledged, and still has the disk that it had then."""
    return witness.disks is not None and witness.disks.get(agent) == agent.disk.number


def cut_min(now_s: float) -> int:
    """The whole minute of true time, at which tables are compared."""
    return (EPOCH_MS + int(now_s * 1000)) // 60_000
