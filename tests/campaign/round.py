"""One round on one crew: load, faults one at a time, each kind once, several at once, mending, the judgement.

Rules of this file:

- The script is the same for every product. It asks a crew only what tests.system.crew names.
- While faults come one at a time, the next waits until the crew is settled again, SETTLED_WITHIN_S at most. Only these
  faults, and of these only those that hit the server that takes logins, tell how soon proxies are served again.
- While they come several at once nobody waits for anything.
- What is found is written down, not asserted: a peer's loss is a figure. tests assert what must hold of the pair.
"""

import itertools
import math
import random
import time
from collections.abc import Sequence
from typing import Any

import attrs
import trio

from tests.campaign.faults import Fault, Faults
from tests.campaign.served import Served
from tests.system.crew import Crew, Proxy
from tests.system.load import LOGIN_SHARE
from tests.system.oracle import Oracle

AT_ONCE = 3
"""How many faults go on at the same time."""

ALONE_SHARE = 0.4
"""Of a round: faults one at a time."""

SETTLED_WITHIN_S = 12.0
MENDED_WITHIN_S = 60.0
EQUAL_WITHIN_S = 30.0
"""For a table of hundreds of thousands to be read out of every proxy; how long the tables took to be equal is told."""

LOOK_KEYS = 300
LOOK_EVERY_S = 2.0

_networks = itertools.count(1)  # keys of one start of one proxy are no other's


@attrs.frozen
class Findings:
    """What one round, or several, brought to light."""

    seconds: float = 0.0
    faults: dict[str, int] = attrs.field(factory=dict)
    logins: int = 0
    logouts: int = 0
    unacknowledged: int = 0
    lost: int = 0
    back: int = 0
    resurrected: int = 0
    forgotten: int = 0
    not_mended: int = 0
    looked_up: int = 0
    acknowledged_s: tuple[float, ...] = ()
    served_s: tuple[float, ...] = ()
    unserved_s: tuple[float, ...] = ()
    mended_s: tuple[float, ...] = ()
    examples: tuple[str, ...] = ()

    def plus(self, other: "Findings") -> "Findings":
        """Both together."""
        added: dict[str, Any] = {}
        for field in attrs.fields(Findings):
            ours, theirs = getattr(self, field.name), getattr(other, field.name)
            if isinstance(ours, dict):
                added[field.name] = {kind: ours.get(kind, 0) + theirs.get(kind, 0) for kind in {**ours, **theirs}}
            else:
                added[field.name] = ours + theirs
        return Findings(**added)

    @property
    def broken(self) -> int:
        """How often a promise was broken."""
        return self.lost + self.back + self.resurrected + self.forgotten + self.not_mended


