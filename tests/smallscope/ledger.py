"""What was done and promised in one history: who logged in, who was ended, and which agents counted for it.

Rules of this file: it is told of every act, and of every acknowledgement when a proxy hears it, with how often each
agent that counted had lost its disk when it was sent. It asks no machine what it thinks.
"""

from collections.abc import Mapping
from typing import Any

import attrs

from protocol.session import LoginId, State
from protocol.table import Table
from proxyagent.core.client import Client
from proxyagent.session import Ended, Session


class Broken(AssertionError):
    """A promise was broken; the text says which."""


@attrs.frozen
class Fact:
    """A login or an end that somebody made at a proxy; `disks` once it was acknowledged at level site."""

    login_id: LoginId
    ended: bool
    proxy: str
    generation: int
    batch: int
    disks: tuple[tuple[str, int], ...] | None = None


@attrs.define
class Ledger:
    """The facts of one history."""

    facts: tuple[Fact, ...] = ()
    shadowed: bool = False  # a logout has been made, whose mark may reach logins that it did not name
    terms: dict[str, tuple[int, int]] = attrs.field(factory=dict)  # by agent: disks lost, and its last term
    counted: dict[str, tuple[tuple[str, int], ...]] = attrs.field(factory=dict)

    def copy(self) -> "Ledger":
        return attrs.evolve(self, terms=dict(self.terms), counted=dict(self.counted))

    def face(self) -> object:
        return self.facts, self.shadowed, sorted(self.terms.items())

    def known(self, proxy: str) -> bool:
        """Whether there is anything to log out."""
        return bool(self.facts)

    # -- what is told ----------------------------------------------------------------------------------------------

    def logged_in(self, session: Session, proxy: str, generation: int, superseded: set[LoginId]) -> None:
        self.facts += (Fact(session.login_id, False, proxy, generation, session.batch),)
        self.facts += tuple(Fact(each, True, proxy, generation, session.batch) for each in sorted(superseded))

    def logged_out(self, ended: Ended, proxy: str, generation: int, held: set[LoginId]) -> None:
        self.shadowed = True
        self.facts += tuple(Fact(each, True, proxy, generation, ended.batch) for each in sorted(held))

    def look(self, proxy: str, client: Client) -> None:
        """After each step of a proxy: which of its facts have got to level site."""
        self.facts = tuple(
            attrs.evolve(fact, disks=self.counted.get(proxy, ()))
            if fact.proxy == proxy and fact.disks is None and fact.batch and client.outbox.reached(fact.batch) == "site"
            else fact
            for fact in self.facts
        )

    def died(self, name: str) -> None:
        """A process is gone; what a proxy has not had acknowledged by then never will be."""
        self.facts = tuple(
            attrs.evolve(fact, batch=0) if fact.proxy == name and fact.disks is None else fact for fact in self.facts
        )

    def promoted(self, agent: str, term: int, disk: Any) -> None:
        """An agent announces a mastership."""
        if disk.term < term:
            raise Broken(f"{agent} announced term {term} before it was on disk")
        lost, last = self.terms.get(agent, (disk.lost, 0))
        if lost == disk.lost and term <= last:
            raise Broken(f"{agent} became master of term {term} again")
        self.terms[agent] = disk.lost, term

    # -- judgement -------------------------------------------------------------------------------------------------

    def judge(self, tables: Mapping[str, Table], generations: Mapping[str, int], disks: Mapping[str, Any]) -> None:
        """All is healed and settled: what must be known is known by everybody, and as it was left."""
        ended = {fact.login_id for fact in self.facts if fact.ended}
        for fact in self.facts:
            alive = fact.proxy in generations and generations[fact.proxy] == fact.generation
            kept = fact.disks is not None and any(disks[name].lost == lost for name, lost in fact.disks)
            if not (alive or kept):
                continue
            for name, table in tables.items():
                record = table.record(fact.login_id)
                if record is None:
                    raise Broken(f"{fact.login_id} is lost at {name}")
                if fact.ended and record.state == State.ALIVE:
                    raise Broken(f"{fact.login_id} was ended and is alive at {name}")
                if fact.login_id not in ended and not self.shadowed and record.state != State.ALIVE:
                    raise Broken(f"{fact.login_id} is {record.state.name} at {name}, and nobody ended it")
