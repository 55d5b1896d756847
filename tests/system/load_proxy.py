"""A proxy without users: embeds a ProxyAgent and logs in and out on command, and says what was acknowledged.

    python -m tests.system.load_proxy --config authagent.toml --id proxy1

Commands come as JSON lines on standard input, events leave as JSON lines on standard output, written before the next
thing happens, so that whoever reads them after a kill -9 knows all that was promised. Commands:

    {"do": "load", "rate": 50, "network": 7}     log in and out for ever, `rate` operations a second; rate 0 stops
    {"do": "login", "key": K, "user": U}         one login, answered by `login`
    {"do": "logout", "key": K} or "user": U      one logout, answered by `logging_out` and `logout`
    {"do": "dump", "number": N}                  every session shown here, answered by `dump`
    {"do": "resync"}                             force a comparison with the agent
    {"do": "state", "number": N}                 answered by `state`: synchronised, isolated

Acknowledged means at level `site`.
"""

import argparse
import json
import os
import random
from typing import Any

import trio

import proxyagent

ACKNOWLEDGED_WITHIN_S = 8.0

LOGOUT_SHARE = 0.4
"""Of all operations under load; of the logouts a third is by user, and of the logged-out keys a third logs in again."""

POOL_MAX = 2_000
"""Sessions that the load still means to log out."""


def tell(**event: Any) -> None:
    """Write one event; blocks until the pipe has it."""
    data = json.dumps(event, separators=(",", ":")).encode() + b"\n"
    while data:
        data = data[os.write(1, data) :]


class Load:
    """Logs in and out, each in a task of its own so that a slow acknowledgement holds up nothing else."""

    def __init__(self, agent: proxyagent.ProxyAgent, nursery: trio.Nursery) -> None:
        self.agent = agent
        self.nursery = nursery
        self.rate = 0.0
        self.network = 0
        self.changed = trio.Event()
        self.made = 0
        self.pool: list[tuple[str, str]] = []
        self.dice = random.Random()

    def set(self, rate: float, network: int) -> None:
        """Change the pace; `network` keeps the keys of one run apart from all others."""
        self.rate, self.network = rate, network
        self.changed.set()

    async def run(self) -> None:
        """Operate at the pace that was set, for ever."""
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
            key, user = self.pool.pop(self.dice.randrange(len(self.pool)))
            if self.dice.random() < 1 / 3:
                await self.logout(user=user)
            else:
                await self.logout(key=key)
            if self.dice.random() < 1 / 3:
                await self.login(key, user)
            return
        self.made += 1
        key = f"fd00::{self.network:x}:{self.made:x}"
        user = f"u{self.network}-{self.made}"
        if await self.login(key, user) and len(self.pool) < POOL_MAX:
            self.pool.append((key, user))

    async def login(self, key: str, user: str) -> bool:
        """Log in, tell it before and after the acknowledgement; returns whether it was acknowledged."""
        session = self.agent.login(key, user=user)
        login_id = str(session.login_id)
        tell(event="logging_in", key=key, user=user, id=login_id)
        began = trio.current_time()
        acknowledged = await self.acknowledged(session)
        tell(event="login", key=key, id=login_id, acknowledged=acknowledged, s=round(trio.current_time() - began, 4))
        return acknowledged

    async def logout(self, *, key: str | None = None, user: str | None = None) -> None:
        """Log out, tell it before and after; the ids are those of the sessions that it ended."""
        tell(event="logging_out", key=key, user=user)
        ended = self.agent.logout(key) if key is not None else self.agent.logout(user=user)
        acknowledged = await self.acknowledged(ended)
        tell(event="logout", key=key, user=user, ids=[str(s.login_id) for s in ended], acknowledged=acknowledged)

    async def acknowledged(self, what: Any) -> bool:
        """Whether a login or logout was acknowledged at level `site` in time."""
        try:
            await self.agent.wait_acknowledged(what, level="site", timeout=ACKNOWLEDGED_WITHIN_S)
        except proxyagent.NotAcknowledged:
            return False
        return True


async def obey(load: Load, command: dict[str, Any]) -> None:
    """Carry out one command."""
    match command:
        case {"do": "load", "rate": rate, "network": network}:
            load.set(rate, network)
        case {"do": "login", "key": key, "user": user}:
            await load.login(key, user)
        case {"do": "logout", **of}:
            await load.logout(**of)
        case {"do": "dump", "number": number}:
            shown = {str(session.login_id): session.key for session in load.agent.sessions()}
            tell(event="dump", number=number, shown=shown)
        case {"do": "resync"}:
            await load.agent.resync()
            tell(event="resynced")
        case {"do": "state", "number": number}:
            state = {"synchronised": load.agent.synchronised, "isolated": load.agent.isolated}
            tell(event="state", number=number, **state)
        case _:
            tell(event="unknown", command=command)


async def main(options: argparse.Namespace) -> None:
    """Serve commands until standard input ends."""
    async with proxyagent.open_proxy_agent(options.config, id=options.id) as agent, trio.open_nursery() as nursery:
        load = Load(agent, nursery)
        nursery.start_soon(load.run)
        tell(event="ready", id=options.id)
        buffer = b""
        async for data in trio.lowlevel.FdStream(os.dup(0)):
            *lines, buffer = (buffer + data).split(b"\n")
            for line in lines:
                nursery.start_soon(obey, load, json.loads(line))
        nursery.cancel_scope.cancel()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A ProxyAgent that is told what to do, for the system tests.")
    parser.add_argument("--config", required=True)
    parser.add_argument("--id", required=True)
    trio.run(main, parser.parse_args())
