"""The stage: two agents, each behind a wire that can be cut, three proxies, a switch, a page, and who must be let in.

Rules of this file:

- The ledger knows who has logged in and who has logged out. What a proxy says is compared with it, at every proxy.
- Leaving the stage ends every process, whatever happened.
"""

import contextlib
import functools
import secrets
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any

import attrs
import trio

from authagent.demo.cast import Agent, Program, Proxy, free_port, make_agent, make_proxy, until, write_configuration
from authagent.demo.client import Answer, User
from authagent.demo.narrate import StepFailed
from authagent.demo.page import serve_page
from authagent.demo.relay import Relay
from authagent.demo.switch import Splitter, haproxy, haproxy_configuration

PROXIES = (1, 2, 3)

NAMES = ("alice", "bob", "carol", "dave", "erin", "frank")

EQUAL_WITHIN_S = 2.0
"""Promise 4: after faults stop, all tables are equal within this on a LAN."""


@attrs.define
class Ledger:
    """Who is in, who is out, and how often a proxy thought otherwise."""

    inside: set[str] = attrs.field(factory=set)
    outside: set[str] = attrs.field(factory=set)
    lost: int = 0
    back: int = 0

    def logged_in(self, name: str) -> None:
        """A right password was shown and the page arrived."""
        self.outside.discard(name)
        self.inside.add(name)

    def logged_out(self, *names: str) -> None:
        """A logout was confirmed."""
        self.inside.difference_update(names)
        self.outside.update(names)


@attrs.define
class Stage:
    """Everything that the acts of the story touch."""

    folder: Path
    config: Path
    users: dict[str, User]
    agents: dict[int, Agent]
    proxies: dict[int, Proxy]
    relays: dict[int, Relay]
    page_url: str
    switch_port: int = 0
    switch_name: str = ""
    equal_within_s: float = EQUAL_WITHIN_S
    ledger: Ledger = attrs.field(factory=Ledger)

    async def ask(self, name: str, proxy: int, *, password: bool = False) -> Answer:
        """One request of a user through one proxy."""
        return await self.users[name].ask(self.proxies[proxy].port, self.page_url, password=password)

    async def log_in(self, name: str, proxy: int) -> Answer:
        """Ask, be asked for the password, show it, get the page."""
        first = await self.ask(name, proxy)
        if not first.asked:
            raise StepFailed(f"proxy {proxy} asks {name} to log in", _told(first))
        answer = await self.ask(name, proxy, password=True)
        if not answer.let_through:
            raise StepFailed(f"proxy {proxy} lets {name} through after the password", _told(answer))
        self.ledger.logged_in(name)
        return answer

    async def log_out(self, name: str, proxy: int) -> Answer:
        """Log out at one proxy, by its own page."""
        answer = await self.users[name].ask(self.proxies[proxy].port, "http://login.internal/logout")
        if not answer.text.startswith("logged out 1"):
            raise StepFailed(f"proxy {proxy} logs {name} out", _told(answer))
        self.ledger.logged_out(name)
        return answer

    async def let_through(self, name: str, proxies: Iterable[int], within_s: float | None = None) -> float:
        """Wait until each of `proxies` lets the user through without a password; returns the seconds it took."""

        async def everywhere() -> object:
            for proxy in proxies:
                answer = await self.ask(name, proxy)
                if not answer.let_through:
                    return f"proxy {proxy}: {_told(answer)}"
            return True

        within_s = self.equal_within_s if within_s is None else within_s
        return await until(everywhere, within_s, f"{name} let through at {_list(proxies)}")

    async def verify(self) -> None:
        """Compare every running proxy with the ledger; whoever is wrong for too long is lost or back."""
        running = [number for number, proxy in self.proxies.items() if proxy.running]
        deadline = trio.current_time() + self.equal_within_s
        while True:
            lost, back = await self._differences(running)
            if not lost and not back:
                return
            if trio.current_time() > deadline:
                break
        self.ledger.lost += len({name for name, _ in lost})
        self.ledger.back += len({name for name, _ in back})
        wrong = [f"{name} asked to log in at proxy {proxy}" for name, proxy in lost]
        wrong += [f"{name} let through at proxy {proxy} after logging out" for name, proxy in back]
        raise StepFailed("every proxy lets in who logged in, and nobody else", "; ".join(wrong))

    async def _differences(self, running: list[int]) -> tuple[list[tuple[str, int]], list[tuple[str, int]]]:
        lost: list[tuple[str, int]] = []
        back: list[tuple[str, int]] = []

        async def look(name: str, proxy: int) -> None:
            answer = await self.ask(name, proxy)
            if name in self.ledger.inside and not answer.let_through:
                lost.append((name, proxy))
            if name in self.ledger.outside and answer.let_through:
                back.append((name, proxy))

        async with trio.open_nursery() as nursery:
            for name in sorted(self.ledger.inside | self.ledger.outside):
                for proxy in running:
                    nursery.start_soon(look, name, proxy)
        return lost, back

    async def status_of(self, number: int) -> dict[str, Any]:
        """What agent `number` says of itself; empty while it does not answer."""
        return await self.agents[number].status() or {}

    async def roles(self, expected: dict[int, str], *, proxies: int, equal: bool, within_s: float) -> float:
        """Wait until the agents have these roles and the masters together these many proxies; with `equal`, until
        the two tables are equal too. Returns the seconds it took."""

        async def settled() -> object:
            states = {number: await self.status_of(number) for number in expected}
            roles = {number: state.get("role") for number, state in states.items()}
            linked = sum(
                sum(bool(proxy.get("connected")) for proxy in state.get("proxies", ()))
                for state in states.values()
                if state.get("role") == "master"
            )
            equals = [bool((state.get("partner") or {}).get("digest_equal")) for state in states.values()]
            if roles == expected and linked == proxies and (all(equals) or not equal):
                return True
            dead = "".join(
                f"; {self.agents[number].last_line()}" for number in expected if not self.agents[number].running
            )
            return f"roles {roles}, proxies linked {linked}, tables equal {equals}{dead}"

        text = " and ".join(f"agent {number} {role}" for number, role in expected.items())
        return await until(settled, within_s, f"{text}, {proxies} proxies linked" + (", tables equal" if equal else ""))


