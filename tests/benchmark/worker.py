"""Our side of the job: a proxy that embeds a ProxyAgent and publishes logins, or watches them arrive.

    python -m tests.benchmark.worker CONFIG PROXY_ID

Commands come as JSON lines on standard input, each is answered by one on standard output. Times are nanoseconds of
the monotonic clock, which all processes of a machine share.

- `burst`: log in `count` users at once, keeping at most WINDOW unacknowledged at level `site`.
- `pace`: log in at a rate, and tell when each was sent, and when acknowledged at the levels asked for.
- `act`: log in, or out, at a rate, with keys of one kind; answered when the last is acknowledged. Users and keys are
  drawn, as those who come are in no order; the same again for the same `first`.
- `wait_count`: answer when so many sessions are known here, or no more than so many.
- `stamp`, `stamps`: from now on note when each login becomes visible; tell what was noted.
- `lookup`: microseconds for one look-up, in turn over few keys (hot) or in no order over many.
- `login`: one login, answered when acknowledged.
- `stalls`: the longest the loop did not come round since last asked; watched only where STALLS is in the environment,
  because watching costs what the other commands measure.
"""

import json
import os
import random
import sys
import time
from typing import Any

import trio

import proxyagent
from tests.benchmark.keys import address, cookie

WINDOW = 20_000
BATCH = 500
ACKNOWLEDGED_WITHIN_S = 30.0
SPREAD, USERS = 1 << 18, 100_000  # among so many addresses, or cookies, and users those of `act` are drawn
TICK_S = 0.002
COUNT_TICK_S = 0.02  # counting reckons a digest, which must not become what is measured


