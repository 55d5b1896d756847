"""Links between processes as values: who dialled whom, what is under way in each direction, what is silent.

Rules of this file:

- A link keeps its order and loses nothing but its end; while a way is silent, what was sent waits.
- What comes to a closed end is answered by a reset. Of heartbeats that wait together only the last counts.
- Nothing here knows what a process does with what arrives; that is world.py's.
"""

from typing import Any

import attrs

from protocol.errors import Code
from protocol.messages import Acknowledgement, Heartbeat, Message


@attrs.frozen
class Disk:
    """What an agent has on stable storage; `lost` counts how often it was lost."""

    payloads: tuple[bytes, ...] = ()
    term: int = 0
    lost: int = 0


@attrs.frozen
class Ended:
    """The last that comes on a way."""

    code: Code | None
    text: str
    elsewhere: str = ""


@attrs.frozen
class Link:
    """One link: who dialled whom, and whose ends are open, each as it ran then."""

    dialler: str
    listener: str
    open: tuple[tuple[str, int], ...]

    def other(self, name: str) -> str:
        return self.listener if name == self.dialler else self.dialler


@attrs.frozen
class Way:
    """One direction of a link: messages, and perhaps its end; acknowledgements with the disks of those who counted."""

    link: int
    receiver: str
    items: tuple[Any, ...] = ()


@attrs.define
class Network:
    """The links of one state."""

    now_ms: int = 0
    frozen: dict[str, bytes] = attrs.field(factory=dict)  # who runs
    generations: dict[str, int] = attrs.field(factory=dict)
    disks: dict[str, Disk] = attrs.field(factory=dict)
    links: dict[int, Link] = attrs.field(factory=dict)
    ways: dict[tuple[int, str], Way] = attrs.field(factory=dict)
    dials: tuple[tuple[int, str, str], ...] = ()  # that nobody answers: until when, who, whom
    silences: frozenset[frozenset[str]] = frozenset()
    links_made: int = 0

    def _silent(self, number: int) -> bool:
        link = self.links.get(number)
        return link is not None and frozenset((link.dialler, link.listener)) in self.silences

    def _transmit(self, number: int, sender: str, message: Message) -> None:
        link = self.links.get(number)
        if link is None or sender not in dict(link.open):
            return
        receiver = link.other(sender)
        way = self.ways.get((number, receiver))
        if way is None:  # nobody is there any more: what comes back is a reset
            own = self.ways[number, sender]
            if not any(isinstance(each, Ended) for each in own.items):
                self.ways[number, sender] = attrs.evolve(own, items=(*own.items, Ended(None, "reset by the peer")))
            return
        item: Any = message
        if isinstance(message, Acknowledgement):  # it claims what is so when it is sent
            item = (message, tuple((f"a{agent}", self.disks[f"a{agent}"].lost) for agent in message.counted))
        items = way.items
        if isinstance(message, Heartbeat) and items and isinstance(items[-1], Heartbeat):
            items = items[:-1]  # of heartbeats that wait together only the last counts
        self.ways[number, receiver] = attrs.evolve(way, items=(*items, item))

    def _close(self, number: int, by: str, end: Ended) -> None:
        link = self.links.get(number)
        if link is None or by not in dict(link.open):
            return
        left = tuple(each for each in link.open if each[0] != by)
        self.ways.pop((number, by), None)
        if not left:
            self._forget(number)
            return
        self.links[number] = attrs.evolve(link, open=left)
        way = self.ways[number, left[0][0]]
        self.ways[number, left[0][0]] = attrs.evolve(way, items=(*way.items, end))

    def _forget(self, number: int) -> None:
        link = self.links.pop(number)
        for name in (link.dialler, link.listener):
            self.ways.pop((number, name), None)

    def _dial(self, dialler: str, listener: str, timeout_s: float) -> None:
        if frozenset((dialler, listener)) in self.silences:
            self.dials = (*self.dials, (self.now_ms + int(timeout_s * 1000), dialler, listener))
        elif listener not in self.frozen:
            self.dials = (*self.dials, (self.now_ms, dialler, listener))
        else:
            self.links_made += 1
            number = self.links_made
            ends = tuple((name, self.generations[name]) for name in (dialler, listener))
            self.links[number] = Link(dialler, listener, ends)
            for name in (dialler, listener):
                self.ways[number, name] = Way(number, name, ("linked",))


def shown(item: Any) -> str:
    """An item of a way for the key: times aside, which heartbeats are full of."""
    return "Heartbeat" if isinstance(item, Heartbeat) else repr(item)
