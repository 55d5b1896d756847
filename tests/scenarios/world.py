"""A world for the pure machines: time, links and faults that exist only as numbers, driven event by event.

Rules of this file:

- Exact where the machines rely on it. A link keeps the order and loses nothing but its end: while a way is silent,
  what was sent waits, as TCP keeps it; what comes to a closed end is answered by a reset, if that host is up.
- Time moves only in `run`. Messages take `latency_s`; a refused connection answers at once, a silent one never does.
- Nothing is random but by the seed.

Who lives here: agents.py (authagent's machine with its clocks and disk), proxies.py (proxyagent's machine).
"""

import heapq
import itertools
import random
from collections import deque
from collections.abc import Callable, Iterable

import attrs

from protocol.errors import Code
from protocol.messages import Message, Ping, Pong

LATENCY_S = 0.0005
ROOM_S = 0.0002
EPOCH_MS = 1_790_000_000_000
"""The true time of day at which every world begins; 20 seconds after a whole minute."""


@attrs.frozen
class End:
    """The last that travels on a link: a farewell, or with `code` None the end of the stream."""

    code: Code | None
    text: str
    elsewhere: str = ""


@attrs.define(eq=False)
class Wire:
    """One link between two processes, as each runs when it opens: `open` holds the ends that are open."""

    number: int
    dialler: "Process"
    listener: "Process"
    open: dict["Process", int] = attrs.field(factory=dict)  # by generation: a process started anew has other links
    held: dict["Process", deque[tuple[Message, ...] | End]] = attrs.field(factory=dict)
    told: set["Process"] = attrs.field(factory=set)  # whose end of the link is on its way

    def other(self, end: "Process") -> "Process":
        return self.listener if end is self.dialler else self.dialler


class Process:
    """Whatever can run, be paused, be killed, and hold links."""

    def __init__(self, world: "World", name: str) -> None:
        self.world = world
        self.name = name
        self.running = False
        self.host_up = True
        self.generation = 0
        self.paused_until_s = 0.0
        self._inbox: deque[Callable[[], None]] = deque()
        self._alarm_s = float("inf")
        self._idle_alarms = 0
        world.processes[name] = self

    # -- what a process does with events -------------------------------------------------------------------------

    def start(self) -> None:
        raise NotImplementedError

    def linked(self, wire: Wire) -> None:
        raise NotImplementedError

    def arrived(self, wire: Wire, messages: tuple[Message, ...]) -> None:
        raise NotImplementedError

    def ended(self, wire: Wire, end: End, by_peer: bool) -> None:
        raise NotImplementedError

    def woken(self) -> None:
        """The deadline is here."""
        raise NotImplementedError

    @property
    def wakes_s(self) -> float:
        raise NotImplementedError

    # -- life ----------------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """The process starts, with nothing of the last one."""
        self.generation += 1
        self.running = self.host_up = True
        self.paused_until_s = 0.0
        self._inbox.clear()
        self._alarm_s = float("inf")

    def kill(self, *, power: bool = False) -> None:
        """The process is gone without a word; with `power` its host too, so that not even resets come."""
        self.running = False
        self.host_up = not power
        for wire in self.world.wires_of(self):
            if power:
                wire.open.pop(self, None)
                wire.held.pop(wire.other(self), None)
            else:
                self.world.close(wire, self, End(None, "closed without a farewell"))

    def pause(self, seconds: float) -> None:
        """As SIGSTOP and SIGCONT: what arrives meanwhile waits."""
        self.paused_until_s = self.world.now_s + seconds
        self.world.after(seconds, self._resume)

    def _resume(self) -> None:
        waiting, self._inbox = self._inbox, deque()
        if self.world.random.random() < 0.5:  # a loop that wakes late may see its deadlines first
            self._alarm()
        for act in waiting:
            self.do(act)
        self._alarm()

    def do(self, act: Callable[[], None], generation: int | None = None) -> None:
        """Let something happen in this process: now, when it runs again, or never if it is gone."""
        born = self.generation if generation is None else generation
        if not self.running or self.generation != born:
            return
        if self.world.now_s < self.paused_until_s:
            self._inbox.append(lambda: self.do(act, born))
            return
        act()
        self.arm()

    def later(self, delay_s: float, act: Callable[[], None]) -> None:
        """Let something happen in this process after a while, if it still lives."""
        born = self.generation
        self.world.after(delay_s, lambda: self.do(act, born))

    def arm(self) -> None:
        """Be woken when the machine wants it."""
        wakes_s = self.wakes_s
        if wakes_s >= self._alarm_s or not self.running:
            return
        self._alarm_s = wakes_s
        born = self.generation

        def ring() -> None:
            if self.generation == born and self._alarm_s == wakes_s:
                self._alarm_s = float("inf")
                self._alarm()

        self.world.after(max(0.0, wakes_s - self.world.now_s), ring)

    def _alarm(self) -> None:
        if not self.running or self.world.now_s < self.paused_until_s:
            return
        if self.wakes_s <= self.world.now_s:
            self.woken()
            self._idle_alarms = self._idle_alarms + 1 if self.wakes_s <= self.world.now_s else 0
            assert self._idle_alarms < 10, f"{self.name} is busy: its deadline stays where it was"
        self.arm()


