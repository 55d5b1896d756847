"""The smallest world in which a pair can go wrong: two agents, two proxies, their links and disks, as one value.

Rules of this file:

- A state is a value; `moves` names what may happen in it, and `move` returns the state after one of these.
- The machines are the shipping ones, frozen between moves (freezing.py). One move steps few of them.
- Between two moves everything happens at once that nobody could tell apart: dials end, heartbeats are read, time
  stands still. Every other message, commit and end of a link is a move of its own, so that they come in any order
  that their links and disks leave open. Only when none of them is left may time go on, to the next deadline of all.

So what is not seen here: a message that is slower than a deadline, other than by silence; jitter; clocks that differ.
"""

from collections.abc import Iterator
from typing import Any, TypeAlias

import attrs

from authagent.core import commands as agent_do
from authagent.core import events as agent_on
from authagent.core.agent import Agent
from protocol import codec, framing
from protocol.messages import Bulk, Compare, Compared, Heartbeat, Nodes, Pages, Ping, Pong, Role, Want
from protocol.stamp import Now
from proxyagent.core import commands as proxy_do
from proxyagent.core import events as proxy_on
from tests.smallscope import freezing
from tests.smallscope.ledger import Broken, Ledger
from tests.smallscope.network import Disk, Ended, Network, Way, shown
from tests.smallscope.processes import AGENTS, PROXIES, clocks, linked, started, states

USERS = {"p1": "alice", "p2": "bob"}

COMPARING = (Bulk, Compare, Compared, Nodes, Pages, Want)
"""After one of these there is room for the next, as soon as it has left."""

DICTIONARIES = ("frozen", "faces", "roles", "generations", "deadlines", "disks", "unsynced", "links", "ways")

Move: TypeAlias = tuple[str, ...]
"""What happens, and to whom: ("deliver", "a1", "a2"), ("commit", "a1"), ("time",), ("kill", "a1"), ..."""