def _told(answer: Answer) -> str:
    return f"{answer.status or 'no answer'} {answer.text.strip()[:80]}"


def _list(proxies: Iterable[int]) -> str:
    return " and ".join(f"proxy {proxy}" for proxy in proxies)


@contextlib.asynccontextmanager
async def open_stage(folder: Path) -> AsyncIterator[Stage]:
    """Set everything up in `folder` and start the wires, the page and the switch; the acts start the rest."""
    users = {
        name: User(name, f"127.0.1.{number}", secrets.token_urlsafe(9)) for number, name in enumerate(NAMES, start=1)
    }
    relay_ports = (free_port(), free_port())
    config = write_configuration(folder, relay_ports, {user.name: user.password for user in users.values()})
    agents = {number: make_agent(folder, config, number) for number in (1, 2)}
    proxies = {number: make_proxy(folder, config, number) for number in PROXIES}
    relays = {number: Relay(agent.port) for number, agent in agents.items()}
    programs: list[Program] = [*agents.values(), *proxies.values()]
    try:
        async with trio.open_nursery() as nursery:
            for number, port in zip(relays, relay_ports, strict=True):
                await nursery.start(functools.partial(trio.serve_tcp, relays[number].serve, port, host="127.0.0.1"))
            listeners = await nursery.start(functools.partial(trio.serve_tcp, serve_page, 0, host="127.0.0.1"))
            page_url = f"http://127.0.0.1:{listeners[0].socket.getsockname()[1]}/"
            switch_port, switch = await _start_switch(nursery, folder, proxies)
            programs += switch
            switch_name = "HAProxy" if switch else "a splitter"
            yield Stage(folder, config, users, agents, proxies, relays, page_url, switch_port, switch_name)
            nursery.cancel_scope.cancel()
    finally:
        for program in programs:
            program.kill()


async def _start_switch(nursery: trio.Nursery, folder: Path, proxies: dict[int, Proxy]) -> tuple[int, list[Program]]:
    """Start HAProxy if it is here, else the splitter; returns the port, and the process if there is one."""
    program = haproxy()
    if program is None:
        splitter = Splitter([proxy.port for proxy in proxies.values()])
        listeners = await nursery.start(functools.partial(trio.serve_tcp, splitter.serve, 0, host="127.0.0.1"))
        return listeners[0].socket.getsockname()[1], []
    port = free_port()
    path = folder / "haproxy.cfg"
    path.write_text(haproxy_configuration(port, [(f"proxy{n}", proxy.port) for n, proxy in proxies.items()]))
    switch = Program("HAProxy", [program, "-db", "-f", str(path)], folder / "haproxy.log")
    switch.start()
    return port, [switch]
