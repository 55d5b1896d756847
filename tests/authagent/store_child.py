"""A process that writes to a store until it is killed, or until its files may not grow any more.

`python -m tests.authagent.store_child write FOLDER`: prints `stored N` for each position that was reported.
`python -m tests.authagent.store_child limit FOLDER`: prints one JSON object about a limit on file size, met and lifted.
"""

import json
import resource
import sys
from pathlib import Path

import trio

from authagent.store import Store
from tests.authagent.store_memory import Memory, until


def payload_of(run: int, number: int) -> bytes:
    """A payload that tells which it is, of a length that varies."""
    return f"{run}:{number};".encode() * (1 + number % 300)


async def write(folder: Path) -> None:
    """Write for ever. Each payload carries how many there were at the start, so that runs do not look alike."""
    memory = Memory()
    async with trio.open_nursery() as nursery, memory.opened(nursery, folder) as store:
        run = len(memory.payloads)
        print("run", run, flush=True)
        number = told = 0
        while True:
            for _ in range(20):
                memory.payloads.append(payload_of(run, number))
                store.write(number, memory.payloads[-1])
                number += 1
            await trio.sleep(0.0005)
            while told < len(memory.stored):
                print("stored", memory.stored[told], flush=True)
                told += 1
            if number % 2_000 == 0:
                nursery.start_soon(store.compact)


async def _write_until_broken(memory: Memory, store: Store) -> None:
    while store.status.ok:
        memory.add(store, b"x" * 20_000)
        await trio.sleep(0.001)


async def limit(folder: Path) -> None:
    """Meet a limit on file size, go on from memory, and recover when it is lifted."""
    memory = Memory()
    async with trio.open_nursery() as nursery, memory.opened(nursery, folder) as store:
        resource.setrlimit(resource.RLIMIT_FSIZE, (600_000, resource.RLIM_INFINITY))
        await _write_until_broken(memory, store)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))  # else a smaller copy might fit
        error, stored_when_broken = store.status.error, memory.stored[-1]
        memory.add(store, b"while broken")
        await trio.sleep(0.05)
        stored_while_broken = memory.stored[-1]
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        await until(lambda: store.status.ok)
        result = {
            "error": error,
            "stored_when_broken": stored_when_broken,
            "stored_while_broken": stored_while_broken,
            "stored_at_end": memory.stored[-1],
            "written": len(memory.payloads),
            "events": memory.events(),
        }
    print(json.dumps(result), flush=True)


if __name__ == "__main__":
    trio.run({"write": write, "limit": limit}[sys.argv[1]], Path(sys.argv[2]))
