"""A thousand followers in one process: proven links that read all they are sent, as proxies do, and keep no table.

    python -m tests.benchmark.swarm CONFIG COUNT

One epoll loop and no trio, so that a thousand readers fit beside what is measured. Every link is proven, says its
heartbeats, and reads at once; on WATCHED of them what arrives is decoded, and the moment at which the first login of
each batch became known is noted: the one that waited longest. Answers, as JSON lines: `ready` when all are linked, and
to `stamps` what was noted and how many links are left.
"""

import json
import os
import secrets
import select
import socket
import sys
import time
from pathlib import Path
from typing import Any

from protocol import framing
from protocol.codec import decode_changes, encode
from protocol.configuration import Configuration, parse
from protocol.connection import Connection, Phase
from protocol.handshake import Dialling, Identity
from protocol.io import secret_file
from protocol.io.clock import read_clock
from protocol.messages import Follow, Heartbeat, Role, Update

HANDSHAKES_AT_ONCE = 16
HEARTBEAT_S = 0.2
WATCHED = 2
RECEIVE_BYTES = 256 * 1024


class Follower:
    """One link."""

    def __init__(self, configuration: Configuration, secrets_read: Any, number: int) -> None:
        self.watched = number < WATCHED
        self.socket = socket.socket()
        entry = configuration.authagents[0]
        self.socket.connect((entry.host, entry.port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setblocking(False)
        identity = Identity(
            "proxy",
            configuration.site,
            f"p-swarm{number}",
            secrets.randbits(64),
            "swarm",
            configuration.agreed_hash,
            secrets_read,
        )
        self.connection = Connection(Dialling(identity, secrets_read.newest, secrets.token_urlsafe(18), None))
        self.socket.send(self.connection.start(read_clock()))

    @property
    def proven(self) -> bool:
        return self.connection.phase is Phase.OPEN


class Swarm:
    """All links, and what the watched ones saw."""

    def __init__(self, path: str, count: int) -> None:
        text = Path(path).read_text()
        self.configuration = parse(text, path)
        self.secrets = secret_file.read(str(Path(path).parent / "secret"))
        self.count = count
        self.made = 0
        self.proven = 0
        self.lost = 0
        self.followers: dict[int, Follower] = {}
        self.seen_ns: dict[str, list[int]] = {}
        self.epoll = select.epoll()
        self.buffer = bytearray(RECEIVE_BYTES)
        self.heartbeat_at = 0.0

    def run(self) -> None:
        """Link everybody, then serve commands until standard input ends."""
        self.epoll.register(0, select.EPOLLIN)
        ready = False
        while True:
            while self.made < self.count and self.made - self.proven - self.lost < HANDSHAKES_AT_ONCE:
                self.add()
            for number, _ in self.epoll.poll(0.02):
                if number == 0:
                    if not self.obey():
                        return
                else:
                    self.read(self.followers[number])
            if time.monotonic() >= self.heartbeat_at:
                self.beat()
            if not ready and self.proven + self.lost == self.count:
                ready = True
                print(json.dumps({"ready": True, "lost": self.lost}), flush=True)

    def add(self) -> None:
        follower = Follower(self.configuration, self.secrets, self.made)
        self.made += 1
        self.followers[follower.socket.fileno()] = follower
        self.epoll.register(follower.socket, select.EPOLLIN)

    def read(self, follower: Follower) -> None:
        """What has come: decoded on watched links and in handshakes, else only taken off the wire."""
        try:
            count = follower.socket.recv_into(self.buffer)
        except OSError:
            count = 0
        if not count:
            self.lose(follower)
            return
        if follower.proven and not follower.watched:
            return
        was_proven = follower.proven
        at_ns = time.monotonic_ns()
        for message in follower.connection.receive_data(memoryview(self.buffer)[:count], read_clock()):
            if isinstance(message, Update):
                for run in decode_changes(message.payload).logins:
                    self.seen_ns.setdefault(run.keys[0], []).append(at_ns)
        replies = follower.connection.replies()
        if replies:
            follower.socket.send(replies)
        if follower.proven and not was_proven:
            self.proven += 1
            follower.socket.send(self.heartbeat() + follower.connection.send(Follow(0, 0)))

    def beat(self) -> None:
        """One heartbeat on every proven link, the same bytes on all."""
        self.heartbeat_at = time.monotonic() + HEARTBEAT_S
        data = self.heartbeat()
        for follower in list(self.followers.values()):
            if follower.proven:
                try:
                    follower.socket.send(data)
                except OSError:
                    self.lose(follower)

    def heartbeat(self) -> bytes:
        now = read_clock()
        return framing.frame(
            encode(
                Heartbeat(
                    role=Role.PROXY,
                    term=0,
                    unsure=False,
                    log_id=0,
                    sequence=0,
                    cut_min=0,
                    root=None,
                    secret_id=b"",
                    cluster_ms=None,
                    wall_ms=now.wall_ms,
                    sent_ms=now.boot_ms,
                    echo_ms=None,
                    held_ms=0,
                    pending=0,
                    sessions=0,
                )
            )
        )

    def lose(self, follower: Follower) -> None:
        self.epoll.unregister(follower.socket)
        del self.followers[follower.socket.fileno()]
        follower.socket.close()
        if follower.proven:
            self.proven -= 1
        self.lost += 1

    def obey(self) -> bool:
        """One command; False at the end of standard input."""
        data = os.read(0, 65_536)
        for line in data.splitlines():
            assert json.loads(line) == {"do": "stamps"}
            print(json.dumps({"seen_ns": self.seen_ns, "linked": self.proven}), flush=True)
        return bool(data)


if __name__ == "__main__":
    Swarm(sys.argv[1], int(sys.argv[2])).run()
