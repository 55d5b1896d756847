"""The peer: a real Redis master, one replica and three Sentinels, on free loopback ports, and workers that use them.

As its users run it for this job: no snapshots and no append-only file, so that nothing is written to disk, which
favours the peer; redis-py with hiredis.
"""

import contextlib
import functools
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import redis

from tests.benchmark.children import Child, RowFailed, all_ended, worker
from tests.ports import free_port

MASTER_NAME = "sessions"
DOWN_AFTER_MS = 1_000

_SENTINEL = """\
port {port}
bind 127.0.0.1
dir {folder}
sentinel monitor {name} 127.0.0.1 {master} 2
sentinel down-after-milliseconds {name} {down_after_ms}
sentinel failover-timeout {name} 10000
sentinel parallel-syncs {name} 1
"""


@attrs.define
class RedisFarm:
    """The servers; `servers` maps a port to its process, the first is the master at start."""

    folder: Path
    children: list[Child]
    ports: list[int]
    sentinel_ports: list[int] = attrs.field(factory=list)
    servers: dict[int, Child] = attrs.field(factory=dict)

    @property
    def master_port(self) -> int:
        """Where the master was started."""
        return self.ports[0]

    def start_server(self, port: int, replica_of: int | None = None) -> Child:
        """Start one redis-server and wait until it answers."""
        command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        command += ["--dir", str(self.folder), "--dbfilename", f"{port}.rdb", "--repl-diskless-sync-delay", "0"]
        command += ["--maxclients", "4000", *(["--replicaof", "127.0.0.1", str(replica_of)] if replica_of else [])]
        child = Child(f"redis-{port}", command, self.folder)
        self.children.append(child)
        self.servers[port] = child
        wait_for(lambda: redis.Redis(port=port).ping(), f"redis on port {port} answers")
        return child

    def start_sentinels(self) -> None:
        """Start three Sentinels and wait until they know each other and the replica."""
        for _ in range(3):
            port = free_port()
            path = self.folder / f"sentinel-{port}.conf"
            text = _SENTINEL.format(
                port=port, folder=self.folder, name=MASTER_NAME, master=self.master_port, down_after_ms=DOWN_AFTER_MS
            )
            path.write_text(text)
            program = shutil.which("redis-sentinel")
            command = [program, str(path)] if program else ["redis-server", str(path), "--sentinel"]
            self.children.append(Child(f"sentinel-{port}", command, self.folder))
            self.sentinel_ports.append(port)
        for port in self.sentinel_ports:
            ready = functools.partial(_knows_all, port)
            wait_for(ready, f"the Sentinel on port {port} knows the others", 30.0)

    def worker(self, name: str) -> Child:
        """A process of the peer's job, see tests.benchmark.peer_worker."""
        child = worker(name, "tests.benchmark.peer_worker", self.folder, str(self.master_port))
        self.children.append(child)
        return child


def _knows_all(port: int) -> bool:
    state: Any = redis.Redis(port=port).sentinel_master(MASTER_NAME)
    return bool(state["num-other-sentinels"] == 2 and state["num-slaves"] >= 1)


def wait_for(holds: Callable[[], object], what: str, within_s: float = 10.0) -> float:
    """Wait until `holds` is true, taking refused connections for no; returns the seconds it took."""
    began = time.monotonic()
    while True:
        with contextlib.suppress(redis.RedisError, OSError, KeyError):
            if holds():
                return time.monotonic() - began
        if time.monotonic() - began > within_s:
            raise RowFailed(f"{what}: not within {within_s:g} s")
        time.sleep(0.005)


@contextlib.contextmanager
def open_redis(folder: Path, *, replica: bool = True, sentinels: bool = False) -> Iterator[RedisFarm]:
    """A master, by default with a replica that is in step, on request with Sentinels."""
    if not shutil.which("redis-server"):
        raise RowFailed("redis-server is not installed (Debian: apt install redis-server redis-sentinel)")
    children: list[Child] = []
    with all_ended(children):
        farm = RedisFarm(folder, children, [free_port(), free_port()])
        farm.start_server(farm.ports[0])
        if replica:
            farm.start_server(farm.ports[1], replica_of=farm.ports[0])
            client = redis.Redis(port=farm.ports[0])
            wait_for(lambda: client.wait(1, 100) == 1, "the replica is in step")
        if sentinels:
            farm.start_sentinels()
        yield farm
