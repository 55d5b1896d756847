"""A transcript: commands to a world, and everything that the machines then do, as text that is compared.

A file is a comment, then blocks. A block is one command a line, a line `----`, what is printed, and an empty line.
Commands (names: a1, a2 agents, p1 .. proxies; words in brackets may be left out):

    pair [ahead=S]              agents a1 and a2; the wall clock of a2 is ahead by S seconds
    single                      agent a1 alone
    twin a1b of a1              another machine that calls itself agent 1
    proxy p1 [id=NAME]          a proxy; with an id, one that calls itself so
    start A .. | kill A [power] [disk] | stop A | pause A S
    cut A B | reset A B | drop A B (A is told, B is not) | silence A B | stall A B | heal [A B]
    refuse A B CODE | admit A B
    store A breaks | store A works
    login P KEY USER | crowd P N | logout P KEY | logout P user USER | lookup P KEY
    ask A key KEY | ask A user USER | ask A verb TEXT | ask A switch (a slave hands it to its master)
    make P KIND ID | redeem P KIND ID REQUEST       a strict item, at a proxy or at an agent's control socket
    run S | quietly S           let S seconds pass; quietly prints nothing
    status                      what each agent is, and whether all tables are equal
    level P                     how far the last login or logout made there has got

Run with REWRITE=1 in the environment to accept what is printed; commit only a difference that you understand.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from authagent.core import events as on
from protocol.changes import Changes
from protocol.codec import encode_changes
from protocol.errors import Code
from protocol.item import SINGLE_USE, STRICT, Item
from protocol.messages import Creation, Redemption, Role
from proxyagent.session import Ended, Session
from tests.scenarios.agents import SITE, AgentProcess, pair
from tests.scenarios.proxies import ProxyProcess
from tests.scenarios.world import EPOCH_MS, World

SEPARATOR = "----"


class Block(NamedTuple):
    """Commands, and what they printed; `comment` stands before."""

    comment: list[str]
    commands: list[str]
    printed: list[str]


def parse(text: str) -> Iterator[Block]:
    """The blocks of a transcript."""
    for part in text.strip().split("\n\n"):
        lines = part.split("\n")
        comment = [line for line in lines if line.startswith("#")]
        rest = [line for line in lines if not line.startswith("#")]
        place = rest.index(SEPARATOR) if SEPARATOR in rest else len(rest)
        yield Block(comment, rest[:place], rest[place + 1 :])


def replay(path: Path) -> str:
    """The transcript as it is when its commands are carried out now."""
    stage = Stage()
    parts = []
    for block in parse(path.read_text(encoding="utf-8")):
        lines = [*block.comment, *block.commands]
        if block.commands:
            stage.world.lines.clear()
            for command in block.commands:
                stage.carry_out(command)
            lines += [SEPARATOR, *stage.world.lines]
        parts.append("\n".join(lines))
    return "\n\n".join(parts) + "\n"


class Stage:
    """The world of one transcript."""

    def __init__(self, seed: int = 1) -> None:
        self.world = World(seed)
        self.world.loud = True
        self.agents: dict[str, AgentProcess] = {}
        self.proxies: dict[str, ProxyProcess] = {}
        self._last: dict[str, Session | Ended] = {}
        self._requests = 0

    def carry_out(self, line: str) -> None:
        """One command."""
        verb, *words = line.split()
        handler: Callable[..., None] = getattr(self, f"do_{verb}")
        options = dict(word.split("=") for word in words if "=" in word)
        handler(*(word for word in words if "=" not in word), **options)

    def say(self, text: str) -> None:
        self.world.lines.append(text)

    # -- who is there --------------------------------------------------------------------------------------------

    def do_pair(self, ahead: str = "0") -> None:
        for agent in pair(self.world, wall_ahead_ms=round(float(ahead) * 1000)):
            self.agents[agent.name] = agent

    def do_single(self) -> None:
        self.agents["a1"] = AgentProcess(self.world, 1, None)

    def do_twin(self, name: str, of: str, original: str) -> None:
        first = self.agents[original]
        twin = AgentProcess(self.world, first.id, first.partner_id, name=name)
        twin.partner = first.partner
        self.agents[name] = twin

    def do_proxy(self, name: str, id: str = "") -> None:
        agents = [agent for agent in self.agents.values() if len(agent.name) == 2]
        self.proxies[name] = ProxyProcess(self.world, name, agents, id=id)

    def do_start(self, *names: str) -> None:
        for name in names:
            self._process(name).start()

    def do_kill(self, name: str, *how: str) -> None:
        self._process(name).kill(power="power" in how)
        if "disk" in how:
            self.agents[name].lose_disk()

    def do_stop(self, name: str) -> None:
        self.agents[name].step(on.StopAsked())

    def do_pause(self, name: str, seconds: str) -> None:
        self._process(name).pause(float(seconds))

    # -- faults --------------------------------------------------------------------------------------------------

    def do_cut(self, a: str, b: str) -> None:
        self.world.cut(a, b)

    def do_reset(self, a: str, b: str) -> None:
        self.world.reset(a, b)

    def do_drop(self, name: str, other: str) -> None:
        self.world.drop(name, other)

    def do_silence(self, a: str, b: str) -> None:
        self.world.silence(a, b)

    def do_stall(self, a: str, b: str) -> None:
        self.world.stalls.add(frozenset((a, b)))

    def do_heal(self, *names: str) -> None:
        self.world.heal(*names)

    def do_refuse(self, dialler: str, listener: str, code: str) -> None:
        self.world.refusals[dialler, listener] = Code[code]

    def do_admit(self, dialler: str, listener: str) -> None:
        del self.world.refusals[dialler, listener]

    def do_store(self, name: str, how: str) -> None:
        agent = self.agents[name]
        if how == "works":
            agent.mend_store()
        else:
            agent.store_works = False

    # -- users and operators -------------------------------------------------------------------------------------

    def do_login(self, proxy: str, key: str, user: str) -> None:
        self._last[proxy] = self.proxies[proxy].login(key, user)

    def do_crowd(self, proxy: str, count: str) -> None:
        for number in range(int(count)):
            self.proxies[proxy].log_in(f"10.1.{number >> 8}.{number & 255}", f"user{number}")
        self.proxies[proxy].changed()

    def do_logout(self, proxy: str, *what: str) -> None:
        key, user = (None, what[1]) if what[0] == "user" else (what[0], None)
        self._last[proxy] = self.proxies[proxy].logout(key, user)

    def do_lookup(self, proxy: str, key: str) -> None:
        session = self.proxies[proxy].lookup(key)
        self.say(f"{proxy} shows {'nobody' if session is None else session.user} at {key}")

    def do_level(self, proxy: str) -> None:
        self.say(f"{proxy}: level {self.proxies[proxy].reached(self._last[proxy])}")

    def do_ask(self, name: str, kind: str, what: str = "") -> None:
        self._requests += 1
        request = self._requests
        agent = self.agents[name]
        match kind:
            case "key":
                agent.step(on.LogoutAsked(request, key=what))
            case "user":
                agent.step(on.LogoutAsked(request, user=what))
            case "switch":
                agent.ask_switch(request)
            case _:
                agent.step(on.AdminAsked(request, what.encode()))

    def do_make(self, name: str, kind: str, id: str) -> None:
        now_ms = EPOCH_MS + int(self.world.now_s * 1000)
        item = Item(kind, id, "alice", SITE, now_ms, now_ms + 600_000, SINGLE_USE | STRICT)
        self._process(name).ask(Creation(0, encode_changes(Changes(items=(item,)))))

    def do_redeem(self, name: str, kind: str, id: str, request: str) -> None:
        self._process(name).ask(Redemption(0, kind, id, "", request.encode(), "", (), ()))

    # -- time, and what is so ------------------------------------------------------------------------------------

    def do_run(self, seconds: str) -> None:
        self.world.run(float(seconds))

    def do_quietly(self, seconds: str) -> None:
        self.world.loud = False
        self.world.run(float(seconds))
        self.world.loud = True

    def do_status(self) -> None:
        for name, process in self.agents.items():
            self.say(f"{name} {agent_status(process) if process.running else 'down'}")
        for name, proxy in self.proxies.items():
            if proxy.running:
                talk = proxy.client.conversation
                linked = "isolated" if proxy.client.isolated or talk is None else f"at a{talk.name.id}"
                self.say(f"{name} {linked}, {proxy.table.records - proxy.table.ended} sessions")
        roots = self._roots()
        same = "equal" if len(set(roots.values())) == 1 else "NOT equal"
        self.say(f"tables of {' '.join(roots)}: {same}")

    def _roots(self) -> dict[str, bytes]:
        cut_min = (EPOCH_MS + int(self.world.now_s * 1000)) // 60_000
        tables = {name: agent.agent.table for name, agent in self.agents.items() if agent.running}
        tables |= {name: proxy.table for name, proxy in self.proxies.items() if proxy.running}
        return {name: table.root(cut_min) for name, table in tables.items()}

    def _process(self, name: str) -> AgentProcess | ProxyProcess:
        return self.agents[name] if name in self.agents else self.proxies[name]


def agent_status(process: AgentProcess) -> str:
    """One agent in one line."""
    agent = process.agent
    election = agent.election
    words = [f"{election.role.name} of term {election.term}"]
    if election.split:
        words.append("SPLIT")
    if election.refused:
        words.append(f"refused ({election.refused})")
    if agent.duty.unsure_until_s is not None:
        words.append("unsure")
    if agent.settings.partner is not None:
        words.append(f"partner {election.partner.value}")
    if election.role == Role.MASTER:
        words.append(f"counts {'itself' if agent.service.slave is None else 'the slave'}")
    words.append(f"{agent.table.records - agent.table.ended} sessions")
    return ", ".join(words)
