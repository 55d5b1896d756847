"""Whatever can run, be paused, be killed, and hold links.

Rules of this file:

- What arrives at a paused process waits and is handed over when it runs again; a loop that wakes late may see its
  deadlines first, or what waits.
- A process started anew is another generation: nothing that was meant for the last one reaches it.
- Messages sent in one step leave together when the step is over, as bytes in one TCP segment do.
"""

import math
import random
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from protocol.errors import Code
from protocol.messages import Message
from protocol.stamp import Now
from tests.simulation.clocks import Clock

if TYPE_CHECKING:
    from tests.simulation.links import End, Lane, Wire
    from tests.simulation.world import World

ROUNDING_S = 1e-6
"""Added to each alarm, so that the process's own clock does not show a hair less than the deadline."""

ALARMS_IDLE_MAX = 10
"""So often a deadline may ring without moving on; more is a machine that would spin."""


class Process:
    """One process on a host of its own. `kind` and `id` are what it says of itself on links."""

    kind: str

    def __init__(self, world: "World", name: str, site: str, id: str, clock: Clock) -> None:
        self.world = world
        self.loop = world.loop
        self.name = name
        self.site = site
        self.id = id
        self.number = len(world.processes)
        self.clock = clock
        self.running = False
        self.host_up = True
        self.generation = 0
        self.paused_until_s = -math.inf
        self.reads_every_s = 0.0
        self.dirty: list[Lane] = []
        self.dice: random.Random = random.Random()
        self.resumed_s = -math.inf
        self._paused_s = 0.0
        self._suspended = False
        self._inbox: deque[tuple[int, Callable[..., None], tuple[Any, ...]]] = deque()
        self._alarm_s = math.inf
        self._idle_alarms = 0
        world.processes[name] = self

    # -- what kinds of process do --------------------------------------------------------------------------------

    def start(self) -> None:
        raise NotImplementedError

    def linked(self, wire: "Wire") -> None:
        raise NotImplementedError

    def dial_failed(self, whom: "Process", refused: Code | None, text: str, proven_dead: bool) -> None:
        raise NotImplementedError

    def arrived(self, wire: "Wire", messages: tuple[Message, ...]) -> None:
        raise NotImplementedError

    def ended(self, wire: "Wire", end: "End", by_peer: bool) -> None:
        raise NotImplementedError

    def drained(self, number: int) -> None:
        """There is room for bulk on a link."""
        raise NotImplementedError

    def woken(self) -> None:
        """The deadline is here."""
        raise NotImplementedError

    @property
    def wakes_s(self) -> float:
        """The machine's deadline, in its own monotonic seconds."""
        raise NotImplementedError

    # -- life ----------------------------------------------------------------------------------------------------

    def now(self) -> Now:
        return self.clock.now(self.loop.now_s)

    @property
    def paused(self) -> bool:
        return self.paused_until_s > self.loop.now_s

    @property
    def incarnation(self) -> int:
        """What tells this run of it from others, on links and as a witness."""
        return 1_000_000 * self.number + self.generation

    @property
    def active(self) -> bool:
        """Whether it runs now, neither down nor paused."""
        return self.running and not self.paused

    def begin(self) -> None:
        """The process starts, with nothing of the last one. Its dice follow from seed, name and generation."""
        self.generation += 1
        self.running = self.host_up = True
        self.paused_until_s = -math.inf
        self.reads_every_s = 0.0
        self._inbox.clear()
        self.dirty.clear()
        self._alarm_s = math.inf
        self.dice = random.Random(f"{self.world.seed}/{self.name}/{self.generation}")
        self.loop.note(self.number, self.generation)

    def kill(self, *, power: bool = False) -> None:
        """The process is gone without a word; with `power` its host too, so that not even resets come."""
        if not self.running:
            return
        self.running = False
        self.host_up = not power
        self.dirty.clear()
        self.world.network.abandon(self, silently=power)

    def pause(self, seconds: float, *, suspend: bool = False) -> None:
        """As SIGSTOP and SIGCONT; with `suspend` the whole machine sleeps, and its monotonic clock with it."""
        if not self.active:
            return
        self.paused_until_s = self.loop.now_s + seconds
        self._paused_s, self._suspended = self.loop.now_s, suspend
        self.loop.after(seconds, self._resume, self.generation)

    def _resume(self, generation: int) -> None:
        if generation != self.generation or not self.running:
            return
        slept_s = self.loop.now_s - self._paused_s
        if self._suspended:
            self.clock.slept(slept_s)
        self.paused_until_s = -math.inf
        self.resumed_s = self.loop.now_s
        self.resumed(slept_s)
        waiting, self._inbox = self._inbox, deque()
        if self.dice.random() < 0.5:
            self._ring()
        for born, act, args in waiting:
            self.do(born, act, *args)
        self._ring()

    def resumed(self, slept_s: float) -> None:
        """The process runs again after a pause; nothing has reached it yet."""

    def do(self, born: int, act: Callable[..., None], *args: object) -> None:
        """Let something happen in generation `born`: now, when it runs again, or never if it is gone."""
        if not self.running or self.generation != born:
            return
        if self.paused:
            self._inbox.append((born, act, args))
            return
        act(*args)
        self.settle()

    def later(self, delay_s: float, act: Callable[..., None], *args: object) -> None:
        """Let something happen in this process after a while, if it still lives."""
        self.loop.after(delay_s, self.do, self.generation, act, *args)

    def settle(self) -> None:
        """A step is over: what it sent leaves, and the machine is woken when it wants to be."""
        if self.dirty:
            self.world.network.flush(self)
        if not self.running:
            return
        wakes_s = self.wakes_s
        if wakes_s == math.inf:
            return
        at_s = self.clock.true_s(wakes_s) + ROUNDING_S
        if at_s < self._alarm_s:
            self._alarm_s = at_s
            self.loop.at(at_s, self._alarm, self.generation, at_s)

    def _alarm(self, generation: int, at_s: float) -> None:
        if self.generation != generation or self._alarm_s != at_s:
            return
        self._alarm_s = math.inf
        self._ring()

    def _ring(self) -> None:
        """Wake the machine if its deadline is here."""
        if not self.active:
            return
        now_s = self.clock.monotonic_s(self.loop.now_s)
        if self.wakes_s <= now_s:
            self.woken()
            self._idle_alarms = self._idle_alarms + 1 if self.wakes_s <= now_s else 0
            assert self._idle_alarms < ALARMS_IDLE_MAX, f"{self.name} is busy: its deadline stays where it was"
        self.settle()
