"""HAProxy with `peers`: each server has a stick table and tells the others what changes in it.

Rules of this file:

- There is no master: proxies spread over the servers, and go to the next one when theirs fails. A fault of the server
  "that takes logins" is one of the first, so only the proxies that use it feel it.
- A stick table is in memory only. HAProxy started anew asks its peers for theirs.
"""

import re
import socket
import sys
from pathlib import Path

import attrs
import trio

from tests.campaign.haproxy_client import PORT, TABLE
from tests.system.crew import Crew, Server, make_proxies
from tests.system.ground import Ground
from tests.system.processes import Process

PEERS_PORT = 10_000
ASK_WITHIN_S = 1.0
LEARNT_SHARE = 0.95
"""A server that holds so much of what another holds counts as taught, under load."""

_CONFIGURATION = """\
global
    stats socket {socket} mode 600 level admin
    stats socket ipv4@0.0.0.0:{port} level admin
    stats timeout 60s
    localpeer {name}

defaults
    mode http
    timeout connect 1s
    timeout client 10s
    timeout server 10s

peers mates
{peers}

backend {table}
    stick-table type string len 48 size 2m expire 12h nopurge store gpt0 peers mates
"""


@attrs.define
class HaproxyCrew(Crew):
    """Servers without a master."""

    async def settled(self, *, equal: bool = True) -> object:
        return await trio.to_thread.run_sync(self._settled, equal)

    async def serving(self) -> str:
        await trio.lowlevel.checkpoint()
        return next(iter(self.servers))

    def _settled(self, equal: bool) -> object:
        sizes = []
        for name in self.servers:
            peers = self._ask(name, "show peers")
            links = re.findall(r"\(remote,active\).*?last_status=(\S+)", re.sub(r"\s+", " ", peers))
            if links.count("ESTA") < len(self.servers) - 1:
                return f"{name} has peers {links}: {peers[:200]}"
            used = re.search(r"used:(\d+)", self._ask(name, f"show table {TABLE} data.gpt0 gt 4000000000"))
            sizes.append(int(used.group(1)) if used else 0)
        alike = min(sizes) >= max(sizes) * (1.0 if equal else LEARNT_SHARE)  # one that was restarted learns for seconds
        return True if alike else f"entries {sizes}"

    def _ask(self, name: str, command: str) -> str:
        """What a server answers; empty when it does not."""
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(ASK_WITHIN_S)
                connection.connect(str(_socket(self.ground, name)))
                connection.sendall(command.encode() + b"\n")
                parts = []
                while part := connection.recv(1 << 16):
                    parts.append(part)
        except OSError:
            return ""
        return b"".join(parts).decode()


def make_haproxy(ground: Ground) -> HaproxyCrew:
    """The servers of this ground, each the peer of all others, and proxies; nothing is started."""
    hosts = {name: ground.wires.address(name).host for name in ground.servers}
    peers = "\n".join(f"    peer {name} {host}:{PEERS_PORT}" for name, host in hosts.items())
    servers = {name: _server(ground, name, peers) for name in ground.servers}
    program = [sys.executable, "-m", "tests.campaign.haproxy_client", "--servers", ",".join(hosts.values())]
    return HaproxyCrew(ground, servers, make_proxies(ground, program, own_clocks=False))


def _server(ground: Ground, name: str, peers: str) -> Server:
    path = ground.folder / f"{name}.cfg"
    path.write_text(
        _CONFIGURATION.format(socket=_socket(ground, name), port=PORT, name=name, peers=peers, table=TABLE)
    )
    process = Process(
        name=name,
        command=[*ground.wires.prefix(name), "haproxy", "-db", "-f", str(path)],
        log=ground.folder / f"{name}.log",
    )
    return Server(name, (process,))


def _socket(ground: Ground, name: str) -> Path:
    return ground.folder / f"{name}.sock"
