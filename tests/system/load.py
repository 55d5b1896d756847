"""Logs in and out under load and on command, through any client, and says what was acknowledged.

Commands come as JSON lines on standard input, events leave as JSON lines on standard output, written before the next
thing happens, so that whoever reads them after a kill -9 knows all that was promised. Commands:

    {"do": "load", "rate": 50, "network": 7}     log in and out for ever, `rate` operations a second; rate 0 stops
    {"do": "login", "key": K, "user": U}         one login, answered by `login`
    {"do": "logout", "key": K} or "user": U      one logout, answered by `logging_out` and `logout`
    {"do": "dump", "number": N}                  every session shown here, answered by `dump`, in slices
    {"do": "look", "number": N, "keys": [...]}   who is shown under these keys, answered by `look`
    {"do": "resync"}                             force a comparison with the servers
    {"do": "state", "number": N}                 answered by `state`: synchronised, isolated

Events of the load carry "load"; `at` is the monotonic clock, which all processes of a machine share.
"""

import json
import os
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, Protocol

import trio

LOGOUT_SHARE = 0.4
"""Of all operations under load; of the logouts a third is by user, and of the logged-out keys a third logs in again."""

LOGIN_SHARE = 1 - LOGOUT_SHARE + LOGOUT_SHARE / 3
"""How many of the operations are logins."""

POOL_MAX = 2_000
"""Sessions that the load still means to log out."""


class Client(Protocol):
    """What a proxy needs of the product it logs its users in with."""

    def login(self, key: str, user: str) -> tuple[str, Callable[[], Awaitable[bool]]]:
        """Begin a login: its id, and what waits for its acknowledgement and tells whether it came in time."""

    def logout(
        self, key: str | None, user: str | None, login_id: str | None
    ) -> tuple[list[str], Callable[[], Awaitable[bool]]]:
        """Begin a logout by key or by user: the ids that it ends, and what waits as above.

        `login_id` is the login that the load knows there, for clients that are not told what a logout has ended.
        """

    def shown(self) -> AsyncIterator[Mapping[str, str]]:
        """Every session shown here, login id to key, in slices. Raises OSError when it cannot tell."""

    async def look(self, keys: list[str]) -> Mapping[str, str] | None:
        """Who is shown under these keys, login id to key; None when it cannot tell now."""

    async def resync(self) -> None:
        """Compare with the servers, if that can be asked for."""

    def state(self) -> Mapping[str, object]:
        """What it can tell of itself."""


def tell(**event: Any) -> None:
    """Write one event; blocks until the pipe has it."""
    data = json.dumps(event, separators=(",", ":")).encode() + b"\n"
    while data:
        data = data[os.write(1, data) :]


class Load:
    """Logs in and out, each in a task of its own so that a slow acknowledgement holds up nothing else."""

    def __init__(self, client: Client, nursery: trio.Nursery) -> None:
        self.client = client
        self.nursery = nursery
        self.rate = 0.0
        self.network = 0
        self.changed = trio.Event()
        self.made = 0
        self.pool: list[tuple[str, str, str]] = []
        self.dice = random.Random()

    def set(self, rate: float, network: int) -> None:
        """Change the pace; `network` keeps the keys of one run apart from all others."""
        self.rate, self.network = rate, network
        self.changed.set()

    async def run(self) -> None:
        """Operate at the pace that was set, for ever; what could not be begun within a second is left out."""
        due = trio.current_time()
        while True:
            if not self.rate:
                self.changed = trio.Event()
                await self.changed.wait()
                due = trio.current_time()
            self.nursery.start_soon(self.operate)
            due = max(due + 1 / self.rate if self.rate else due, trio.current_time() - 1.0)
            await trio.sleep_until(due)

    async def operate(self) -> None:
        """One operation of the load."""
        if self.pool and self.dice.random() < LOGOUT_SHARE:
            key, user, login_id = self.pool.pop(self.dice.randrange(len(self.pool)))
            if self.dice.random() < 1 / 3:
                await self.logout(user=user, login_id=login_id, load=1)
            else:
                await self.logout(key=key, login_id=login_id, load=1)
            if self.dice.random() < 1 / 3:
                await self.login(key, user, load=1)
            return
        self.made += 1
        key = f"fd00::{self.network:x}:{self.made >> 16:x}:{self.made & 0xFFFF:x}"
        user = f"u{self.network}-{self.made}"
        login_id = await self.login(key, user, load=1)
        if login_id is not None and len(self.pool) < POOL_MAX:
            self.pool.append((key, user, login_id))

    async def login(self, key: str, user: str, **mark: int) -> str | None:
        """Log in, tell it before and after the acknowledgement; returns the login's id if it was acknowledged."""
        began = time.monotonic()
        login_id, acknowledged = self.client.login(key, user)
        tell(event="logging_in", key=key, user=user, id=login_id, **mark)
        done = await acknowledged()
        took_s = round(time.monotonic() - began, 4)
        tell(event="login", key=key, id=login_id, acknowledged=done, at=began, s=took_s, **mark)
        return login_id if done else None

    async def logout(
        self, *, key: str | None = None, user: str | None = None, login_id: str | None = None, **mark: int
    ) -> None:
        """Log out, tell it before and after; the ids are those of the sessions that it ended."""
        tell(event="logging_out", key=key, user=user, **mark)
        ended, acknowledged = self.client.logout(key, user, login_id)
        tell(event="logout", key=key, user=user, ids=ended, acknowledged=await acknowledged(), **mark)

    async def obey(self, command: dict[str, Any]) -> None:
        """Carry out one command."""
        match command:
            case {"do": "login", "key": key, "user": user}:
                await self.login(key, user)
            case {"do": "logout", **of}:
                await self.logout(**of)
            case {"do": "dump", "number": number}:
                await self.dump(number)
            case {"do": "look", "number": number, "keys": keys}:
                tell(event="look", number=number, shown=await self.client.look(keys))
            case {"do": "resync"}:
                await self.client.resync()
                tell(event="resynced")
            case {"do": "state", "number": number}:
                tell(event="state", number=number, **self.client.state())
            case _:
                tell(event="unknown", command=command)

    async def dump(self, number: int) -> None:
        """Tell everything that is shown."""
        error = ""
        try:
            async for shown in self.client.shown():
                tell(event="dump", number=number, shown=shown, more=True)
                await trio.lowlevel.checkpoint()
        except OSError as failure:
            error = repr(failure)
        tell(event="dump", number=number, shown={}, more=False, error=error)


async def serve(client: Client, name: str, nursery: trio.Nursery) -> None:
    """Carry out commands until standard input ends."""
    load = Load(client, nursery)
    nursery.start_soon(load.run)
    tell(event="ready", id=name)
    buffer = b""
    async for data in trio.lowlevel.FdStream(os.dup(0)):
        *lines, buffer = (buffer + data).split(b"\n")
        for command in map(json.loads, lines):
            if command["do"] == "load":  # in order, and before anything else runs
                load.set(command["rate"], command["network"])
            else:
                nursery.start_soon(load.obey, command)
    nursery.cancel_scope.cancel()
