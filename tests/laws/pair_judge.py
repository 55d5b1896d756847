"""A judge of a pair's histories: sees every act, every acknowledgement and every loss, and asks no machine what it
thinks.

What it demands when all is healed (DESIGN section 9, promises 1, 2, 4 and 9):

- One master and one slave that counts; all tables are equal, soon, and stay so.
- A login known to a proxy that lives on is in all tables. So is one acknowledged at level site, unless everybody who
  counted has lost its disk since and its proxy has died too.
- A login that somebody who knew it has ended is not alive, on the same conditions.
- A login that nobody can have ended is alive.
- The terms of one agent grow from mastership to mastership, as long as it keeps its disk.
"""

from collections.abc import Sequence

import attrs

from protocol.messages import Acknowledgement, Message, Role
from protocol.session import LoginId, State
from protocol.table import Table
from proxyagent.session import Ended, Session
from tests.scenarios.agents import AgentProcess
from tests.scenarios.proxies import ProxyProcess
from tests.scenarios.world import EPOCH_MS, Process, World

DOUBT_S = 4.5
"""For so long a logout may reach a login made after it elsewhere: twice what agents' clocks may differ, and some."""

HEALED_WITHIN_S = 12.0
EQUAL_WITHIN_S = 3.0


class Broken(AssertionError):
    """A promise was broken; the text tells the seed, what is wrong, and the whole story."""


@attrs.define
class Witness:
    """Where something was done; with `disks`, also who counted when it was acknowledged at level site, each with the
    number of disks it had lost by then."""

    proxy: ProxyProcess
    generation: int
    disks: dict[str, int] | None = None


@attrs.define
class Life:
    """What the judge knows of one login."""

    login_id: LoginId
    key: str
    user: str
    made: Witness
    ends: list[Witness] = attrs.field(factory=list)  # acts that named it
    doubtful: bool = False  # a logout that did not know it may have reached it, by its Mark or Barrier

    def __str__(self) -> str:
        return f"{self.login_id} ({self.user}@{self.key})"


@attrs.define
class Act:
    """A login or logout of which the acknowledgement is awaited."""

    what: Session | Ended
    witness: Witness


