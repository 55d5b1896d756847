"""The oracle of items: sees each made, asked for, granted and voided, and says when a promise about them is broken.

Rules of this file:

- At once is judged: never two have a strict item; no wrong secret opens one; what is over is neither granted nor
  shown; what an agent says is where it must be; who has an item on disk does not say no to the first who asks.
- In calm (`judge`): what was acknowledged is in every table as it was left, and whose it is, is known everywhere.
- What is promised ends with disks: where an agent has lost its own since, nothing is demanded of who may have it.

Source: docs/reference/protocol.md, P-60 to P-71; docs/decisions/0008; docs/explain/consistency.md.
"""

import math
from collections import Counter
from collections.abc import Iterable

import attrs

from authagent.core.redemptions import DECIDED_WITHIN_S
from protocol import limits
from protocol.item import Fate, Item
from protocol.messages import Ruling
from protocol.table import Table
from tests.simulation.agents import AgentProcess
from tests.simulation.askers import Answered
from tests.simulation.item_lives import ItemLife, disks_of, kept
from tests.simulation.lives import Broken, seen_by
from tests.simulation.loop import EPOCH_MS
from tests.simulation.process import Process
from tests.simulation.proxies import ProxyProcess


@attrs.frozen(eq=False)
class Batch:
    """What a proxy did with an item by itself, and of which it awaits the acknowledgement."""

    life: ItemLife
    serial: int
    generation: int
    ends: bool