class Worker:
    """Carries out commands."""

    def __init__(self, agent: proxyagent.ProxyAgent, nursery: trio.Nursery) -> None:
        self.agent = agent
        self.nursery = nursery
        self.seen_ns: dict[str, int] = {}
        self.longest_stall_s = 0.0

    async def burst(self, count: int, first: int) -> dict[str, Any]:
        login, made = self.agent.login, []
        began = time.monotonic_ns()
        for index in range(count):
            made.append(login(address(first + index), user=f"user{index}"))
            if index % BATCH == BATCH - 1:
                await trio.sleep(0)
                if index >= WINDOW:
                    await self.acknowledged(made[index - WINDOW])
        await self.acknowledged(made[-1])
        return {"began_ns": began, "acknowledged_ns": time.monotonic_ns()}

    async def pace(self, rate: int, seconds: float, first: int, levels: list[str]) -> dict[str, Any]:
        sent_ns: dict[str, int] = {}
        acknowledged_ns: dict[str, dict[str, int]] = {level: {} for level in levels}

        async def follow(key: str, session: proxyagent.Session, level: str) -> None:
            await self.acknowledged(session, level)
            acknowledged_ns[level][key] = time.monotonic_ns()

        began = trio.current_time()
        async with trio.open_nursery() as nursery:
            for index in range(int(rate * seconds)):
                await trio.sleep_until(began + index / rate)
                key = address(first + index)
                sent_ns[key] = time.monotonic_ns()
                session = self.agent.login(key, user=f"user{index}")
                for level in levels:
                    nursery.start_soon(follow, key, session, level)
        return {"sent_ns": sent_ns, "acknowledged_ns": acknowledged_ns}

    async def act(self, what: str, kind: str, rate: int, count: int, first: int) -> dict[str, Any]:
        make = cookie if kind == "cookie" else address
        dice = random.Random(first)
        drawn = [(make(first + number), f"user{dice.randrange(USERS)}") for number in dice.sample(range(SPREAD), count)]
        began = trio.current_time()
        done: Any = None
        for index, (key, user) in enumerate(drawn):
            await trio.sleep_until(began + index / rate)
            done = self.agent.login(key, user=user) if what == "login" else self.agent.logout(key)
        took_s = trio.current_time() - began
        await self.acknowledged(done)
        return {"took_s": took_s}

    async def login(self, key: str, user: str, within_s: float) -> dict[str, Any]:
        began = time.monotonic_ns()
        session = self.agent.login(key, user=user)
        try:
            await self.acknowledged(session, "site", within_s)
        except proxyagent.NotAcknowledged:
            return {"error": f"{key} was not acknowledged within {within_s:g} s"}
        return {"began_ns": began, "acknowledged_ns": time.monotonic_ns()}

    async def make(self, count: int, first: int) -> dict[str, Any]:
        """Logins that nobody waits for."""
        for index in range(count):
            self.agent.login(address(first + index), user=f"user{index}")
        return {}

    async def wait_isolated(self, isolated: bool, within_s: float) -> dict[str, Any]:
        """Answer when the proxy has no agent, or has one again."""
        deadline = trio.current_time() + within_s
        while self.agent.isolated is not isolated:
            if trio.current_time() > deadline:
                return {"error": f"isolated stayed {self.agent.isolated} for {within_s:g} s"}
            await trio.sleep(TICK_S)
        return {}

    async def acknowledged(self, session: Any, level: str = "site", within_s: float = ACKNOWLEDGED_WITHIN_S) -> None:
        await self.agent.wait_acknowledged(session, level=level, timeout=within_s)

    async def wait_count(self, count: int, within_s: float, at_most: bool = False) -> dict[str, Any]:
        deadline = trio.current_time() + within_s
        while (known := self.agent.statistics().sessions) != count and (known > count) is at_most:
            if trio.current_time() > deadline:
                return {"error": f"{known} of {count} arrived within {within_s:g} s"}
            await trio.sleep(COUNT_TICK_S)
        return {"at_ns": time.monotonic_ns()}

    async def stamp(self) -> dict[str, Any]:
        await self.nursery.start(self.note)
        return {}

    async def note(self, *, task_status: trio.TaskStatus[None]) -> None:
        notices = self.agent.notices()
        task_status.started()
        async for notice in notices:
            if isinstance(notice, proxyagent.SessionOpened):
                self.seen_ns[notice.session.key] = time.monotonic_ns()

    async def stamps(self) -> dict[str, Any]:
        return {"seen_ns": self.seen_ns}

    async def lookup(self, count: int, rounds: int, shuffled: bool = False) -> dict[str, Any]:
        keys = [address(index) for index in range(count)]
        for start in range(0, count, BATCH):
            for key in keys[start : start + BATCH]:
                self.agent.login(key, user=key)
            await trio.sleep(0)
        lookup = self.agent.lookup
        order = random.choices(keys, k=rounds) if shuffled else (keys * (rounds // count + 1))[:rounds]
        missing = sum(lookup(key) is None for key in keys)
        best = min(_seconds(lookup, order) for _ in range(3))
        return {"us": best / rounds * 1e6, "missing": missing}

    async def resync(self) -> dict[str, Any]:
        began = time.monotonic_ns()
        moved = await self.agent.resync()
        return {"began_ns": began, "done_ns": time.monotonic_ns(), "moved": repr(moved)}

    async def stalls(self) -> dict[str, Any]:
        longest, self.longest_stall_s = self.longest_stall_s, 0.0
        return {"longest_s": longest}

    async def watch_loop(self) -> None:
        """Note by how much the loop comes round late."""
        while True:
            due = trio.current_time() + TICK_S
            await trio.sleep_until(due)
            self.longest_stall_s = max(self.longest_stall_s, trio.current_time() - due)


def _seconds(lookup: Any, order: list[str]) -> float:
    """Seconds for all look-ups of `order`, the loop itself taken off."""
    began = time.perf_counter()
    for key in order:
        lookup(key)
    taken = time.perf_counter() - began
    began = time.perf_counter()
    for _key in order:
        pass
    return taken - (time.perf_counter() - began)


async def main() -> None:
    """Serve commands until standard input ends."""
    config, proxy_id = sys.argv[1:3]
    began = time.monotonic_ns()
    async with proxyagent.open_proxy_agent(config, id=proxy_id) as agent, trio.open_nursery() as nursery:
        worker = Worker(agent, nursery)
        if "STALLS" in os.environ:
            nursery.start_soon(worker.watch_loop)
        print(json.dumps({"ready": True, "began_ns": began}), flush=True)
        buffer = b""
        async for data in trio.lowlevel.FdStream(os.dup(0)):
            *lines, buffer = (buffer + data).split(b"\n")
            for line in lines:
                command = json.loads(line)
                answer = await getattr(worker, command.pop("do"))(**command)
                print(json.dumps(answer), flush=True)
        nursery.cancel_scope.cancel()


if __name__ == "__main__":
    trio.run(main)
