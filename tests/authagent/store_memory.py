"""A table that is only a list of payloads, and what the tests of the store say to it."""

import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import trio

from authagent.store import Store, open_store
from protocol.io.log import Log, Severity

TIMEOUT_S = 10.0


async def until(condition: Callable[[], object], timeout_s: float = TIMEOUT_S) -> None:
    """Wait for a condition that another thread brings about."""
    with trio.fail_after(timeout_s):
        while not condition():
            await trio.sleep(0.002)


class Memory:
    """Merges by appending; remembers what was reported as stored and what was logged."""

    def __init__(self) -> None:
        self.payloads: list[bytes] = []
        self.stored: list[int] = []
        self.lines: list[tuple[str, Mapping[str, object]]] = []
        self.log = Log(self._line, level=2, monotonic_s=time.monotonic)

    def _line(self, severity: Severity, event: str, values: Mapping[str, object]) -> None:
        self.lines.append((event, values))

    def events(self) -> list[str]:
        """The names of the lines that were logged."""
        return [event for event, _ in self.lines]

    def slices(self) -> Iterator[bytes]:
        """Everything, lazily, with what is added meanwhile left out."""
        for index in range(len(self.payloads)):
            yield self.payloads[index]

    def add(self, store: Store, payload: bytes) -> int:
        """Merge and write one payload; its position."""
        self.payloads.append(payload)
        store.write(len(self.payloads), payload)
        return len(self.payloads)

    @asynccontextmanager
    async def opened(
        self, nursery: trio.Nursery, folder: Path, *, site: str = "lan1", id: str = "1", load: bool = True
    ) -> AsyncIterator[Store]:
        """The store of `folder`, with what it held merged into this memory."""
        async with open_store(
            nursery,
            folder,
            site=site,
            id=id,
            slices=self.slices,
            stored=self.stored.append,
            log=self.log,
            wall_ms=lambda: 1_767_225_600_000,
        ) as store:
            if load:
                async for payload in store.load():
                    self.payloads.append(payload)
            yield store


async def content(folder: Path) -> set[bytes]:
    """What a store opened in `folder` would load; asserts that it is whole."""
    memory = Memory()
    async with trio.open_nursery() as nursery, memory.opened(nursery, folder) as store:
        assert store.status.ok, store.status
    return set(memory.payloads)


async def fill(folder: Path, count: int, size: int = 3_000) -> list[bytes]:
    """Store `count` payloads, one row each, and close."""
    memory = Memory()
    async with trio.open_nursery() as nursery, memory.opened(nursery, folder) as store:
        for number in range(count):
            position = memory.add(store, number.to_bytes(4, "big") * (size // 4))
            await until(lambda position=position: memory.stored[-1:] == [position])
    return memory.payloads
