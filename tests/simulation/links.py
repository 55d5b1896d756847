"""What a network is made of: ways, and the links on them, each with its two lanes and its two ends.

Rules of this file: facts only. What happens to them decides network.py.
"""

import random
from collections import deque
from typing import TypeAlias

import attrs

from protocol.errors import Code
from protocol.messages import Message
from tests.simulation.process import Process

RETRANSMIT_S = 0.2
"""What TCP adds to a lost segment."""


@attrs.frozen
class End:
    """The last that travels on a link: a farewell, or with `code` None the end of the stream."""

    code: Code | None
    text: str
    elsewhere: str = ""


@attrs.frozen
class Opened:
    """The first that travels: the listener has taken the dialler in."""


Segment: TypeAlias = tuple[Message | bytes, ...] | End | Opened

RESET = End(None, "reset by the peer")


@attrs.define(eq=False)
class Way:
    """From one process to another. `silent_since_s` None means open."""

    dice: random.Random
    delay_s: float
    jitter_s: float
    loss: float = 0.0
    silent_since_s: float | None = None
    clogged_until_s: float = 0.0
    refused: bool = False  # dials are answered by a reset
    lanes: dict[int, "Lane"] = attrs.field(factory=dict)  # on which something is held

    @property
    def silent(self) -> bool:
        return self.silent_since_s is not None

    def arrival_s(self, now_s: float) -> float:
        """When a segment that leaves now is there, clogs and losses counted in."""
        delay_s = self.delay_s
        if self.jitter_s:
            delay_s += self.dice.random() * self.jitter_s
        if self.loss:
            while self.dice.random() < self.loss:
                delay_s += RETRANSMIT_S
        return max(now_s, self.clogged_until_s) + delay_s


@attrs.define(eq=False)
class Lane:
    """One direction of one link."""

    wire: "Wire"
    sender: Process
    receiver: Process
    way: Way
    last_s: float = 0.0
    pending: list[Message] = attrs.field(factory=list)  # said in this step
    held: deque[Segment] = attrs.field(factory=deque)  # by a silence
    unread: list[Message | bytes] = attrs.field(factory=list)  # by a slow reader
    cramped: bool = False  # somebody waits for room


@attrs.define(eq=False)
class Wire:
    """One link between two processes: `open` holds the ends that are open, each with the generation it belongs to."""

    number: int
    dialler: Process
    listener: Process
    dial: "Dial"
    open: dict[Process, int] = attrs.field(factory=dict)
    lanes: dict[Process, Lane] = attrs.field(factory=dict)  # by sender
    parted: set[Process] = attrs.field(factory=set)  # who closed in order: its end is on its way

    def other(self, end: Process) -> Process:
        return self.listener if end is self.dialler else self.dialler


@attrs.define(eq=False)
class Dial:
    """An attempt to link; `done` once either side knows how it ended."""

    dialler: Process
    listener: Process
    born: int
    began_s: float
    timeout_s: float
    tries: int = 0
    done: bool = False
    wire: Wire | None = None  # once the listener has its proof
