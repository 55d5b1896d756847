"""Links without sockets: a transport in memory that keeps trio's virtual clock, and can be made to misbehave."""

import trio

from protocol.io.accept import accept
from protocol.io.dial import open_link
from protocol.io.link import Link
from protocol.io.tls import Tls
from tests.shell.links import admit_all
from tests.wire.pair import AGENT, LINE, PROXY


class MemoryTransport:
    """One end of a pipe. `room` is how much the other end may leave unread; `fault` is raised by the next send or
    receive instead of doing it."""

    def __init__(self, host: str = "10.0.0.1", room: int = 64 * 1024) -> None:
        self.host = host
        self.address = f"{host}:4711"
        self.room = room
        self.fault: OSError | None = None
        self.patience_s = 0.0
        self.closed = False
        self._other = self
        self._unread = bytearray()
        self._finished = False
        self._readers = trio.lowlevel.ParkingLot()
        self._writers = trio.lowlevel.ParkingLot()
        self._woken = 0

    async def wait_readable(self) -> None:
        await self._wait(self._readers, lambda: bool(self._unread) or self._finished or self.fault is not None)

    async def wait_writable(self) -> None:
        other = self._other
        await self._wait(self._writers, lambda: len(other._unread) < other.room or other.closed)

    async def _wait(self, lot: trio.lowlevel.ParkingLot, ready: object) -> None:
        assert callable(ready)
        await trio.lowlevel.checkpoint()
        woken = self._woken
        while not ready():
            if self.closed or self._woken != woken:
                raise trio.ClosedResourceError
            await lot.park()

    def receive_into(self, buffer: memoryview) -> int | None:
        if self.fault is not None:
            raise self.fault
        count = min(len(buffer), len(self._unread))
        buffer[:count] = self._unread[:count]
        del self._unread[:count]
        self._other._writers.unpark_all()
        return count if count or self._finished else None

    def send(self, data: bytes | memoryview) -> int:
        if self.fault is not None:
            raise self.fault
        other = self._other
        if other.closed or other._finished:
            raise BrokenPipeError
        count = min(len(data), other.room - len(other._unread))
        other._unread += data[:count]
        other._readers.unpark_all()
        return count

    def finish(self) -> None:
        self._other._finished = True
        self._other._readers.unpark_all()

    def wake(self) -> None:
        self._woken += 1
        self._readers.unpark_all()
        self._writers.unpark_all()

    def set_patience(self, seconds: float) -> None:
        self.patience_s = seconds

    def break_with(self, fault: OSError) -> None:
        """From now on the network fails with this."""
        self.fault = fault
        self._readers.unpark_all()

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            self.finish()
            self.wake()
            self._other._writers.unpark_all()


def pipe(room: int = 64 * 1024) -> tuple[MemoryTransport, MemoryTransport]:
    """Both ends."""
    near, far = MemoryTransport("10.0.0.1", room), MemoryTransport("10.0.0.2", room)
    near._other, far._other = far, near
    return near, far


async def link_over(near: MemoryTransport, far: MemoryTransport, tls: Tls | None = None) -> tuple[Link, Link]:
    """The dialler's link and the listener's, over this pipe."""
    links: dict[str, Link] = {}

    async def listen() -> None:
        links["theirs"] = await accept(far, AGENT, tls, admit_all)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(listen)
        links["ours"] = await open_link(near, PROXY, LINE.encode(), tls)
    return links["ours"], links["theirs"]
