"""A proxy that keeps its logins in the stick table of an HAProxy; see tests.system.load.

    python -m tests.campaign.haproxy_client --servers HOST,HOST --id proxy1

A login sets the tag of its key to 1, the next login of that key to 2 and so on, a logout to 0: to remove an entry is
nothing that HAProxy would tell its peers. A client uses one server until that fails it, then the next.
"""

import argparse
import re
import socket
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

import trio

from tests.campaign.jobs import FORGET_UNSENT, Job, Jobs
from tests.system.load import serve

TABLE = "sessions"
PORT = 9999
TIMEOUT_S = 1.0
DUMP_TIMEOUT_S = 30.0
CONNECTIONS = 4
COMMANDS_MAX = 100
"""In one line, which HAProxy takes up to 16 KiB long."""

_ENTRY = re.compile(r"key=(\S+) .*gpt0=(\d+)")


class Servers:
    """Which HAProxy is in use."""

    def __init__(self, hosts: list[str], first: int) -> None:
        self._hosts = hosts
        self._current = first % len(hosts)

    def ask(self, commands: list[str], timeout_s: float = TIMEOUT_S) -> str:
        """What the server in use answers; raises OSError and goes on to the next one when it fails."""
        used = self._current
        try:
            with socket.create_connection((self._hosts[used], PORT), TIMEOUT_S) as connection:
                connection.settimeout(timeout_s)
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, FORGET_UNSENT)
                connection.sendall("; ".join(commands).encode() + b"\n")
                connection.shutdown(socket.SHUT_WR)
                parts = []
                while part := connection.recv(1 << 20):
                    parts.append(part)
            return b"".join(parts).decode()
        except OSError:
            if self._current == used:  # no other thread has noticed it before
                self._current = (used + 1) % len(self._hosts)
            raise

    def do(self, jobs: list[Job]) -> list[Job]:
        """Set the tags of these jobs, as many as one line takes; returns those."""
        jobs = jobs[:COMMANDS_MAX]
        commands = [f"set table {TABLE} key {job.key} data.gpt0 {_tag(job.login_id)}" for job in jobs]
        return [] if self.ask(commands).strip() else jobs


def _tag(login_id: str | None) -> str:
    return "0" if login_id is None else login_id.rpartition("#")[2]


class HaproxyClient:
    """A stick table as a client of the load."""

    def __init__(self, hosts: list[str], first: int) -> None:
        self._servers = Servers(hosts, first)
        self._jobs = Jobs([self._servers] * CONNECTIONS)
        self._logins: defaultdict[str, int] = defaultdict(int)

    def login(self, key: str, user: str) -> tuple[str, Callable[[], Awaitable[bool]]]:
        self._logins[key] += 1
        login_id = f"{key}#{self._logins[key]}"
        return login_id, self._jobs.put(key, login_id)

    def logout(
        self, key: str | None, user: str | None, login_id: str | None
    ) -> tuple[list[str], Callable[[], Awaitable[bool]]]:
        assert login_id is not None, "HAProxy does not tell what a logout has ended"
        return [login_id], self._jobs.put(login_id.rpartition("#")[0], None)

    async def shown(self) -> AsyncIterator[Mapping[str, str]]:
        dump = f"show table {TABLE} data.gpt0 gt 0"
        text = await trio.to_thread.run_sync(self._servers.ask, [dump], DUMP_TIMEOUT_S)
        yield _entries(text)

    async def look(self, keys: list[str]) -> Mapping[str, str] | None:
        found: dict[str, str] = {}
        try:
            for start in range(0, len(keys), COMMANDS_MAX):
                commands = [f"show table {TABLE} key {key}" for key in keys[start : start + COMMANDS_MAX]]
                found |= _entries(await trio.to_thread.run_sync(self._servers.ask, commands))
        except OSError:
            return None
        return found

    async def resync(self) -> None:
        await trio.lowlevel.checkpoint()  # there is nothing to ask for

    def state(self) -> Mapping[str, object]:
        return {}


def _entries(text: str) -> dict[str, str]:
    """What a server has shown: login id to key."""
    return {f"{key}#{tag}": key for key, tag in _ENTRY.findall(text) if tag != "0"}


async def main(options: argparse.Namespace) -> None:
    """Serve commands until standard input ends."""
    async with trio.open_nursery() as nursery:
        number = int(options.id.removeprefix("proxy"))
        await serve(HaproxyClient(options.servers.split(","), number - 1), options.id, nursery)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A proxy on HAProxy's stick tables, for the campaign.")
    parser.add_argument("--servers", required=True)
    parser.add_argument("--id", required=True)
    trio.run(main, parser.parse_args())
