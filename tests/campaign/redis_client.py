"""A proxy that keeps its logins in Redis, through redis-py and Sentinels; see tests.system.load.

    python -m tests.campaign.redis_client --sentinels HOST,HOST --id proxy1

A login is SET with a lifetime, a logout DEL; batches go as one pipeline that ends with WAIT 1, and count as
acknowledged only when a replica has them. Look-ups read from the master that the Sentinels name.
"""

import argparse
import itertools
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

import redis
import trio
from redis.backoff import NoBackoff
from redis.retry import Retry
from redis.sentinel import Sentinel, SentinelManagedConnection

from tests.campaign.jobs import FORGET_UNSENT, Job, Jobs
from tests.system.load import serve

MASTER_NAME = "sessions"
SENTINEL_PORT = 26379
LIFETIME_S = 43_200
WAIT_MS = 500
SOCKET_TIMEOUT_S = 1.0
CONNECTIONS = 4
SLICE_KEYS = 5_000


class Connection(SentinelManagedConnection):
    """One that leaves nothing in the network when it is given up: a SET that arrives late would undo a logout."""

    def _connect(self) -> socket.socket:
        sock: socket.socket = super()._connect()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, FORGET_UNSENT)
        return sock


class RedisWorker:
    """One connection to whoever is master."""

    def __init__(self, sentinels: Sentinel) -> None:
        self._master: Any = sentinels.master_for(
            MASTER_NAME, socket_timeout=SOCKET_TIMEOUT_S, retry=Retry(NoBackoff(), 0), connection_class=Connection
        )

    def do(self, jobs: list[Job]) -> list[Job]:
        pipe = self._master.pipeline(transaction=False)
        for job in jobs:
            if job.login_id is None:
                pipe.delete(job.key)
            else:
                pipe.set(job.key, job.login_id, ex=LIFETIME_S)
        pipe.execute_command("WAIT", 1, WAIT_MS)
        try:
            *answers, replicas = pipe.execute(raise_on_error=False)
        except redis.RedisError as error:
            raise OSError(str(error)) from None
        if any(isinstance(answer, redis.ReadOnlyError) for answer in answers):
            self._master.connection_pool.disconnect()  # it is a replica now: ask the Sentinels again
        if not isinstance(replicas, int) or replicas < 1:
            return []
        return [job for job, answer in zip(jobs, answers, strict=True) if not isinstance(answer, Exception)]


class RedisClient:
    """Redis as a client of the load."""

    def __init__(self, hosts: list[str], name: str) -> None:
        sentinels = Sentinel([(host, SENTINEL_PORT) for host in hosts], socket_timeout=SOCKET_TIMEOUT_S / 2)
        self._jobs = Jobs([RedisWorker(sentinels) for _ in range(CONNECTIONS)])
        self._reader: Any = sentinels.master_for(MASTER_NAME, socket_timeout=5.0, retry=Retry(NoBackoff(), 0))
        self._keys: dict[str, str] = {}
        self._numbers = itertools.count(1)
        self._name = name

    def login(self, key: str, user: str) -> tuple[str, Callable[[], Awaitable[bool]]]:
        login_id = f"{self._name}:{user}:{next(self._numbers)}"
        self._keys[login_id] = key
        return login_id, self._jobs.put(key, login_id)

    def logout(
        self, key: str | None, user: str | None, login_id: str | None
    ) -> tuple[list[str], Callable[[], Awaitable[bool]]]:
        assert login_id is not None, "Redis does not tell what a logout has ended"
        return [login_id], self._jobs.put(self._keys.pop(login_id), None)

    async def shown(self) -> AsyncIterator[Mapping[str, str]]:
        keys = self._reader.scan_iter(count=SLICE_KEYS)
        try:
            while part := await trio.to_thread.run_sync(lambda: list(itertools.islice(keys, SLICE_KEYS))):
                yield await trio.to_thread.run_sync(self._under, part)
        except redis.RedisError as error:
            raise OSError(str(error)) from None

    async def look(self, keys: list[str]) -> Mapping[str, str] | None:
        try:
            return await trio.to_thread.run_sync(self._under, [key.encode() for key in keys])
        except redis.RedisError:
            return None

    def _under(self, keys: list[bytes]) -> dict[str, str]:
        values = self._reader.mget(keys) if keys else []
        return {
            value.decode(): key.decode() for key, value in zip(keys, values, strict=True) if value is not None
        }

    async def resync(self) -> None:
        await trio.lowlevel.checkpoint()  # there is nothing to ask for

    def state(self) -> Mapping[str, object]:
        return {}


async def main(options: argparse.Namespace) -> None:
    """Serve commands until standard input ends."""
    async with trio.open_nursery() as nursery:
        await serve(RedisClient(options.sentinels.split(","), options.id), options.id, nursery)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A proxy on Redis, for the campaign.")
    parser.add_argument("--sentinels", required=True)
    parser.add_argument("--id", required=True)
    trio.run(main, parser.parse_args())
