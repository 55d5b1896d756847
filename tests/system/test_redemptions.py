"""Fifty codes and more, each fought for by six clients at five real processes, while masters are killed and links cut.

What each client was told counts: nobody is granted a code that another one was granted, and one is where nothing was
cut. The same at the pure level, thousands of times, is tests/scenarios/test_redemptions.py.
"""

import contextlib
import random
import sys
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any, Literal

import attrs
import pytest
import trio

from protocol.io.control_client import ControlError, ExitCode, ask
from tests.system.harness import SITE, Site, open_site
from tests.system.processes import Process, until

pytestmark = [pytest.mark.system, pytest.mark.slow]

CLIENTS = 6
PATIENCE_S = 60.0
"""How long a client goes on asking: well longer than a fault and what follows from it."""


@attrs.define
class Contest:
    """One site with `proxyagent run` at each proxy, and the control sockets that clients ask."""

    site: Site
    proxies: list[Process]
    dice: random.Random

    @property
    def sockets(self) -> list[Path]:
        folder = self.site.folder / "c"
        proxies = [folder / f"{SITE}-proxyagent-{proxy.name}.sock" for proxy in self.proxies]
        return [*(agent.control for agent in self.site.agents.values()), *proxies]

    async def ask(self, socket: Path, verb: str, **question: Any) -> dict[str, Any]:
        """As a program beside the process would; raises ControlError."""
        call = partial(ask, str(socket), verb, timeout_s=15.0, deadline_s=12.0, **question)
        return await trio.to_thread.run_sync(call, abandon_on_cancel=True)

    async def stubborn(self, verb: str, **question: Any) -> dict[str, Any] | None:
        """Ask at one node until it says yes or no; None for no, and for nothing within PATIENCE_S."""
        socket = self.dice.choice(self.sockets)
        with trio.move_on_after(PATIENCE_S):
            while True:
                try:
                    return await self.ask(socket, verb, within_s=4.0, **question)
                except (ControlError, OSError) as error:
                    if isinstance(error, ControlError) and error.code == ExitCode.NO:
                        return None
                await trio.sleep(0.2)
        return None

    async def fight(self, user: str) -> list[str]:
        """One round: a code is made, and clients redeem it at the same moment; who was told yes."""
        made = await self.stubborn("code_create", user=user, validity_s=600)
        assert made is not None, f"no code for {user}"
        won: list[str] = []

        async def race(device: str) -> None:
            done = await self.stubborn("code_redeem", user=user, code=made["code"], device=device)
            if done is not None:
                assert (done["state"], done["device"]) == ("used", device)
                won.append(device)

        async with trio.open_nursery() as nursery:
            for number in range(CLIENTS):
                nursery.start_soon(race, f"{user}-phone-{number}")
        return won

    async def rounds(self, names: list[str], wins: dict[str, list[str]]) -> None:
        """Some rounds one after the other."""
        for name in names:
            wins[name] = await self.fight(name)


@contextlib.asynccontextmanager
async def open_contest(folder: Path, seed: int) -> AsyncIterator[Contest]:
    """Everything runs and is equal."""
    async with open_site(folder, proxies=3) as site:
        program = [sys.executable, "-m", "proxyagent", "run", "--config", str(site.config)]
        proxies = [
            Process(f"proxy{number}", [*site.wires.prefix(f"proxy{number}"), *program, "--id", f"proxy{number}"],
                    site.folder / f"run{number}.log")
            for number in (1, 2, 3)
        ]  # fmt: skip
        site.proxies.clear()  # the load proxies stay where they are
        try:
            for process in (*site.agents.values(), *proxies):
                process.start()
            await site.wait_settled(20)
            contest = Contest(site, proxies, random.Random(seed))
            await until(partial(_linked, contest), 20, "all proxies are linked")
            yield contest
        finally:
            for proxy in proxies:
                proxy.kill()


async def _linked(contest: Contest) -> object:
    states = [await agent.status() for agent in contest.site.agents.values()]
    linked = {proxy["id"] for state in states for proxy in state.get("proxies", ()) if proxy["connected"]}
    return linked >= {proxy.name for proxy in contest.proxies} or f"linked: {sorted(linked)}"


async def test_twenty_codes_with_nothing_broken_are_redeemed_once(tmp_path: Path) -> None:
    """20 rounds, several at a time: exactly one client has each code."""
    wins: dict[str, list[str]] = {}
    async with open_contest(tmp_path, 1) as contest, trio.open_nursery() as nursery:
        for block in range(4):
            nursery.start_soon(contest.rounds, [f"user{block}-{number}" for number in range(5)], wins)

    assert {user: won for user, won in wins.items() if len(won) != 1} == {}
    assert len(wins) == 20


async def test_a_killed_master_gives_no_code_away_twice(tmp_path: Path) -> None:
    """16 rounds, in two groups; in each the master is killed, and comes back: exactly one client has each code."""
    wins: dict[str, list[str]] = {}
    async with open_contest(tmp_path, 2) as contest:
        for episode in range(2):
            async with trio.open_nursery() as nursery:
                for block in range(8):
                    nursery.start_soon(contest.rounds, [f"user{episode}-{block}"], wins)
                await trio.sleep(contest.dice.uniform(0.0, 0.3))
                master = contest.site.agents[await contest.site.master()]
                master.kill()
                await trio.sleep(1.0)
                master.start()
            await contest.site.wait_settled(20)

    assert {user: won for user, won in wins.items() if len(won) != 1} == {}
    assert len(wins) == 16


async def test_a_cut_gives_no_code_away_twice(tmp_path: Path) -> None:
    """16 rounds while the agents are cut off from each other, by silence and by resets: never two have one code."""
    kinds: tuple[Literal["drop", "reset"], ...] = ("drop", "reset")
    wins: dict[str, list[str]] = {}
    async with open_contest(tmp_path, 3) as contest:
        for episode, kind in enumerate(kinds):
            async with trio.open_nursery() as nursery:
                for block in range(8):
                    nursery.start_soon(contest.rounds, [f"user{episode}-{block}"], wins)
                await trio.sleep(contest.dice.uniform(0.0, 0.3))
                await contest.site.wires.cut("agent1", "agent2", kind)
                await trio.sleep(2.5)
                await contest.site.wires.heal()
            await contest.site.wait_settled(20)

    assert {user: won for user, won in wins.items() if len(won) > 1} == {}
    assert sum(map(len, wins.values())) >= 8, "what was cut has healed, and codes are redeemed again"
