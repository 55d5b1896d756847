"""Logs in and out under load and on command, through any client, and says what was acknowledged.

Commands come as JSON lines on standard input, events leave as JSON lines on standard output. That a logout is begun is
written before it is begun, so that whoever reads after a kill -9 knows what may be gone; what else the load has to tell
may be lost with the process, which only makes its reader demand less. Commands:

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

OPEN_MAX = 1_000
"""Operations of the load that may wait for their acknowledgement; beyond it none is begun, as users would wait too."""

TICK_S = 0.025
"""Between clumps of operations; what was noted is written at least as often."""


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


class Teller:
    """Writes events, in order."""

    def __init__(self) -> None:
        self._unsaid: list[str] = []

    def note(self, **event: Any) -> None:
        """Write an event soon: with the next that is told, or at the next flush."""
        self._unsaid.append(json.dumps(event, separators=(",", ":")))

    def tell(self, **event: Any) -> None:
        """Write an event now."""
        self.note(**event)
        self.flush()

    def flush(self) -> None:
        """Write what was noted; blocks until the pipe has it."""
        if self._unsaid:
            data = "\n".join([*self._unsaid, ""]).encode()
            self._unsaid.clear()
            while data:
                data = data[os.write(1, data) :]


class Load:
    """Logs in and out in clumps, TICK_S apart, as many as the pace wants."""

    def __init__(self, client: Client, nursery: trio.Nursery) -> None:
        self.client = client
        self.nursery = nursery
        self.teller = Teller()
        self.rate = 0.0
        self.network = 0
        self.made = 0
        self.open = 0
        self.pool: list[tuple[str, str, str]] = []
        self.dice = random.Random()

    def set(self, rate: float, network: int) -> None:
        """Change the pace; `network` keeps the keys of one run apart from all others."""
        self.rate, self.network = rate, network

    async def run(self) -> None:
        """Operate at the pace that was set, for ever; what could not be begun within a second is left out."""
        due, last_s = 0.0, trio.current_time()
        while True:
            await trio.sleep(TICK_S)
            now_s = trio.current_time()
            due += self.rate * min(now_s - last_s, 1.0)
            last_s = now_s
            self.operate(min(int(due), OPEN_MAX - self.open))
            due -= int(due)
            self.teller.flush()

    def operate(self, count: int) -> None:
        """Begin so many operations of the load."""
        leaving = []
        self.open += max(count, 0)
        for _ in range(count):
            if self.pool and self.dice.random() < LOGOUT_SHARE:
                key, user, login_id = self.pool.pop(self.dice.randrange(len(self.pool)))
                by_user = self.dice.random() < 1 / 3
                of = {"key": None, "user": user} if by_user else {"key": key, "user": None}
                self.teller.note(event="logging_out", **of, load=1)
                leaving.append((key, user, of, login_id))
            else:
                self.made += 1
                key = f"fd00::{self.network:x}:{self.made >> 16:x}:{self.made & 0xFFFF:x}"
                self.nursery.start_soon(self._one_login, key, f"u{self.network}-{self.made}")
        self.teller.flush()
        for key, user, of, login_id in leaving:
            ended, acknowledged = self.client.logout(of["key"], of["user"], login_id)
            self.nursery.start_soon(self._one_logout, key, user, of, ended, acknowledged)

    async def _one_login(self, key: str, user: str) -> None:
        login_id = await self.login(key, user, load=1)
        self.open -= 1
        if login_id is not None and len(self.pool) < POOL_MAX:
            self.pool.append((key, user, login_id))

    async def _one_logout(
        self,
        key: str,
        user: str,
        of: dict[str, str | None],
        ended: list[str],
        acknowledged: Callable[[], Awaitable[bool]],
    ) -> None:
        self.teller.note(event="logout", **of, ids=ended, acknowledged=await acknowledged(), load=1)
        if self.dice.random() < 1 / 3:
            await self.login(key, user, load=1)
        self.open -= 1

    async def login(self, key: str, user: str, **mark: int) -> str | None:
        """Log in, tell it before and after the acknowledgement; returns the login's id if it was acknowledged."""
        began = time.monotonic()
        login_id, acknowledged = self.client.login(key, user)
        self.teller.note(event="logging_in", key=key, user=user, id=login_id, **mark)
        done = await acknowledged()
        took_s = round(time.monotonic() - began, 4)
        self.teller.note(event="login", key=key, id=login_id, acknowledged=done, at=began, s=took_s, **mark)
        return login_id if done else None

    async def logout(self, *, key: str | None = None, user: str | None = None) -> None:
        """Log out, tell it before and after; the ids are those of the sessions that it ended."""
        self.teller.tell(event="logging_out", key=key, user=user)
        ended, acknowledged = self.client.logout(key, user, None)
        self.teller.tell(event="logout", key=key, user=user, ids=ended, acknowledged=await acknowledged())

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
                self.teller.tell(event="look", number=number, shown=await self.client.look(keys))
            case {"do": "resync"}:
                await self.client.resync()
                self.teller.tell(event="resynced")
            case {"do": "state", "number": number}:
                self.teller.tell(event="state", number=number, **self.client.state())
            case _:
                self.teller.tell(event="unknown", command=command)

    async def dump(self, number: int) -> None:
        """Tell everything that is shown."""
        error = ""
        try:
            async for shown in self.client.shown():
                self.teller.tell(event="dump", number=number, shown=shown, more=True)
                await trio.lowlevel.checkpoint()
        except OSError as failure:
            error = repr(failure)
        self.teller.tell(event="dump", number=number, shown={}, more=False, error=error)


async def serve(client: Client, name: str, nursery: trio.Nursery) -> None:
    """Carry out commands until standard input ends."""
    load = Load(client, nursery)
    nursery.start_soon(load.run)
    load.teller.tell(event="ready", id=name)
    buffer = b""
    async for data in trio.lowlevel.FdStream(os.dup(0)):
        *lines, buffer = (buffer + data).split(b"\n")
        for command in map(json.loads, lines):
            if command["do"] == "load":  # in order, and before anything else runs
                load.set(command["rate"], command["network"])
            else:
                nursery.start_soon(load.obey, command)
    nursery.cancel_scope.cancel()
