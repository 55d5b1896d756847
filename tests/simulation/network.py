"""The network between processes: links as TCP keeps them, on ways that fail.

Rules of this file:

- A link keeps the order and loses nothing but its end: while a way is silent, what was sent waits, and comes when TCP
  tries again. What comes to a closed end is answered by a reset, if that host is up and the way back is open.
- A way leads from one process to another; there and back are two, each with its own delay, clogs and silences. So
  cuts may be one-sided, and links may overtake each other.
- A dial needs both ways. A lost SYN is sent again after 1, 3 and 7 seconds; a host without the process refuses.

Chance comes from each way's own dice, so that a fault more or less changes little elsewhere.
"""

import random
from collections.abc import Iterator

from protocol.errors import Code
from protocol.messages import Message, Ping, Pong
from tests.simulation.links import RESET, Dial, End, Lane, Opened, Segment, Way, Wire
from tests.simulation.loop import Loop
from tests.simulation.process import Process
from tests.simulation.speech import Speech

SYN_AGAIN_S = (1.0, 3.0, 7.0)
RETRANSMIT_S_MAX = 1.0
"""What TCP adds at most to the end of a silence; a link silent for longer is given up."""

HELD_MAX = 4_000
"""Segments that wait for one slow reader; beyond it the sender closes the link, as at OUTBOUND_BYTES_MAX."""

ROOM_S = 0.0002
ROOM_HELD_MAX = 20
"""Bulk finds room while fewer segments than this wait."""


