"""The search: breadth first through every state within a number of moves, each judged when it is new.

Rules of this file:

- `beginnings` are reached by running the world without choices; from each the search goes `depth` moves far.
- Of each state at the end, and of a part of all others, it is tried what comes when everything is healed and nothing
  more happens: one master, equal tables, and the ledger's judgement.
"""

from collections.abc import Callable, Iterator
from typing import Any

import attrs

from protocol.messages import Compare, Role
from tests.smallscope import freezing
from tests.smallscope.ledger import Broken
from tests.smallscope.processes import AGENTS, EPOCH_MS, PROXIES
from tests.smallscope.world import Move, World

SETTLED_WITHIN_MS = 15_000
MINUTE_MS = 60_000


@attrs.frozen
class Found:
    """What a search has gone through."""

    states: int
    moves: int
    judged: int
    depth: int


class Counterexample(AssertionError):
    """The moves that lead to a broken promise."""

    def __init__(self, beginning: str, path: tuple[Move, ...], reason: str) -> None:
        lines = [f"{beginning}: {reason}", *(f"  {number:3} {' '.join(move)}" for number, move in enumerate(path, 1))]
        super().__init__("\n".join(lines))
        self.path = path


def flow(world: World, until: Callable[[World], bool], within_ms: int) -> World:
    """Let things take their course: what is under way arrives in turn, else time goes on."""
    end_ms = world.now_ms + within_ms
    while not until(world):
        if world.now_ms > end_ms:
            raise Broken(f"not {until.__name__} within {within_ms} ms: {_roles(world)}")
        world = world.move(next(world.moves()))
    return world


def served(world: World) -> bool:
    """One master with a slave that counts, and every proxy linked to it with a full copy."""
    if set(world.frozen) != {*AGENTS, *PROXIES} or {world.roles[name] for name in AGENTS} != {Role.MASTER, Role.SLAVE}:
        return False
    agents = [freezing.thaw(world.frozen[name]) for name in AGENTS]
    masters = [agent for agent in agents if agent.election.role == Role.MASTER]
    if len(masters) != 1 or masters[0].service.slave is None:
        return False
    return all(freezing.thaw(world.frozen[name]).synchronised for name in PROXIES)


def settled(world: World) -> bool:
    """Served, nobody waits for an acknowledgement, and all tables are equal."""
    if any(way.items for way in world.ways.values()) or any(world.unsynced.values()) or not served(world):
        return False
    if any(freezing.thaw(world.frozen[name]).outbox.events for name in PROXIES):
        return False
    cut_min = (EPOCH_MS + world.now_ms) // MINUTE_MS
    return len({table.root(cut_min) for table in tables(world).values()}) == 1


def tables(world: World) -> dict[str, Any]:
    """The table of everybody who runs."""
    machines = {name: freezing.thaw(frozen) for name, frozen in world.frozen.items()}
    return {name: machine.table if name in AGENTS else machine.cache.table for name, machine in machines.items()}


def judge(world: World) -> None:
    """Heal everything, start everybody, and see what becomes of it. Raises Broken."""
    if world.silences:
        world = world.move(("heal",))
    for name in (*AGENTS, *PROXIES):
        if name not in world.frozen:
            world = world.move(("start", name))
    world = flow(world, settled, SETTLED_WITHIN_MS)
    world.ledger.judge(tables(world), world.generations, world.disks)


def _roles(world: World) -> str:
    agents = {name: freezing.thaw(world.frozen[name]).election for name in AGENTS if name in world.frozen}
    return ", ".join(f"{name} {election.role.name} of term {election.term}" for name, election in agents.items())


# -- beginnings ----------------------------------------------------------------------------------------------------


def _pair() -> World:
    """Agent 1 is master, agent 2 its slave, both proxies are served."""
    world = World()
    for name in ("a1", "a2", "p1", "p2"):
        world = world.move(("start", name))
    return flow(world, settled, SETTLED_WITHIN_MS)


def _split() -> World:
    """The agents have lost each other, and both serve: proxy 1 at agent 1, proxy 2 at agent 2."""
    world = _pair().copy()
    world.faults_left = 3
    for one, other in (("a1", "a2"), ("p2", "a1")):
        world = world.move(("silence", one, other))
    return flow(world, _both_serve, 10_000)


def _both_serve(world: World) -> bool:
    masters = [freezing.thaw(world.frozen[name]).election.role == Role.MASTER for name in AGENTS]
    return all(masters) and all(freezing.thaw(world.frozen[name]).synchronised for name in PROXIES)


def _healing() -> World:
    """Both masters have a login of their own; they have met again, and have begun to compare."""
    world = _split().copy()
    world.logins_left = 2
    world = flow(world.move(("login", "p1")).move(("login", "p2")), _quiet, 1_000)
    return flow(world.move(("heal",)), _comparing, 5_000)


def _quiet(world: World) -> bool:
    return not any(way.items for way in world.ways.values()) and not any(world.unsynced.values())


def _comparing(world: World) -> bool:
    between = [way for way in world.ways.values() if way.receiver in AGENTS]
    return any(isinstance(item, Compare) for way in between for item in way.items)


def _logging_in() -> World:
    """Proxy 1 has reported a login, which its master has in memory only."""
    world = _pair().copy()
    world.logins_left = 1
    return flow(world.move(("login", "p1")), lambda world: bool(world.unsynced.get("a1")), 1_000)


def beginnings() -> Iterator[tuple[str, World]]:
    """Where searches begin, with what may happen from there."""
    for name, begin, faults, logins, logouts in (
        ("a pair that serves", _pair, 2, 2, 1),
        ("a login under way", _logging_in, 2, 1, 1),
        ("two masters", _split, 1, 2, 1),
        ("two masters that meet", _healing, 1, 0, 1),
    ):
        world = begin().copy()
        world.faults_left, world.logins_left, world.logouts_left = faults, logins, logouts
        yield name, world


# -- the search ----------------------------------------------------------------------------------------------------


def search(name: str, beginning: World, depth: int, judged_of: int = 1) -> Found:
    """Every state within `depth` moves. One of `judged_of` states is judged. Raises Counterexample."""
    seen = {beginning.key()}
    frontier: list[tuple[World, tuple[Move, ...]]] = [(beginning, ())]
    moves = judged = 0
    for level in range(1, depth + 1):
        reached: list[tuple[World, tuple[Move, ...]]] = []
        for world, path in frontier:
            for move in world.moves():
                moves += 1
                try:
                    after = world.move(move)
                    key = after.key()
                    if key in seen:
                        continue
                    seen.add(key)
                    if key[0] % judged_of == 0:
                        judged += 1
                        judge(after)
                except Exception as error:
                    raise Counterexample(name, (*path, move), repr(error)) from error
                if level < depth:
                    reached.append((after, (*path, move)))
        frontier = reached
    return Found(len(seen), moves, judged, depth)
