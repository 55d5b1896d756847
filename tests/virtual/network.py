"""Streams in memory between named nodes: with a latency, silent while cut, reset when a node dies.

Rules of this file:

- Bytes arrive in order, after the latency, while the way is open; what was sent into a silence arrives when it ends.
- A node that dies takes its streams with it: what it sent last is lost, and the other ends are reset. It can say no
  farewell: whatever its tasks still do while they end goes nowhere.
- Streams that a silence outlasts are not told; that is the business of those who use them.
"""

import math
import random
from collections import deque
from collections.abc import Iterator
from functools import partial

import attrs
import trio

from protocol.io.link import LinkFailed
from protocol.io.transport import Transport
from tests.shell.memory import MemoryTransport

ROOM_BYTES = 1 << 40
"""Readers here are never slow; tests/shell/test_link.py has those that are."""

LATENCY_S = 0.0005


class Stream(MemoryTransport):
    """One end. What is sent is on its way for a while."""

    def __init__(self, network: "Network", node: str, other: str) -> None:
        super().__init__("127.0.0.1", ROOM_BYTES)
        self.address = f"{other}:4711"
        self.node = node
        self.dead = False
        self._network = network
        self._sent: deque[tuple[float, bytes | None]] = deque()
        self._news = trio.Event()

    def send(self, data: bytes | memoryview) -> int:
        if self.dead:
            return len(data)
        if self.fault is not None:
            raise self.fault
        if self._other.closed:
            raise BrokenPipeError
        self._put(bytes(data))
        return len(data)

    def finish(self) -> None:
        if not self.dead:
            self._put(None)

    def end_of(self) -> "Stream":
        """The other end."""
        assert isinstance(self._other, Stream)
        return self._other

    def _put(self, data: bytes | None) -> None:
        self._sent.append((trio.current_time() + self._network.latency_s, data))
        self._news.set()

    async def carry(self) -> None:
        """Bring what this end sends to the other, until the end of it."""
        while True:
            while not self._sent:
                self._news = trio.Event()
                await self._news.wait()
            due_s, data = self._sent[0]
            await trio.sleep_until(due_s)
            await self._network.passable(self.node, self.end_of().node)
            if self.dead or self.fault is not None:
                return
            self._sent.popleft()
            if data is None:
                super().finish()
                return
            if self._other.closed:
                self.reset()
                return
            self.end_of().take(data)

    def take(self, data: bytes) -> None:
        """Bytes have arrived here."""
        self._unread += data
        self._readers.unpark_all()

    def die(self) -> None:
        """The process of this end is gone."""
        self.dead = True
        self._sent.clear()

    def reset(self) -> None:
        """The network tells this end that the other is gone."""
        self.break_with(ConnectionResetError("reset"))


@attrs.define(eq=False)
class Door:
    """Where one node listens."""

    node: str
    _coming: trio.MemorySendChannel[Stream]
    _come: trio.MemoryReceiveChannel[Stream]
    open: bool = True

    async def accept(self) -> Transport:
        return await self._come.receive()

    async def aclose(self) -> None:
        self.open = False
        await trio.lowlevel.checkpoint()

    def knock(self, stream: Stream) -> None:
        """Somebody comes."""
        self._coming.send_nowait(stream)


class Network:
    """All nodes. `serve` runs it; ports name the nodes that listen."""

    def __init__(self, dice: random.Random, latency_s: float = LATENCY_S) -> None:
        self.dice = dice
        self.latency_s = latency_s
        self._doors: dict[int, Door] = {}
        self._streams: list[Stream] = []
        self._silent: dict[tuple[str, str], int] = {}
        self._changed = trio.Event()
        self._nursery: trio.Nursery

    async def serve(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Carry bytes until cancelled."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            task_status.started()
            await trio.sleep_forever()

    # -- for shells ------------------------------------------------------------------------------------------------

    async def connect(self, node: str, host: str, port: int) -> Transport:
        """A stream from `node` to whoever listens at `port`. Raises LinkFailed."""
        door = self._doors.get(port)
        there = "" if door is None else door.node
        await trio.sleep(2 * self.latency_s)
        await self.passable(node, there)
        await self.passable(there, node)
        if door is None or not door.open or self._doors.get(port) is not door:
            raise LinkFailed("refused", f"{host}:{port}: connection refused; nothing listens there")
        near, far = Stream(self, node, there), Stream(self, there, node)
        near._other, far._other = far, near
        self._streams = [each for each in self._streams if not (each.closed and each.end_of().closed)] + [near, far]
        self._nursery.start_soon(near.carry)
        self._nursery.start_soon(far.carry)
        door.knock(far)
        return near

    async def listen(self, node: str, host: str, port: int) -> list[Door]:
        """The door of `node`."""
        await trio.lowlevel.checkpoint()
        door = Door(node, *trio.open_memory_channel[Stream](math.inf))
        self._doors[port] = door
        return [door]

    async def passable(self, sender: str, receiver: str) -> None:
        """Wait until what `sender` sends reaches `receiver`."""
        await trio.lowlevel.checkpoint()
        while self._silent.get((sender, receiver)):
            await self._changed.wait()

    # -- for histories ---------------------------------------------------------------------------------------------

    def silence(self, sender: str, receiver: str) -> None:
        """Nothing of `sender` reaches `receiver` any more."""
        self._silent[sender, receiver] = self._silent.get((sender, receiver), 0) + 1

    def heal(self, sender: str, receiver: str) -> None:
        """Take one such silence back."""
        self._silent[sender, receiver] -= 1
        self._changed.set()
        self._changed = trio.Event()

    def reset(self, one: str, other: str) -> None:
        """Every stream between two nodes is reset at both ends."""
        for stream in self._between({one, other}):
            stream.reset()

    def die(self, node: str) -> None:
        """The process of a node is gone: nobody listens there, and after the latency all its peers are told."""
        for port, door in list(self._doors.items()):
            if door.node == node:
                del self._doors[port]
        for stream in self._streams:
            if stream.node == node and not stream.dead:
                stream.die()
                self._nursery.start_soon(partial(self._tell, stream))

    async def _tell(self, dead: Stream) -> None:
        await trio.sleep(self.latency_s)
        await self.passable(dead.node, dead.end_of().node)
        dead.end_of().reset()

    def _between(self, nodes: set[str]) -> Iterator[Stream]:
        return (each for each in self._streams if {each.node, each.end_of().node} == nodes)