class World:
    """The clock, the queue of what happens next, and who can reach whom."""

    def __init__(self, seed: int = 1) -> None:
        self.now_s = 0.0
        self.latency_s = LATENCY_S
        self.random = random.Random(seed)
        self.processes: dict[str, Process] = {}
        self.lines: list[str] = []
        self.loud = False
        self.log_names: dict[int, str] = {}
        self.cuts: set[frozenset[str]] = set()  # dials are refused
        self.silences: set[frozenset[str]] = set()  # nothing arrives
        self.stalls: set[frozenset[str]] = set()  # live messages pass, but there is never room for bulk
        self.refusals: dict[tuple[str, str], Code] = {}  # (dialler, listener): the door says no
        self.on_sent: Callable[[Message], None] = lambda message: None
        self.on_heard: Callable[[Process, tuple[Message, ...]], None] = lambda receiver, messages: None
        self._queue: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._numbers = itertools.count(1)
        self._wires: dict[int, Wire] = {}

    # -- time ----------------------------------------------------------------------------------------------------

    def after(self, delay_s: float, act: Callable[[], None]) -> None:
        heapq.heappush(self._queue, (self.now_s + delay_s, next(self._order), act))

    def run(self, seconds: float) -> None:
        """Let everything happen that is due within `seconds`."""
        end_s = self.now_s + seconds
        while self._queue and self._queue[0][0] <= end_s:
            self.now_s, _, act = heapq.heappop(self._queue)
            act()
        self.now_s = end_s

    def run_until(self, met: Callable[[], bool], within_s: float, step_s: float = 0.1) -> float:
        """Run until a condition is met; returns the seconds it took, and fails when it takes longer."""
        began_s = self.now_s
        while not met():
            assert self.now_s - began_s < within_s, f"not so within {within_s:g} s"
            self.run(step_s)
        return self.now_s - began_s

    def say(self, who: str, text: str) -> None:
        if self.loud:
            self.lines.append(f"{self.now_s:8.3f}  {who} {text}")

    # -- faults --------------------------------------------------------------------------------------------------

    def cut(self, a: str, b: str) -> None:
        """Reset every link between two processes, and refuse new ones."""
        self.cuts.add(frozenset((a, b)))
        self.reset(a, b)

    def reset(self, a: str, b: str) -> None:
        """Reset every link between two processes."""
        for wire in list(self._wires.values()):
            if {wire.dialler.name, wire.listener.name} == {a, b}:
                for end in list(wire.open):
                    self._tell_end(wire, end, End(None, "reset by the peer"))
                wire.open.clear()

    def drop(self, name: str, other: str) -> None:
        """Reset one side of every link between two processes; the other side is not told."""
        for wire in list(self.links_between(name, other)):
            process = self.processes[name]
            del wire.open[process]
            self._tell_end(wire, process, End(None, "reset by the peer"))

    def silence(self, a: str, b: str) -> None:
        """From now on nothing arrives; both learn of it by silence only."""
        self.silences.add(frozenset((a, b)))

    def heal(self, a: str | None = None, b: str | None = None) -> None:
        """Let everybody reach everybody again, or just these two; what waited on open links arrives now."""
        chosen = None if a is None or b is None else frozenset((a, b))
        for faults in (self.cuts, self.silences, self.stalls):
            faults.difference_update(list(faults) if chosen is None else [chosen])
        for wire in list(self._wires.values()):
            for receiver in (wire.dialler, wire.listener):
                held = wire.held.pop(receiver, None)
                while held:
                    self._deliver(wire, receiver, held.popleft())

    def is_silent(self, a: Process, b: Process) -> bool:
        return frozenset((a.name, b.name)) in self.silences

    # -- links ---------------------------------------------------------------------------------------------------

    def dial(
        self,
        dialler: Process,
        listener: Process,
        timeout_s: float,
        failed: Callable[[Code | None, str, bool], None],
    ) -> None:
        """Make a link; `failed` is told (refusal, text, proven dead) when there is none."""
        born = dialler.generation
        wait_s = max(self.latency_s, listener.paused_until_s - self.now_s)
        if self.is_silent(dialler, listener) or not listener.host_up or wait_s > timeout_s:
            self.after(timeout_s, lambda: dialler.do(lambda: failed(None, "timed out", False), born))
            return

        def answer() -> None:
            refusal = self.refusals.get((dialler.name, listener.name))
            if not listener.running or frozenset((dialler.name, listener.name)) in self.cuts:
                dialler.do(lambda: failed(None, "refused", True), born)
            elif refusal is not None:
                dialler.do(lambda: failed(refusal, refusal.name.lower(), False), born)
            else:
                wire = Wire(next(self._numbers), dialler, listener)
                wire.open = {dialler: born, listener: listener.generation}
                self._wires[wire.number] = wire
                listener.do(lambda: listener.linked(wire))
                self.after(self.latency_s / 2, lambda: dialler.do(lambda: dialler.linked(wire), born))

        self.after(wait_s, answer)

    def transmit(self, number: int, sender: Process, messages: tuple[Message, ...]) -> None:
        """Put messages on a link; nothing happens where the sender's end is closed."""
        wire = self._wires.get(number)
        if wire is not None and sender in wire.open:
            for message in messages:
                self.on_sent(message)
            self._travel(wire, sender, messages)

    def close_link(self, number: int, by: Process, end: End) -> None:
        wire = self._wires.get(number)
        if wire is not None:
            self.close(wire, by, end)

    def close(self, wire: Wire, by: Process, end: End) -> None:
        """One side ends the link; the other learns of it behind all that was said before."""
        if wire.open.pop(by, None) is not None:
            wire.told.add(by)
            self._travel(wire, by, end)

    def room(self, number: int, process: Process, told: Callable[[], None]) -> None:
        """Tell when there is room for bulk on a link again."""
        wire = self._wires.get(number)
        if wire is None or process not in wire.open:
            return
        if frozenset((wire.dialler.name, wire.listener.name)) not in self.stalls:
            process.later(ROOM_S, told)

    def peer_name(self, number: int, process: Process) -> str:
        """Who is behind a link; nobody where the process has closed it."""
        wire = self._wires.get(number)
        return wire.other(process).name if wire is not None and process in wire.open else ""

    def wires_of(self, process: Process) -> list[Wire]:
        return [wire for wire in list(self._wires.values()) if process in wire.open]

    def links_between(self, a: str, b: str) -> Iterable[Wire]:
        """The links open at both ends between two processes."""
        return (
            wire
            for wire in self._wires.values()
            if {wire.dialler.name, wire.listener.name} == {a, b} and len(wire.open) == 2
        )

    def _travel(self, wire: Wire, sender: Process, what: tuple[Message, ...] | End) -> None:
        receiver = wire.other(sender)

        def arrive() -> None:
            if self.is_silent(sender, receiver) or wire.held.get(receiver):
                wire.held.setdefault(receiver, deque()).append(what)
            else:
                self._deliver(wire, receiver, what)

        self.after(self.latency_s, arrive)

    def _deliver(self, wire: Wire, receiver: Process, what: tuple[Message, ...] | End) -> None:
        born = wire.open.get(receiver)
        if born is None or born != receiver.generation or not receiver.running:
            wire.open.pop(receiver, None)
            if receiver.host_up and receiver not in wire.told and wire.other(receiver) in wire.open:
                other = wire.other(receiver)
                self._tell_end(wire, other, End(None, "reset by the peer"))
                wire.open.pop(other, None)
            if not wire.open:
                self._wires.pop(wire.number, None)
        elif isinstance(what, End):
            wire.open.pop(receiver)
            self._wires.pop(wire.number, None)
            receiver.do(lambda: receiver.ended(wire, what, True), born)
        else:
            receiver.do(lambda: self._hand(wire, receiver, what), born)

    def _hand(self, wire: Wire, receiver: Process, messages: tuple[Message, ...]) -> None:
        """What a link's own connection answers never reaches the machine."""
        for message in messages:
            if isinstance(message, Ping):
                self.transmit(wire.number, receiver, (Pong(message.nonce),))
        rest = tuple(message for message in messages if not isinstance(message, Ping))
        if rest:
            receiver.arrived(wire, rest)
            self.on_heard(receiver, rest)

    def _tell_end(self, wire: Wire, process: Process, end: End) -> None:
        born = process.generation
        self.after(self.latency_s, lambda: process.do(lambda: process.ended(wire, end, True), born))
