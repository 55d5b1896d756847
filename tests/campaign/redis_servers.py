"""Redis with Sentinels: one master, its replicas, and a Sentinel beside each.

Rules of this file:

- Configured as an operator would who means it, and in doubt in favour of Redis: an append-only file (everysec), links
  between servers that notice a loss after 5 s instead of 60, Sentinels that act after 1 s and may act again after 6.
- Three servers refuse writes without a replica (min-replicas-to-write 1), as the manual advises. Two do not: each loss
  of a server would stop all logins. In both cases a login counts only when WAIT says that a replica has it.
- Their clocks stay right: libfaketime does not run under Redis (its allocator reads the clock first).
- They are asked through Unix sockets, which no namespace keeps apart.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import redis
import trio

from tests.campaign.redis_client import MASTER_NAME, SENTINEL_PORT
from tests.system.crew import Crew, Server, make_proxies
from tests.system.ground import Ground
from tests.system.processes import Process

PORT = 6379
ASK_WITHIN_S = 1.0
REPLICA_LAG_S_MAX = 10

_SERVER = """\
bind 0.0.0.0
port {port}
protected-mode no
unixsocket {socket}
dir {disk}
save ""
appendonly yes
appendfsync everysec
repl-diskless-sync-delay 0
repl-ping-replica-period 1
repl-timeout 5
maxclients 4000
{more}"""

_SENTINEL = """\
bind 0.0.0.0
port {port}
protected-mode no
unixsocket {socket}
dir {folder}
sentinel monitor {name} {master} {master_port} {quorum}
sentinel down-after-milliseconds {name} 1000
sentinel failover-timeout {name} 3000
sentinel parallel-syncs {name} 1
"""


@attrs.define
class RedisCrew(Crew):
    """The servers of one master name."""

    async def settled(self, *, equal: bool = True) -> object:
        return await trio.to_thread.run_sync(self._settled, equal)

    async def serving(self) -> str:
        return await trio.to_thread.run_sync(self._serving)

    def _serving(self) -> str:
        masters = {self._master_of(name) for name in self.servers} - {""}
        return masters.pop() if len(masters) == 1 else ""

    def _settled(self, equal: bool) -> object:
        masters = {name: self._master_of(name) for name in self.servers}
        if len(set(masters.values())) != 1 or "" in masters.values():
            return f"masters by Sentinel {masters}"
        said = _asked(self._socket("server", masters.popitem()[1]), lambda server: server.info("replication"))
        if said.get("role") != "master":
            return f"the master says {said}"
        replicas = [said.get(f"slave{number}", {}) for number in range(len(self.servers) - 1)]
        if not all(replica.get("state") == "online" for replica in replicas):
            return f"replicas {replicas}"
        sizes = {str(_asked(self._socket("server", name), lambda each: each.dbsize())) for name in self.servers}
        if equal and len(sizes) != 1:
            return f"keys {sizes}"
        return next((f"the Sentinel of {name} misses somebody" for name in self.servers if not self._sees(name)), True)

    def _sees(self, name: str) -> bool:
        """Whether the Sentinel of a server knows all others, and all replicas to be up."""
        path, others = self._socket("sentinel", name), len(self.servers) - 1
        known = _asked(path, lambda sentinel: sentinel.sentinel_master(MASTER_NAME)).get("num-other-sentinels")
        seen = _asked(path, lambda sentinel: sentinel.sentinel_slaves(MASTER_NAME))
        up = [each for each in seen if not each["is_sdown"] and not each["is_disconnected"]]
        return known == others and len(up) == others

    def _master_of(self, name: str) -> str:
        """Who is master in the eyes of the Sentinel of a server."""
        said = _asked(
            self._socket("sentinel", name),
            lambda each: each.execute_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", MASTER_NAME),
        )
        hosts = {self.wires.address(server).host: server for server in self.servers}
        host = said[0].decode() if said and isinstance(said[0], bytes) else said[0] if said else ""
        return hosts.get(host, "")

    def _socket(self, kind: str, name: str) -> Path:
        return _socket(self.ground, kind, name)


def make_redis(ground: Ground) -> RedisCrew:
    """The servers of this ground, the first of them master, and proxies; nothing is started."""
    quorum = 2 if len(ground.servers) > 2 else 1
    servers = {name: _server(ground, name, quorum) for name in ground.servers}
    hosts = ",".join(ground.wires.address(name).host for name in ground.servers)
    program = [sys.executable, "-m", "tests.campaign.redis_client", "--sentinels", hosts]
    return RedisCrew(ground, servers, make_proxies(ground, program, own_clocks=False))


def _server(ground: Ground, name: str, quorum: int) -> Server:
    master = ground.wires.address(ground.servers[0]).host
    more = "" if name == ground.servers[0] else f"replicaof {master} {PORT}\n"
    if quorum > 1:
        more += f"min-replicas-to-write 1\nmin-replicas-max-lag {REPLICA_LAG_S_MAX}\n"
    disk = ground.disks.folders[name]
    server = _SERVER.format(port=PORT, socket=_socket(ground, "server", name), disk=disk, more=more)
    sentinel = _SENTINEL.format(
        port=SENTINEL_PORT,
        socket=_socket(ground, "sentinel", name),
        folder=ground.folder,
        name=MASTER_NAME,
        master=master,
        master_port=PORT,
        quorum=quorum,
    )
    processes = (
        _process(ground, name, "server", server, ["redis-server"]),
        _process(ground, name, "sentinel", sentinel, ["redis-server", "--sentinel"]),
    )
    return Server(name, processes, disk)


def _process(ground: Ground, name: str, kind: str, text: str, program: list[str]) -> Process:
    """Redis rewrites its configuration itself: the role that a server had outlives a restart."""
    path = ground.folder / f"{kind}-{name}.conf"
    path.write_text(text)
    first, *rest = program
    return Process(
        name=f"{kind}-{name}",
        command=[*ground.wires.prefix(name), first, str(path), *rest],
        log=ground.folder / f"{kind}-{name}.log",
    )


def _socket(ground: Ground, kind: str, name: str) -> Path:
    return ground.folder / f"{kind}-{name}.sock"


def _asked(path: Path, question: Callable[[Any], Any]) -> Any:
    """What a server answers; an empty dict when it does not."""
    client = redis.Redis(unix_socket_path=str(path), socket_timeout=ASK_WITHIN_S)
    try:
        return question(client)
    except (redis.RedisError, OSError):
        return {}
    finally:
        client.close()