class Judge:
    """One history's judge; `name` stands in what it reports."""

    def __init__(
        self, world: World, agents: Sequence[AgentProcess], proxies: Sequence[ProxyProcess], name: str
    ) -> None:
        self.world = world
        self.agents = agents
        self.proxies = proxies
        self.lives: dict[LoginId, Life] = {}
        self.story: list[str] = [name]
        self._claims: dict[int, tuple[Message, dict[str, int]]] = {}  # by object, which is kept so that no other is it
        self._acts: dict[str, list[Act]] = {proxy.name: [] for proxy in proxies}
        self._logouts: list[tuple[float, str | None, set[str]]] = []  # when, of which user, under which keys
        world.on_sent, world.on_heard = self._sent, self._heard
        for agent in agents:
            agent.on_role = self._on_role

    def tell(self, text: str) -> None:
        self.story.append(f"{self.world.now_s:8.3f}  {text}")

    # -- what users do, through the judge ------------------------------------------------------------------------

    def login(self, proxy: ProxyProcess, key: str, user: str) -> None:
        """Log a user in, and remember whom that superseded."""
        held = proxy.alive_under(key)
        session = proxy.login(key, user)
        if session.login_id in self.lives or session.login_id in held:
            return  # the session that was there goes on
        witness = Witness(proxy, proxy.generation)
        life = Life(session.login_id, key, user, witness)
        life.doubtful = any(
            self.world.now_s - at_s < DOUBT_S and (user == logged_out or key in keys)
            for at_s, logged_out, keys in self._logouts
        )
        if life.doubtful:  # then so is whoever it hides: nobody may surface
            for other in self.lives.values():
                other.doubtful |= other.key == key
        self.lives[session.login_id] = life
        self._see_ended(held, witness)
        self._acts[proxy.name].append(Act(session, witness))
        self.tell(f"{proxy.name} login {user}@{key} {session.login_id}, supersedes {len(held)}")

    def logout(self, proxy: ProxyProcess, key: str | None, user: str | None) -> None:
        """Log out a key or a user, and remember who was ended, and who may have been without being known here."""
        before = {login_id for login_id in self.lives if _state(proxy.table, login_id) == State.ALIVE}
        ended = proxy.logout(key, user)
        gone = {login_id for login_id in before if _state(proxy.table, login_id) != State.ALIVE}
        witness = Witness(proxy, proxy.generation)
        self._see_ended(gone, witness)
        keys = {key} if key is not None else {life.key for life in self.lives.values() if life.user == user}
        for life in self.lives.values():
            life.doubtful |= life.key in keys
        self._logouts.append((self.world.now_s, user, keys))
        self._acts[proxy.name].append(Act(ended, witness))
        self.tell(f"{proxy.name} logout {key or user}: {sorted(map(str, gone))}")

    def died(self, proxy: ProxyProcess) -> None:
        """A proxy is gone: it waits for no acknowledgement any more."""
        self._acts[proxy.name].clear()

    def _see_ended(self, login_ids: set[LoginId], witness: Witness) -> None:
        for login_id in login_ids:
            if login_id in self.lives:
                self.lives[login_id].ends.append(witness)

    # -- what the judge sees -------------------------------------------------------------------------------------

    def _sent(self, message: Message) -> None:
        """An acknowledgement claims what is so when it is sent, whatever is lost while it travels."""
        if isinstance(message, Acknowledgement):
            disks = {agent.name: agent.disk_lost_count for agent in self.agents if str(agent.id) in message.counted}
            self._claims[id(message)] = (message, disks)

    def _heard(self, receiver: Process, messages: tuple[Message, ...]) -> None:
        """A proxy has read what came together: if it was an acknowledgement, it covers what is at level site now."""
        for message in messages:
            if isinstance(message, Acknowledgement):
                _, disks = self._claims.pop(id(message))
                if isinstance(receiver, ProxyProcess) and message.site:
                    self._acknowledged(receiver, disks)

    def _acknowledged(self, proxy: ProxyProcess, disks: dict[str, int]) -> None:
        waiting = []
        for act in self._acts[proxy.name]:
            if act.what.batch and proxy.client.outbox.reached(act.what.batch) == "site":
                act.witness.disks = disks
            else:
                waiting.append(act)
        self._acts[proxy.name] = waiting

    def _on_role(self, agent: AgentProcess, role: Role, term: int) -> None:
        self.tell(f"{agent.name} is {role.name} of term {term}")
        if role != Role.MASTER:
            return
        if agent.terms and term <= agent.terms[-1]:
            raise self.broken(f"{agent.name} became master of term {term} again")
        agent.terms.append(term)

    # -- the end -------------------------------------------------------------------------------------------------

    def judge(self) -> None:
        """All is healed and runs: wait until all is well, and look at every login. Raises Broken."""
        try:
            self.world.run_until(self.settled, HEALED_WITHIN_S)
            self.world.run_until(self.equal, EQUAL_WITHIN_S)
        except AssertionError as error:
            if isinstance(error, Broken):
                raise
            raise self.broken(f"{error}: {self._picture()}") from error
        self.world.run(1.0)
        if not self.settled() or not self.equal():
            raise self.broken(f"it did not last: {self._picture()}")
        for life in self.lives.values():
            for state in {_state(table, life.login_id) for table in self._tables()}:
                self._judge_life(life, state)

    def settled(self) -> bool:
        """One master, one slave that counts, and every proxy served."""
        masters = [agent for agent in self.agents if agent.role == Role.MASTER]
        slaves = [agent for agent in self.agents if agent.role == Role.SLAVE]
        if len(masters) != 1 or len(slaves) != 1 or masters[0].agent.service.slave is None:
            return False
        return all(not proxy.client.isolated for proxy in self.proxies)

    def equal(self) -> bool:
        """All tables hold the same, and nobody has anything left to tell."""
        cut_min = (EPOCH_MS + int(self.world.now_s * 1000)) // 60_000
        roots = {table.root(cut_min) for table in self._tables()}
        return len(roots) == 1 and all(not proxy.client.outbox.events for proxy in self.proxies)

    def broken(self, what: str) -> Broken:
        name, *story = self.story
        return Broken("\n".join([f"{name}: {what}", *story]))

    def _tables(self) -> list[Table]:
        return [*(agent.agent.table for agent in self.agents), *(proxy.table for proxy in self.proxies)]

    def _picture(self) -> str:
        agents = [f"{each.name} {each.role.name} of term {each.agent.election.term}" for each in self.agents]
        proxies = [
            f"{each.name} {'isolated' if each.client.isolated else 'served'} outbox {each.client.outbox.events}"
            for each in self.proxies
        ]
        return ", ".join([*agents, *proxies])

    def _judge_life(self, life: Life, state: State) -> None:
        if any(self._holds(witness) for witness in life.ends):
            if state == State.ALIVE:
                raise self.broken(f"{life} was ended and is alive")
        elif self._holds(life.made) and state == State.ABSENT:
            raise self.broken(f"{life} is lost")
        if not life.ends and not life.doubtful and state not in (State.ALIVE, State.ABSENT):
            raise self.broken(f"{life} was ended by nobody: {state.name}")

    def _holds(self, witness: Witness) -> bool:
        """Whether what was done there must still be known."""
        if witness.proxy.generation == witness.generation:
            return True
        if witness.disks is None:
            return False
        return any(agent.disk_lost_count == witness.disks.get(agent.name) for agent in self.agents)


def _state(table: Table, login_id: LoginId) -> State:
    record = table.record(login_id)
    return State.ABSENT if record is None else record.state