@attrs.define
class Round:
    """One round; `rate` is in logins a second over all proxies. It ends when time is up and faults were enough."""

    crew: Crew
    dice: random.Random
    rate: float
    seconds: float
    faults_min: int = 0
    at_once: int = AT_ONCE
    faults: Faults = attrs.field(init=False)
    served: Served = attrs.field(factory=Served)
    looked_up: int = 0

    def __attrs_post_init__(self) -> None:
        self.faults = Faults(self.crew, self.dice, self._load)
        self.crew.hear = self._hear

    async def run(self) -> Findings:
        """Everything; the crew is not started yet, and runs and is mended at the end."""
        await self.crew.start(60.0)
        for number in self.crew.proxies:
            self._load(number)
        began_s = trio.current_time()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._look_for_ever)
            await self._one_at_a_time(began_s + self.seconds * ALONE_SHARE)
            first = self.dice.sample(list(self.faults.kinds), len(self.faults.kinds))
            async with trio.open_nursery() as breaking:
                for _ in range(self.at_once):
                    breaking.start_soon(self._several_at_once, first, began_s + self.seconds)
            nursery.cancel_scope.cancel()
        return await self._judged(trio.current_time() - began_s)

    # -- the script ------------------------------------------------------------------------------------------------

    async def _one_at_a_time(self, end_s: float) -> None:
        """In turn one of the three that take a server away from everybody, at whoever serves, and one of any kind."""
        hard = itertools.cycle((self.faults.kill_server, self.faults.stop_server, self.faults.isolate))
        while trio.current_time() < end_s:
            if await self._unsettled(SETTLED_WITHIN_S, equal=False):
                await self.faults.any()  # it may not settle for long; break something else meanwhile
                continue
            serving = await self.crew.serving()
            self.served.watch(time.monotonic(), {proxy.name for proxy in self.crew.proxies.values() if proxy.running})
            await next(hard)(serving)
            with trio.move_on_after(SETTLED_WITHIN_S):
                while not self.served.all_served:
                    await trio.sleep(0.05)
            self.served.close(time.monotonic())
            if trio.current_time() < end_s:
                await self.faults.any()

    async def _several_at_once(self, first: list[Fault], end_s: float) -> None:
        """Each kind of `first` once, then whatever the dice say."""
        while first or trio.current_time() < end_s or self.faults.total < self.faults_min:
            await (first.pop() if first else self.faults.any)()
            await trio.sleep(0.01)

    def _load(self, number: int) -> None:
        """Let a proxy log in and out, with keys that nobody has used."""
        operations = self.rate / LOGIN_SHARE / len(self.crew.proxies)
        self.crew.proxies[number].tell(do="load", rate=operations, network=next(_networks))

    async def _unsettled(self, within_s: float, *, equal: bool) -> str:
        """Wait until all is settled; what is not so after that time, empty where nothing is."""
        try:
            await self.crew.wait_settled(within_s, equal=equal)
        except AssertionError as seen:
            return str(seen)
        return ""

    # -- watching --------------------------------------------------------------------------------------------------

    def _hear(self, proxy: Proxy, event: dict[str, Any]) -> None:
        self.served.hear(proxy.name, event)

    async def _look_for_ever(self) -> None:
        """Look from time to time whether a proxy forgets who is in, or shows again whom it had seen go."""
        oracle, watched = self.crew.oracle, set[str]()
        while True:
            known = [*itertools.islice(reversed(oracle.acknowledged), 20 * LOOK_KEYS)]
            watched |= set(self.dice.sample(known, min(LOOK_KEYS // 2, len(known))))
            while len(watched) > LOOK_KEYS:
                watched.discard(self.dice.choice(sorted(watched)))
            keys = {oracle.acknowledged[login_id] for login_id in watched}
            for proxy in self.crew.proxies.values():
                await self._look(proxy, watched, keys)
            await trio.sleep(LOOK_EVERY_S)

    async def _look(self, proxy: Proxy, watched: set[str], keys: set[str]) -> None:
        if proxy.name in self.faults.busy or not proxy.running:
            return
        start, asked = proxy.starts, set(watched)
        with trio.move_on_after(LOOK_EVERY_S):  # it may be stopped or killed while it is asked
            shown = await proxy.look(keys, within_s=math.inf)
            if shown is not None and proxy.starts == start:
                self.looked_up += len(keys)
                self.crew.oracle.look(f"{proxy.name} start {start}", asked, shown)

    # -- the judgement ---------------------------------------------------------------------------------------------

    async def _judged(self, seconds: float) -> Findings:
        crew, oracle = self.crew, self.crew.oracle
        await crew.wires.heal()
        for proxy in crew.proxies.values():
            proxy.tell(do="load", rate=0, network=0)
        mending_s = trio.current_time()
        unsettled = await self._unsettled(MENDED_WITHIN_S, equal=True)
        mended_s = trio.current_time() - mending_s
        wrong = await self._compared()
        if wrong.lost or wrong.back:
            with trio.move_on_after(EQUAL_WITHIN_S):
                while wrong.lost or wrong.back:
                    await trio.sleep(1.0)
                    wrong = await self._compared()
        return attrs.evolve(
            wrong,
            seconds=seconds,
            faults=self.faults.counts,
            logins=len(oracle.acknowledged),
            logouts=len(oracle.ended),
            unacknowledged=oracle.unacknowledged,
            resurrected=len(oracle.resurrected),
            forgotten=len(oracle.forgotten),
            not_mended=bool(unsettled),
            looked_up=self.looked_up,
            acknowledged_s=tuple(_thinned(oracle.seconds)),
            served_s=tuple(self.served.seconds),
            unserved_s=tuple(self.served.unserved),
            mended_s=(mended_s,),
            examples=(*wrong.examples, *_examples(oracle), *filter(None, [unsettled])),
        )

    async def _compared(self) -> Findings:
        """What every proxy shows beside what it must show and what it must not."""
        lost, back, oracle = set[str](), set[str](), self.crew.oracle
        for proxy in self.crew.proxies.values():
            shown = await proxy.shown()
            lost |= oracle.lost(shown)
            back |= oracle.back(shown)
        return Findings(
            lost=len(lost),
            back=len(back),
            examples=(*(f"lost {each}" for each in sorted(lost)[:5]), *(f"back {each}" for each in sorted(back)[:5])),
        )


def _examples(oracle: Oracle) -> list[str]:
    return [
        *(f"resurrected {each}" for each in sorted(oracle.resurrected)[:5]),
        *(f"forgotten {each}" for each in sorted(oracle.forgotten)[:5]),
    ]


def _thinned(values: Sequence[float], most: int = 20_000) -> Sequence[float]:
    """At most so many of them, evenly."""
    return values[:: math.ceil(len(values) / most) or 1]