class Network:
    """All ways and links of one run."""

    def __init__(
        self, loop: Loop, seed: str, delays_s: tuple[float, float], jitter_s: float, speech: Speech
    ) -> None:
        """`delays_s` are those within a site and between sites."""
        self._loop = loop
        self._seed = seed
        self._delays_s, self._jitter_s = delays_s, jitter_s
        self._speech = speech
        self._ways: dict[tuple[int, int], Way] = {}
        self._wires: dict[int, Wire] = {}
        self._traps: dict[frozenset[Process], tuple[Process, Process, float, str]] = {}
        self._count = 0

    # -- ways ----------------------------------------------------------------------------------------------------

    def way(self, a: Process, b: Process) -> Way:
        """From `a` to `b`."""
        found = self._ways.get((a.number, b.number))
        if found is None:
            dice = random.Random(f"{self._seed}/{a.name}>{b.name}")
            delay_s = self._delays_s[a.site != b.site]
            found = Way(dice, delay_s * (0.5 + dice.random()), self._jitter_s)
            self._ways[a.number, b.number] = found
        return found

    def silence(self, a: Process, b: Process) -> None:
        """From now on nothing arrives from `a` at `b`."""
        way = self.way(a, b)
        if not way.silent:
            way.silent_since_s = self._loop.now_s

    def refuse(self, a: Process, b: Process) -> None:
        """Reset every link between two processes, and refuse new ones."""
        self.way(a, b).refused = self.way(b, a).refused = True
        self.reset(a, b)

    def heal(self, way: Way) -> None:
        """Everything arrives again; what waited comes when TCP tries again."""
        way.refused = False
        way.clogged_until_s = 0.0
        if way.silent_since_s is None:
            return
        silent_s = self._loop.now_s - way.silent_since_s
        way.silent_since_s = None
        for lane in list(way.lanes.values()):
            self._loop.after(way.dice.random() * min(silent_s, RETRANSMIT_S_MAX), self._release, lane)

    @property
    def flows_s(self) -> float:
        """When the last clog lets go. What is under way then arrives then, healed or not, and all that follows it."""
        return max((way.clogged_until_s for way in self._ways.values()), default=0.0)

    def heal_all(self) -> None:
        """No way fails any more."""
        self._traps.clear()
        for way in self._ways.values():
            self.heal(way)
            way.loss = 0.0

    def heal_between(self, a: Process, b: Process) -> None:
        self.heal(self.way(a, b))
        self.heal(self.way(b, a))

    def set_loss(self, loss: float) -> None:
        """So often a segment is lost on any way that is used by now."""
        for way in self._ways.values():
            way.loss = loss

    def clog(self, a: Process, b: Process, seconds: float) -> None:
        """What leaves within this time arrives after it."""
        way = self.way(a, b)
        way.clogged_until_s = max(way.clogged_until_s, self._loop.now_s + seconds)

    def set_trap(self, a: Process, b: Process, after_s: float, how: str) -> None:
        """So long after the next link of two processes opens, it fails: `reset` at both ends, or `drop` at one."""
        self._traps[frozenset((a, b))] = (a, b, after_s, how)

    def _release(self, lane: Lane) -> None:
        lane.way.lanes.pop(lane.wire.number, None)
        while lane.held and not lane.way.silent:
            self._arrive(lane, lane.held.popleft())
        if lane.held:
            lane.way.lanes[lane.wire.number] = lane
        elif lane.cramped:
            self._make_room(lane)

    # -- dialling ------------------------------------------------------------------------------------------------

    def dial(self, dialler: Process, listener: Process, timeout_s: float) -> None:
        """Make a link: `linked` follows at both ends, or `dial_failed` at the dialler, within its `timeout_s`."""
        dial = Dial(dialler, listener, dialler.generation, self._loop.now_s, timeout_s)
        self._loop.after(timeout_s, self._fail, dial, None, "timed out", False)
        self._knock(dial)

    def _fail(self, dial: Dial, refused: Code | None, text: str, proven_dead: bool) -> None:
        if not dial.done:
            dial.done = True
            if dial.wire is not None:
                dial.wire.open.pop(dial.dialler, None)
            dial.dialler.do(dial.born, dial.dialler.dial_failed, dial.listener, refused, text, proven_dead)

    def _knock(self, dial: Dial) -> None:
        if dial.done or dial.dialler.generation != dial.born or not dial.dialler.running:
            return
        there, back = self.way(dial.dialler, dial.listener), self.way(dial.listener, dial.dialler)
        if there.silent or back.silent or not dial.listener.host_up:
            if dial.tries < len(SYN_AGAIN_S):
                self._loop.at(dial.began_s + SYN_AGAIN_S[dial.tries], self._knock, dial)
                dial.tries += 1
            return
        trip_s = there.arrival_s(self._loop.now_s) + back.arrival_s(self._loop.now_s) - 2 * self._loop.now_s
        if not dial.listener.running or there.refused:
            self._loop.after(trip_s, self._fail, dial, None, "refused", True)
        elif dial.listener.paused:  # its kernel answers, and nobody shakes hands
            self._loop.at(dial.listener.paused_until_s, self._knock, dial)
        else:
            self._loop.after(1.5 * trip_s, self._shake_hands, dial)

    def _shake_hands(self, dial: Dial) -> None:
        """The listener has the dialler's proof: for it the link is open."""
        there = self.way(dial.dialler, dial.listener)
        if dial.done or dial.dialler.generation != dial.born or not dial.dialler.running:
            return
        if there.silent or not dial.listener.running or dial.listener.paused:
            self._knock(dial)
            return
        self._count += 1
        wire = Wire(self._count, dial.dialler, dial.listener, dial)
        wire.open = {dial.dialler: dial.born, dial.listener: dial.listener.generation}
        for sender in (dial.dialler, dial.listener):
            wire.lanes[sender] = Lane(wire, sender, wire.other(sender), self.way(sender, wire.other(sender)))
        self._wires[wire.number] = wire
        self._speech.shake_hands(dial.dialler, dial.listener)
        dial.wire = wire
        self._travel(wire.lanes[dial.listener], Opened())
        trap = self._traps.pop(frozenset((dial.dialler, dial.listener)), None)
        if trap is not None:
            a, b, after_s, how = trap
            self._loop.after(after_s, self.reset if how == "reset" else self.drop, a, b)
        dial.listener.do(dial.listener.generation, dial.listener.linked, wire)

    # -- saying --------------------------------------------------------------------------------------------------

    def transmit(self, number: int, sender: Process, message: Message) -> None:
        """Say something on a link, at the end of this step; nothing happens where the sender's end is closed."""
        wire = self._wires.get(number)
        if wire is None or sender not in wire.open:
            return
        lane = wire.lanes[sender]
        if not lane.pending:
            sender.dirty.append(lane)
        lane.pending.append(message)

    def flush(self, sender: Process) -> None:
        """Let leave what was said in one step."""
        lanes, sender.dirty = sender.dirty, []
        for lane in lanes:
            said, lane.pending = lane.pending, []
            if said:
                self._travel(lane, self._speech.say(sender, said))

    def close(self, number: int, by: Process, end: End) -> None:
        """One side ends the link; the other learns of it behind all that was said before."""
        wire = self._wires.get(number)
        if wire is None or by not in wire.open:
            return
        lane = wire.lanes[by]
        if lane.pending:
            said, lane.pending = lane.pending, []
            self._travel(lane, self._speech.say(by, said))
        del wire.open[by]
        wire.parted.add(by)
        self._travel(lane, end)

    def abandon(self, process: Process, *, silently: bool) -> None:
        """A process is gone: its ends close by themselves, or with its host's power, without a word."""
        for wire in self._wires_of(process):
            if silently:
                del wire.open[process]
                wire.lanes[wire.other(process)].held.clear()
            else:
                self.close(wire.number, process, End(None, "closed without a farewell"))

    def reset(self, a: Process, b: Process) -> None:
        """Reset every link between two processes, both told."""
        for wire in self._between(a, b):
            for end in list(wire.open):
                self._tell_reset(wire, end)

    def drop(self, process: Process, other: Process) -> None:
        """One side loses its links with another, which is not told: they are half open."""
        for wire in self._between(process, other):
            if process in wire.open:
                self._tell_reset(wire, process)

    def room(self, number: int, process: Process) -> None:
        """Tell a process (`drained`) when there is room for bulk on its link."""
        wire = self._wires.get(number)
        if wire is None or process not in wire.open:
            return
        lane = wire.lanes[process]
        lane.cramped = True
        if len(lane.held) + len(lane.unread) < ROOM_HELD_MAX:
            self._make_room(lane)

    def peer(self, number: int, process: Process) -> Process | None:
        """Who is behind a link; nobody where the process has closed it."""
        wire = self._wires.get(number)
        return wire.other(process) if wire is not None and process in wire.open else None

    @property
    def half_open(self) -> bool:
        """Whether some link is open at one end only, which does not know yet, or hears of it right now."""
        return any(len(wire.open) == 1 for wire in self._wires.values())

    def _wires_of(self, process: Process) -> list[Wire]:
        return [wire for wire in list(self._wires.values()) if process in wire.open]

    def _between(self, a: Process, b: Process) -> Iterator[Wire]:
        return iter([wire for wire in self._wires.values() if {wire.dialler, wire.listener} == {a, b}])

    def _make_room(self, lane: Lane) -> None:
        lane.cramped = False
        lane.sender.later(ROOM_S, lane.sender.drained, lane.wire.number)

    # -- arriving ------------------------------------------------------------------------------------------------

    def _travel(self, lane: Lane, segment: Segment) -> None:
        lane.last_s = max(lane.last_s, lane.way.arrival_s(self._loop.now_s))
        self._loop.at(lane.last_s, self._reach, lane, segment)

    def _reach(self, lane: Lane, segment: Segment) -> None:
        """A segment comes to the end of its way, or waits before it."""
        if not lane.way.silent and not lane.held:
            self._arrive(lane, segment)
            return
        lane.held.append(segment)
        lane.way.lanes[lane.wire.number] = lane
        if len(lane.held) > HELD_MAX and lane.sender in lane.wire.open:
            del lane.wire.open[lane.sender]
            end = End(Code.SLOW_READER, "what waited for the peer passed its bound")
            lane.sender.do(lane.sender.generation, lane.sender.ended, lane.wire, end, False)

    def _arrive(self, lane: Lane, segment: Segment) -> None:
        wire, receiver = lane.wire, lane.receiver
        born = wire.open.get(receiver)
        if born is None or born != receiver.generation or not receiver.running:
            wire.open.pop(receiver, None)
            if receiver.host_up and receiver not in wire.parted and wire.other(receiver) in wire.open:
                self._loop.after(lane.way.delay_s, self._reset_back, wire, wire.other(receiver))
            if not wire.open:
                self._wires.pop(wire.number, None)
        elif isinstance(segment, Opened):
            wire.dial.done = True
            receiver.do(born, receiver.linked, wire)
        elif isinstance(segment, End):
            del wire.open[receiver]
            self._wires.pop(wire.number, None)
            self._read(lane, born)
            receiver.do(born, receiver.ended, wire, segment, True)
        elif receiver.reads_every_s:
            lane.unread += segment
            if len(lane.unread) == len(segment):
                self._loop.after(receiver.reads_every_s, self._read, lane, born)
        else:
            lane.unread += segment
            self._read(lane, born)

    def _read(self, lane: Lane, born: int) -> None:
        """The receiver takes out of its buffer what is there, in one piece."""
        segments, lane.unread = lane.unread, []
        if segments:
            lane.receiver.do(born, self._hand, lane, segments)
            if lane.cramped:
                self._make_room(lane)

    def _hand(self, lane: Lane, segments: list[Message | bytes]) -> None:
        """What a link's own connection answers never reaches the machine."""
        messages, replies = self._speech.hear(segments)
        rest = []
        for message in messages:
            if isinstance(message, Ping):
                replies.append(Pong(message.nonce))
            else:
                rest.append(message)
        for reply in replies:
            self.transmit(lane.wire.number, lane.receiver, reply)
        self._loop.note(lane.receiver.number, *(message.number for message in rest))
        if rest:
            lane.receiver.arrived(lane.wire, tuple(rest))

    def _reset_back(self, wire: Wire, end: Process) -> None:
        if not self.way(wire.other(end), end).silent:
            self._tell_reset(wire, end)

    def _tell_reset(self, wire: Wire, end: Process) -> None:
        born = wire.open.pop(end, None)
        if born is not None:
            end.do(born, end.ended, wire, RESET, True)