class ItemOracle:
    """The judge of one run's items."""

    def __init__(self, checks: Counter[str], doubt_s: float) -> None:
        self.lives: dict[int, ItemLife] = {}
        self.agents: list[AgentProcess] = []
        self._checks = checks
        self._doubt_s = doubt_s
        self._by_id: dict[str, ItemLife] = {}
        self._waiting: dict[ProxyProcess, list[Batch]] = {}

    # -- made and voided -----------------------------------------------------------------------------------------

    def begun(self, life: ItemLife) -> None:
        """Somebody makes an item. Of those that are under way at once nobody knows which is the latest."""
        if life.form.sole:
            for other in self.lives.values():
                if other.form is life.form and other.user == life.user:
                    life.doubtful = life.doubtful or not other.told
                    other.doubtful = True
        self.lives[life.number] = life

    def drawn(self, life: ItemLife, id: str, secret: str) -> None:
        """One attempt to make it. An earlier one may have left an item, by clocks even a later one: another item."""
        life.doubtful = life.doubtful or (life.form.sole and bool(life.id))
        life.id, life.secret = id, secret
        life.stored, life.stored_s, life.ended = {}, math.inf, {}
        self._by_id[id] = life

    def made_here(self, life: ItemLife, proxy: ProxyProcess, serial: int) -> None:
        """It was made at a proxy, which needs nobody for it."""
        life.told, life.made = True, seen_by(proxy)
        self._await(life, proxy, serial, ends=False)

    def made(self, life: ItemLife, answered: Answered) -> None:
        """Its maker has been told that a master took it in, and has it to give away; or nothing."""
        if answered.ruling == Ruling.GRANTED:
            life.told = True
            (item,) = answered.items
            life.site, life.expires_s = item.site, _true_s(item.expires_at)
            if not life.stored:  # the master itself has asked, and said so to nobody
                there = [agent for agent in life.disks if _on_disk(agent, life) is not None]
                self._stored(life, disks_of(there), there[0].loop.now_s)

    def ending(self, life: ItemLife) -> None:
        """Somebody wants it voided; of a code whatever its user has."""
        for other in self.lives.values():
            if other is life or (life.form.sole and (other.form, other.user) == (life.form, life.user)):
                other.doubtful = True

    def ended_here(self, life: ItemLife, proxy: ProxyProcess, serial: int) -> None:
        """It was voided at a proxy."""
        if serial and not life.form.sole:
            self._await(life, proxy, serial, ends=True)

    def _await(self, life: ItemLife, proxy: ProxyProcess, serial: int, *, ends: bool) -> None:
        self._waiting.setdefault(proxy, []).append(Batch(life, serial, proxy.generation, ends))

    def acknowledged(self, proxy: ProxyProcess, disks: dict[AgentProcess, int]) -> None:
        """A proxy has heard how far its reports have got; these disks count for what is at level site now."""
        waiting = self._waiting.get(proxy)
        if not waiting:
            return
        self._waiting[proxy] = left = []
        for batch in waiting:
            if batch.generation != proxy.generation:
                continue
            if proxy.client.outbox.reached(batch.serial) != "site":
                left.append(batch)
                continue
            fate = Fate.REVOKED if batch.ends else Fate.OPEN
            self._check_stored(batch.life, disks, fate)
            if batch.ends:
                batch.life.ended = disks
            else:
                self._stored(batch.life, disks, proxy.loop.now_s)

    def _stored(self, life: ItemLife, disks: dict[AgentProcess, int], now_s: float) -> None:
        life.stored, life.stored_s = {**life.stored, **disks}, min(life.stored_s, now_s)

    def _check_stored(self, life: ItemLife, disks: dict[AgentProcess, int], fate: Fate) -> None:
        for agent, number in disks.items():
            if agent.disk.number != number or self._is_over(life, agent.loop.now_s):
                continue
            self._checks["stored"] += 1
            item = _on_disk(agent, life)
            if item is None or (item.fate < fate and not item.claims):
                raise Broken("false", f"{life} is acknowledged, and {agent.name}, which counted, has not stored it")

    # -- what agents say -----------------------------------------------------------------------------------------

    def said(self, agent: AgentProcess, items: Iterable[Item], disks: dict[AgentProcess, int]) -> None:
        """A master grants something. `disks` are those that it counts on: its own, and its slave's if it has one."""
        for item in items:
            life = self._life(agent, item)
            if item.id != life.id:
                continue  # of an attempt that was given up: nobody has its secret, or knows its name
            if item.strict or not item.claims:
                self._check_said(agent, life, item, disks)
            if item.claims:
                self._decided(agent, life, item, disks)
            elif item.fate == Fate.OPEN:
                self._stored(life, disks, agent.loop.now_s)
            else:
                life.ended = {**life.ended, **disks}

    def _life(self, agent: AgentProcess, item: Item) -> ItemLife:
        life = self._by_id.get(item.id)
        if life is None:
            raise Broken("ghost", f"{agent.name} grants {item.kind} {item.id}, which nobody ever made")
        return life

    def _check_said(self, agent: AgentProcess, life: ItemLife, item: Item, disks: dict[AgentProcess, int]) -> None:
        """What is granted is on the disks of those who count."""
        requests = {claim.request for claim in item.claims if claim.final}
        for each, number in disks.items():
            if each.disk.number != number or self._is_over(life, agent.loop.now_s):
                continue
            self._checks["stored"] += 1
            found = _on_disk(each, life)
            if found is None or not requests.issubset(_claimed(found)) or (item.fate > found.fate and not found.claims):
                raise Broken("false", f"{agent.name} grants {life}, and {each.name}, which counted, has not stored it")

    def _decided(self, agent: AgentProcess, life: ItemLife, item: Item, disks: dict[AgentProcess, int]) -> None:
        claim = item.consumed
        if claim is None:
            return
        if item.strict and claim.request not in life.granted:
            self._check_quorum(agent, life, item, claim.request, disks)
        self._note_grant(life, claim.request, agent)

    def _check_quorum(
        self, agent: AgentProcess, life: ItemLife, item: Item, request: bytes, disks: dict[AgentProcess, int]
    ) -> None:
        """A strict item is granted when both agents hold the claim, or one and most of its witnesses."""
        self._checks["quorum"] += 1
        if agent.partner is None or agent.partner in disks:
            return  # both, which was looked at
        holding = 0
        for witness in item.witnesses:
            if not witness.incarnation:
                holding += witness.id == f"authagent-{agent.id}"
                continue
            proxy = agent.world.processes[witness.id]
            assert isinstance(proxy, ProxyProcess), "a witness is a proxy"
            held = _claimed(proxy.table.items.get(*life.name))
            holding += proxy.incarnation != witness.incarnation or request in held
        if 2 * holding <= len(item.witnesses):
            raise Broken("quorum", f"{agent.name} grants {life}, of which {holding} witnesses hold the claim")

    def _note_grant(self, life: ItemLife, request: bytes, by: Process) -> None:
        """Somebody has an item that is consumed once. Never is it two who have it, if it is strict."""
        self._checks["twice"] += 1
        where, again = (by, by.generation), request in life.granted
        others = {other: there for other, there in life.granted.items() if other != request}
        remembered = life.remembered or (life.form.strict and kept(life.holders))
        life.granted.setdefault(request, where)
        if not others:
            life.holders |= disks_of([each for each in self.agents if self._holds(each, life, request)])
        if not others or not remembered:
            return
        told = f"{by.name} grants {life} to {request!r}, and {sorted(others)} had it"
        if life.form.strict:
            raise Broken("twice", told)
        if again:
            return  # of two who were granted it apart each is granted it again
        if where in others.values():
            raise Broken("twice", f"{told} from the same node")
        if life.settled and life.settled != request:
            raise Broken("twice", f"{told} when all was calm")

    def _holds(self, agent: AgentProcess, life: ItemLife, request: bytes) -> bool:
        """Whether an agent of the item's site has a claim on its disk: as long as it has, nobody else is granted."""
        return agent.site == life.site and request in _claimed(_on_disk(agent, life))

    # -- what users are told -------------------------------------------------------------------------------------

    def asked(self, life: ItemLife, request: bytes, right: bool) -> None:
        """Somebody wants an item, with the right secret or a wrong one."""
        if right:
            life.asked.add(request)
        for other in self.lives.values() if life.form.sole else (life,):
            shown = other is not life and (other.form, other.user) == (life.form, life.user)
            other.wrong += shown or (other is life and not right)

    def redeemed(
        self, life: ItemLife, id: str, request: bytes, right: bool, asked_s: float, answered: Answered
    ) -> None:
        """Somebody who wanted an item has an answer. What was asked for has become another if its maker tried again."""
        if id != life.id:
            return
        if answered.ruling == Ruling.GRANTED:
            assert answered.by is not None, "somebody has said so"
            life.had.add(request)
            self._check_granted(life, request, right, asked_s, answered.items, answered.by)
        elif answered.ruling == Ruling.REFUSED and answered.by is not None:
            life.refused.add(request)
            self._check_refused(life, request, right, asked_s, answered.by)

    def _check_granted(
        self, life: ItemLife, request: bytes, right: bool, asked_s: float, items: tuple[Item, ...], by: Process
    ) -> None:
        self._checks["granted"] += 1
        if not right or items[0].id != life.id:
            raise Broken("wrong", f"{by.name} grants {life} for a secret that is not its own")
        if life.told and asked_s > life.expires_s + self._doubt_s:
            raise Broken("ghost", f"{by.name} grants {life}, which expired {asked_s - life.expires_s:.1f} s before")
        if life.exhausted and life.remembered:
            raise Broken("tries", f"{by.name} grants {life}, though five wrong ones were tried")
        if life.form.single_use:
            self._note_grant(life, request, by)

    def _check_refused(self, life: ItemLife, request: bytes, right: bool, asked_s: float, by: Process) -> None:
        """Whoever has it on its disk says no only for a reason."""
        now_s, on_disk = by.loop.now_s, isinstance(by, AgentProcess) and life.stored.get(by) == by.disk.number
        near_its_end = now_s > life.expires_s - self._doubt_s - 1.0
        too_soon = asked_s < life.stored_s
        if not on_disk or too_soon or near_its_end or not life.remembered or life.doubtful:
            return
        if not right:
            self._note_wrong(life, asked_s, by)
            return
        alone = life.asked == {request} and not life.wrong
        repeated = life.form.strict and request in life.granted
        if alone or repeated or not life.form.single_use:
            self._checks["refused"] += 1
            raise Broken("refused", f"{by.name} refuses {life} to {request!r}, asked {now_s - asked_s:.1f} s ago")

    def _note_wrong(self, life: ItemLife, asked_s: float, by: Process) -> None:
        """A wrong secret was refused, and for that alone if nobody has shown the right one: the try is on disk."""
        waited_s = (by.loop.now_s - asked_s) / 0.99  # its clock may be fast
        if life.asked or not isinstance(by, AgentProcess) or waited_s >= DECIDED_WITHIN_S:
            return
        life.counted.append(disks_of([by]))
        item, counted = _on_disk(by, life), sum(disks == disks_of([by]) for disks in life.counted)
        self._checks["tries"] += 1
        if item is None or item.tries_made < min(counted, limits.CODE_TRIES_MAX):
            raise Broken("tries", f"{by.name} has refused {counted} wrong tries of {life}, and stored fewer")

    def peeked(self, life: ItemLife, proxy: ProxyProcess) -> None:
        """A proxy is asked whether an item may be consumed."""
        item, now_s = proxy.table.items.get(*life.name), proxy.loop.now_s
        if item is None or proxy.table.items.state(item, proxy.cluster_ms) != "open":
            return
        self._checks["ghost"] += 1
        if life.told and proxy.client.cache.clock.is_set and now_s > life.expires_s + self._doubt_s:
            raise Broken("ghost", f"{proxy.name} shows {life}, which expired {now_s - life.expires_s:.1f} s ago")

    # -- in calm -------------------------------------------------------------------------------------------------

    def judge(self, now_s: float, everybody: Iterable[AgentProcess | ProxyProcess]) -> None:
        """Look at every item that is not over, in every table."""
        tables = {each.name: each.table for each in everybody}
        for life in self.lives.values():
            if not self._is_over(life, now_s):
                self._judge_life(life, tables)

    def _judge_life(self, life: ItemLife, tables: dict[str, Table]) -> None:
        self._checks["lost"] += life.known
        for name, table in tables.items():
            item = table.items.get(*life.name)
            if item is None:
                if life.known:
                    raise Broken("lost", f"{name} does not know {life}")
                return
            self._judge_item(life, item, name)
            if item.consumed is not None:
                life.settled = item.consumed.request
            life.exhausted = life.exhausted or (item.exhausted and not item.claims)

    def _judge_item(self, life: ItemLife, item: Item, name: str) -> None:
        if item.fate == Fate.CONFLICT or (item.fate == Fate.REVOKED and not life.doubtful):
            raise Broken("lost", f"{name} holds {life} as {item.fate.name}, and nobody has ended it")
        if kept(life.ended) and item.fate == Fate.OPEN and not item.claims:
            raise Broken("back", f"{name} holds {life} as open, which was voided")
        if not life.remembered:
            return
        if life.form.strict and life.granted:
            self._checks["twice"] += 1
            (request,) = life.granted
            if request not in _claimed(item):
                raise Broken("twice", f"{name} does not know that {request!r} has {life}")
            if item.consumed is not None and item.consumed.request != request:
                raise Broken("twice", f"{name} knows another than {request!r} who has {life}")
        tries = sum(kept(disks) for disks in life.counted)
        if item.tries_made < min(tries, limits.CODE_TRIES_MAX):
            raise Broken("tries", f"{name} has counted {item.tries_made} wrong tries of {life}, not {tries}")

    def _is_over(self, life: ItemLife, now_s: float) -> bool:
        return now_s > life.expires_s - self._doubt_s


def _on_disk(agent: AgentProcess, life: ItemLife) -> Item | None:
    """An item as it is on an agent's disk now."""
    agent.disk.facts.refresh(agent.disk.content)
    return agent.disk.facts.items.get(life.name)


def _claimed(item: Item | None) -> set[bytes]:
    """The requests of whose claims an item knows; none of an item that is not there."""
    return set() if item is None else {claim.request for claim in item.claims}


def _true_s(cluster_ms: int) -> float:
    """A time of the cluster as a moment of the run; clocks may differ from it by what they are wrong."""
    return (cluster_ms - EPOCH_MS) / 1000