@attrs.define
class World(Network):
    """One state. Made by `beginning`, changed only by `move`, on a copy."""

    faces: dict[str, tuple[object, ...]] = attrs.field(factory=dict)
    roles: dict[str, Role] = attrs.field(factory=dict)  # of the agents
    deadlines: dict[str, float] = attrs.field(factory=dict)
    unsynced: dict[str, tuple[tuple[int, bytes], ...]] = attrs.field(factory=dict)
    faults_left: int = 0
    logins_left: int = 0
    logouts_left: int = 0
    ledger: Ledger = attrs.field(factory=Ledger)
    _live: dict[str, Any] = attrs.field(factory=dict)
    _drained: dict[tuple[str, int], None] = attrs.field(factory=dict)  # who has room for bulk, and does not know it yet

    # -- values ----------------------------------------------------------------------------------------------------

    def copy(self) -> "World":
        """Another state that begins as this one; what it holds is shared, and never changed in place."""
        assert not self._live and not self._drained, "a state is frozen before it is copied"
        return attrs.evolve(
            self,
            **{
                name: dict(getattr(self, name))
                for name in DICTIONARIES
            },
            ledger=self.ledger.copy(),
            live={},
            drained={},
        )

    def key(self) -> bytes:
        """What makes two states one for the search."""
        names = freezing.Names()
        for number in self.links:
            names("link", number)
        ways = [
            (names("link", way.link), way.receiver, [shown(item) for item in way.items])
            for way in self.ways.values()
            if way.items
        ]
        return freezing.digest((
            sorted(self.faces.items()),
            sorted(self.generations.items()),
            [(names("link", number), link) for number, link in self.links.items()],
            ways,
            [(name, disk.term, disk.lost, len(disk.payloads)) for name, disk in sorted(self.disks.items())],
            sorted((name, len(waiting)) for name, waiting in self.unsynced.items()),
            [(until_ms - self.now_ms, *who) for until_ms, *who in self.dials],
            sorted(map(sorted, self.silences)),
            (self.faults_left, self.logins_left, self.logouts_left),
            self.ledger.face(),
        ))  # fmt: skip

    def settle(self) -> "World":
        """Freeze all machines that were stepped; returns this state."""
        now_s = self.now_ms / 1000
        for name, machine in self._live.items():
            self.frozen[name] = freezing.freeze(machine)
            deadline = machine.deadline
            self.deadlines[name] = float("inf") if deadline is None else deadline
            names = freezing.Names()
            for number in self.links:
                names("link", number)
            face = freezing.of_agent if isinstance(machine, Agent) else freezing.of_proxy
            self.faces[name] = face(machine, now_s, names)
            if isinstance(machine, Agent):
                self.roles[name] = machine.election.role
        self._live.clear()
        return self

    # -- what may happen -------------------------------------------------------------------------------------------

    def moves(self) -> Iterator[Move]:
        """Everything that may happen in this state."""
        under_way = False
        for (link, receiver), way in self.ways.items():
            if way.items and not self._silent(link):
                under_way = True
                yield "deliver", str(link), receiver
        for name, waiting in self.unsynced.items():
            if waiting:
                under_way = True
                yield "commit", name
        if not under_way:
            yield ("time",)
        yield from self._acts()
        if self.faults_left:
            yield from self._faults()
        for name in (*AGENTS, *PROXIES):
            if name not in self.frozen:
                yield "start", name
        if self.silences:
            yield ("heal",)

    def _acts(self) -> Iterator[Move]:
        for name in PROXIES:
            if name in self.frozen:
                if self.logins_left:
                    yield "login", name
                if self.logouts_left and self.ledger.known(name):
                    yield "logout", name

    def _faults(self) -> Iterator[Move]:
        pairs = (("a1", "a2"), *((proxy, agent) for proxy in PROXIES for agent in AGENTS))
        for one, other in pairs:
            if any({link.dialler, link.listener} == {one, other} for link in self.links.values()):
                yield "reset", one, other
                if frozenset((one, other)) not in self.silences:
                    yield "silence", one, other
        for name in (*AGENTS, *PROXIES):
            if name in self.frozen:
                yield "kill", name
        for name in AGENTS:
            if name in self.frozen:
                yield "burn", name

    def move(self, move: Move) -> "World":
        """The state after a move. Raises Broken when that breaks a promise."""
        after = self.copy()
        getattr(after, f"_{move[0]}")(*move[1:])
        after._at_once()
        return after.settle()

    # -- moves -----------------------------------------------------------------------------------------------------

    def _deliver(self, link: str, receiver: str) -> None:
        way = self.ways[int(link), receiver]
        self.ways[int(link), receiver] = attrs.evolve(way, items=way.items[1:])
        self._arrive(way.link, receiver, way.items[0])

    def _commit(self, name: str) -> None:
        waiting, self.unsynced[name] = self.unsynced[name], ()
        disk = self.disks[name]
        self.disks[name] = attrs.evolve(disk, payloads=disk.payloads + tuple(payload for _, payload in waiting))
        self._step(name, agent_on.Stored(waiting[-1][0]))

    def _time(self) -> None:
        """Go on to the next deadline of all, and let everybody whose it is know."""
        due_s = min([*self.deadlines.values(), *(until_ms / 1000 for until_ms, *_ in self.dials)])
        self.now_ms = max(self.now_ms, int(due_s * 1000))
        if self.now_ms / 1000 < due_s:
            self.now_ms += 1
        for until_ms, dialler, listener in self.dials:
            if until_ms <= self.now_ms:
                self.dials = tuple(dial for dial in self.dials if dial[1] != dialler)
                self._dial_failed(dialler, listener, "timed out", proven_dead=False)
        for name in list(self.frozen):
            if self._machine_deadline(name) <= self.now_ms / 1000:
                self._step(name, _deadline_passed(name))

    def _login(self, name: str) -> None:
        self.logins_left -= 1
        client = self._machine(name)
        held = {record.login_id for record in client.cache.table.held("10.0.0.1")}
        client.notice_pause(self._now())
        session = client.service.login("10.0.0.1", USERS[name], None, None, None, self._now())
        view = client.cache.table.view("10.0.0.1", client.cache.clock.now_ms(self._now()))
        if view is None or view.login_id != session.login_id:
            raise Broken(f"{session.login_id} was made at {name}, which shows {view and view.login_id}")
        if session.login_id not in held:
            self.ledger.logged_in(session, name, self.generations[name], held)
        self._step(name, proxy_on.Changed())

    def _logout(self, name: str) -> None:
        self.logouts_left -= 1
        client = self._machine(name)
        held = {record.login_id for record in client.cache.table.held("10.0.0.1")}
        client.notice_pause(self._now())
        ended = client.service.logout("10.0.0.1", None, self._now())
        self.ledger.logged_out(ended, name, self.generations[name], held)
        self._step(name, proxy_on.Changed())

    def _reset(self, one: str, other: str) -> None:
        self.faults_left -= 1
        for number in [n for n, link in self.links.items() if {link.dialler, link.listener} == {one, other}]:
            for name, _ in self.links[number].open:
                self.ways[number, name] = Way(number, name, (Ended(None, "reset by the peer"),))

    def _silence(self, one: str, other: str) -> None:
        self.faults_left -= 1
        self.silences |= {frozenset((one, other))}

    def _heal(self) -> None:
        self.silences = frozenset()

    def _kill(self, name: str) -> None:
        self.faults_left -= 1
        self._gone(name)

    def _burn(self, name: str) -> None:
        """Killed, and its disk lost."""
        self.faults_left -= 1
        self._gone(name)
        self.disks[name] = Disk(lost=self.disks[name].lost + 1)

    def _gone(self, name: str) -> None:
        self._live.pop(name, None)
        for part in (self.frozen, self.faces, self.deadlines):
            part.pop(name, None)  # type: ignore[attr-defined]
        self.unsynced.pop(name, None)
        self.dials = tuple(dial for dial in self.dials if dial[1] != name)
        for number, link in list(self.links.items()):
            if name in dict(link.open):
                self._close(number, name, Ended(None, "closed without a farewell"))
        self.ledger.died(name)

    def _start(self, name: str) -> None:
        self.generations[name] = self.generations.get(name, 0) + 1
        disk = self.disks.setdefault(name, Disk()) if name in AGENTS else None
        self._live[name], event = started(name, self.generations[name], disk, self._now())
        self.frozen[name] = b""
        self._step(name, event)

    # -- processes -------------------------------------------------------------------------------------------------

    def _now(self) -> Now:
        return clocks(self.now_ms)

    def _machine(self, name: str) -> Any:
        if name not in self._live:
            self._live[name] = freezing.thaw(self.frozen[name])
        return self._live[name]

    def _machine_deadline(self, name: str) -> float:
        if name not in self._live:
            return self.deadlines[name]
        deadline = self._live[name].deadline
        return float("inf") if deadline is None else deadline

    def _step(self, name: str, event: Any) -> None:
        machine = self._machine(name)
        before = states(machine)
        performed = machine.step(event, self._now())
        after = states(machine)
        for login_id, state in before.items():
            if after.get(login_id, 0) < state:
                raise Broken(f"{name} had {login_id} as {state.name}, and has it as {after.get(login_id)}")
        perform = self._perform if name in AGENTS else self._perform_of_proxy
        for command in performed:
            perform(name, command)
        if name in PROXIES:
            self.ledger.look(name, machine)

    def _perform(self, name: str, command: agent_do.Command) -> None:
        match command:
            case agent_do.Send(links, message):
                for link in links:
                    self._transmit(link, name, message)
                    if isinstance(message, COMPARING):
                        self._drained[name, link] = None
            case agent_do.Relay(links, frames):
                for body in framing.FrameReader(1 << 24).feed(frames):
                    for link in links:
                        self._transmit(link, name, codec.decode(body))
            case agent_do.Persist(position, payload):
                self.unsynced[name] = (*self.unsynced.get(name, ()), (position, payload))
            case agent_do.PersistTerm(term):
                self.disks[name] = attrs.evolve(self.disks[name], term=term)
            case agent_do.Dial(timeout_s):
                self._dial(name, AGENTS[1 - AGENTS.index(name)], timeout_s)
            case agent_do.Close(link, code, text, elsewhere):
                self._close(link, name, Ended(code, text, elsewhere))
            case agent_do.AnnounceRole(role, term):
                if role == Role.MASTER:
                    self.ledger.promoted(name, term, self.disks[name])

    def _perform_of_proxy(self, name: str, command: proxy_do.Command) -> None:
        match command:
            case proxy_do.Send(link, message):
                self._transmit(link, name, message)
            case proxy_do.Dial(agent, timeout_s):
                self._dial(name, AGENTS[agent], timeout_s)
            case proxy_do.Close(link, code, text):
                self._close(link, name, Ended(code, text))
            case proxy_do.AwaitRoom(link):
                self._drained[name, link] = None

    # -- what comes over links ----------------------------------------------------------------------------------------

    def _arrive(self, number: int, receiver: str, item: Any) -> None:
        """One thing comes out of a way. What a link's own connection answers never reaches the machine."""
        if isinstance(item, Ended):
            link = self.links[number]
            left = tuple(each for each in link.open if each[0] != receiver)
            if not left:
                self._forget(number)
            else:
                self.links[number] = attrs.evolve(link, open=left)
                self.ways.pop((number, receiver))
            if receiver in AGENTS:
                self._step(receiver, agent_on.LinkClosed(number, item.code, item.text, True))
            else:
                self._step(receiver, proxy_on.LinkClosed(number, item.code, item.text, item.elsewhere))
            return
        if isinstance(item, tuple):
            item, counted = item
            self.ledger.counted[receiver] = counted
        if isinstance(item, Ping):
            self._transmit(number, receiver, Pong(item.nonce))
            return
        event = agent_on.MessagesReceived if receiver in AGENTS else proxy_on.MessagesReceived
        self._step(receiver, event(number, (item,)))

    def _dial_failed(self, dialler: str, listener: str, text: str, *, proven_dead: bool) -> None:
        if dialler in AGENTS:
            self._step(dialler, agent_on.DialFailed(None, text, proven_dead))
        else:
            self._step(dialler, proxy_on.DialFailed(AGENTS.index(listener), None, text))

    # -- at once ---------------------------------------------------------------------------------------------------

    def _at_once(self) -> None:
        """Everything that is no move of its own."""
        while self._one_at_once():
            pass

    def _one_at_once(self) -> bool:
        for name, link in self._drained:
            del self._drained[name, link]
            if name in self.frozen and link in self.links:
                self._step(name, agent_on.LinkDrained(link) if name in AGENTS else proxy_on.LinkDrained(link))
            return True
        for until_ms, dialler, listener in self.dials:
            if until_ms <= self.now_ms and listener not in self.frozen:
                self.dials = tuple(dial for dial in self.dials if dial[1] != dialler)
                self._dial_failed(dialler, listener, "refused", proven_dead=True)
                return True
        for (number, receiver), way in self.ways.items():
            if not way.items or (self._silent(number) and way.items[0] != "linked"):
                continue
            item = way.items[0]
            if item == "linked" or isinstance(item, (Heartbeat, Ping, Pong)):
                self.ways[number, receiver] = attrs.evolve(way, items=way.items[1:])
                if item == "linked":
                    self._linked(number, receiver)
                else:
                    self._arrive(number, receiver, item)
                return True
        return False

    def _linked(self, number: int, name: str) -> None:
        link = self.links[number]
        self._step(name, linked(number, link, name, self.generations[link.other(name)]))


def _deadline_passed(name: str) -> Any:
    return agent_on.DeadlinePassed() if name in AGENTS else proxy_on.DeadlinePassed()
