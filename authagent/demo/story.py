"""The story of `authagent demo`, act by act: what is done, what must be seen, what is measured.

Rules of this file:

- An act returns what was seen and measured, or raises StepFailed; the story ends at the first that does not hold.
- After every act but the one in which the agents are apart, every running proxy is compared with the ledger.
- Exit code 0 only if every act held; 1 if one did not; 130 after Ctrl-C. Nothing is left behind but, with `keep` or
  after a failure, the folder with the logs.
"""

import json
import shutil
import signal
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import TextIO, TypeAlias

import attrs
import trio

from authagent.demo.cast import ctl, environment, until
from authagent.demo.client import Restless
from authagent.demo.narrate import Narrator, Seen, StepFailed
from authagent.demo.relay import Caller
from authagent.demo.stage import Stage, open_stage

Acts: TypeAlias = Iterator[tuple[str, Callable[[], Awaitable[Seen]]]]
"""What is done, and what does it."""

INTERRUPTED = 130
"""What a shell reports for a program ended by Ctrl-C."""

_START_S = 20.0
_FAILOVER_S = 5.0
_SPLIT_S = 12.0
_STOP_S = 3.0


def run(keep: bool = False, out: TextIO | None = None) -> int:
    """Play the whole story on this machine and return the exit code.

    Blocks for under a minute. Starts processes and ends every one of them; listens on loopback only. With `keep` the
    folder with logs and state is left behind. `out` is where the story is told, standard output by default.
    """
    return trio.run(perform, keep, Narrator(out), _story)


async def perform(keep: bool, narrator: Narrator, story: Callable[[Path, Narrator], Awaitable[int]]) -> int:
    """Play a story in a folder of its own, until it ends or a signal comes; returns the exit code."""
    folder = Path(tempfile.mkdtemp(prefix="authagent-demo-"))
    code = INTERRUPTED
    try:
        with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM, signal.SIGHUP) as signals:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_cancel_at, signals, nursery.cancel_scope)
                code = await story(folder, narrator)
                nursery.cancel_scope.cancel()
    finally:
        if keep or code == 1:
            narrator.remark(f"logs and state are in {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)
    return code


async def _cancel_at(signals: object, scope: trio.CancelScope) -> None:
    async for _ in signals:  # type: ignore[attr-defined]
        scope.cancel()


async def _story(folder: Path, narrator: Narrator) -> int:
    began = trio.current_time()
    narrator.title("One login for every proxy: two agents, three proxies, and what can go wrong")
    async with open_stage(folder) as stage, trio.open_nursery() as nursery:
        narrator.remark(f"proxies behind {stage.switch_name}; logs in {folder}")
        play = Play(stage, Restless(stage.users["alice"]), nursery)
        held = await play_acts(play.acts(), narrator, folder)
        nursery.cancel_scope.cancel()
    ledger = stage.ledger
    narrator.last(ledger.lost + play.restless.asked_again, ledger.back, trio.current_time() - began)
    return 0 if held else 1


async def play_acts(acts: Acts, narrator: Narrator, folder: Path) -> bool:
    """Play act after act and tell each; whether all held. The first that does not is the last."""
    for done, act in acts:
        try:
            told = await act()
        except StepFailed as failure:
            narrator.failed(done, failure, str(folder))
            return False
        narrator.step(done, told)
    return True


@attrs.define
class Play:
    """The acts, in order."""

    stage: Stage
    restless: Restless
    nursery: trio.Nursery
    _asking: trio.CancelScope = attrs.field(factory=trio.CancelScope)

    def acts(self) -> Acts:
        """What is done, and how."""
        yield "start agents and proxies", self.start
        yield "log in at proxy 1", self.log_in
        yield "go to proxies 2 and 3", self.go_elsewhere
        yield "kill -9 proxy 1", self.kill_proxy
        yield "kill -9 the master", self.kill_master
        yield "bring both back", self.bring_back
        yield "authagent switch, twice", self.switch_masters
        yield "cut the two agents apart", self.cut_apart
        yield "heal the cut", self.heal
        yield "authagent explain bob", self.explain
        yield "stop both agents", self.stop_agents
        yield "start both with empty disks", self.start_empty
        yield "log out everywhere", self.log_out_everywhere

    async def start(self) -> Seen:
        """Two agents agree who is master; three proxies find it."""
        stage = self.stage
        for program in (*stage.agents.values(), *stage.proxies.values()):
            program.start()
        seconds = await stage.roles({1: "master", 2: "slave"}, proxies=3, equal=True, within_s=_START_S)
        for number, proxy in stage.proxies.items():
            await until(proxy.listens, _START_S, f"proxy {number} listens")
        return Seen("agent 1 is master, agent 2 its slave, three proxies linked", f"{seconds:.1f} s")

    async def log_in(self) -> Seen:
        """Alice is asked once."""
        answer = await self.stage.log_in("alice", 1)
        return Seen("alice is asked for her password, shows it, gets the page", _ms(answer.seconds))

    async def go_elsewhere(self) -> Seen:
        """The other proxies know her; from now on her client never stops asking, through the switch."""
        seconds = await self.stage.let_through("alice", (2, 3))
        self.nursery.start_soon(self._ask_for_ever)
        return Seen("alice is let through at both without a password", _ms(seconds))

    async def kill_proxy(self) -> Seen:
        """The switch sends her to the others, which know her."""
        before = self.restless.answered
        self.stage.proxies[1].kill()
        seconds = await self._until_answered(before + 40)
        await self._check()
        return Seen("alice's client goes on through the switch", f"{_requests(self.restless)} ({seconds:.1f} s)")

    async def kill_master(self) -> Seen:
        """The slave takes over: somebody who logs in at one proxy meanwhile is known at another."""
        self.stage.agents[1].kill()
        killed = trio.current_time()
        await self.stage.log_in("bob", 2)
        await self.stage.let_through("bob", (3,), _FAILOVER_S)
        seconds = trio.current_time() - killed
        await self.stage.roles({2: "master"}, proxies=2, equal=False, within_s=_FAILOVER_S)
        await self._check()
        return Seen("agent 2 serves; bob logs in at proxy 2 and is known at 3", f"{_ms(seconds)} after the kill")

    async def bring_back(self) -> Seen:
        """Who comes back follows, and learns what it missed."""
        stage = self.stage
        stage.agents[1].start()
        stage.proxies[1].start()
        seconds = await stage.roles({1: "slave", 2: "master"}, proxies=3, equal=True, within_s=_START_S)
        await until(stage.proxies[1].listens, _START_S, "proxy 1 listens")
        await stage.let_through("bob", (1,))
        await stage.log_in("erin", 1)
        await self._check()
        return Seen("agent 1 is the slave now; proxy 1 knows bob, and logs erin in", f"{seconds:.1f} s, tables equal")

    async def switch_masters(self) -> Seen:
        """Agents change places at a word, there and back, and nobody notices."""
        took = []
        for master, slave in ((1, 2), (2, 1)):
            told = json.loads(await self._authagent("switch", "--json", "--id", "1"))
            took.append(_ms(told["took_s"]))
            await self.stage.roles({master: "master", slave: "slave"}, proxies=3, equal=True, within_s=_START_S)
        await self._check()
        return Seen("agent 1 serves, then agent 2 again; nobody is asked again", f"handed over in {', '.join(took)}")

    async def cut_apart(self) -> Seen:
        """Two masters: proxy 3 can reach agent 1 only, the others agent 2 only; both sides log in and out."""
        stage = self.stage
        stage.relays[1].cut(lambda caller: caller != Caller("proxy", "proxy3"))
        stage.relays[2].cut(lambda caller: caller.kind == "agent" or caller.id == "proxy3")
        seconds = await stage.roles({1: "master", 2: "master"}, proxies=3, equal=False, within_s=_SPLIT_S)
        await stage.log_in("carol", 2)
        await stage.log_out("erin", 2)
        await stage.log_in("dave", 3)
        await stage.log_out("bob", 3)
        self._nobody_asked_again()
        return Seen(
            "two masters; carol in and erin out here, dave in and bob out there", f"{seconds:.1f} s until both serve"
        )

    async def heal(self) -> Seen:
        """Each side gives what the other lacks; agent 1, promoted last, has the higher term and stays master."""
        for relay in self.stage.relays.values():
            relay.heal()
        healed = trio.current_time()
        await self.stage.roles({1: "master", 2: "slave"}, proxies=3, equal=True, within_s=_SPLIT_S)
        seconds = trio.current_time() - healed
        await self._check()
        return Seen("one master; carol and dave are in, bob and erin out, everywhere", f"{seconds:.1f} s, tables equal")

    async def explain(self) -> Seen:
        """Why is bob out? Both agents are asked, and tell how they heard of it."""
        began = trio.current_time()
        told = json.loads(await self._authagent("explain", "bob", "--json", "--id", "2"))
        last = told["sessions"][-1]
        if last["ended"] != "logged_out" or sorted(told["told_by"]) != ["1", "2"]:
            raise StepFailed("bob's session ended by a logout, told by both agents", json.dumps(last))
        events = "event" if len(last["events"]) == 1 else "events"
        text = f"began at {last['proxy']}, {len(last['events'])} {events}, ended: {last['ended']}"
        return Seen(text, _ms(trio.current_time() - began))

    async def stop_agents(self) -> Seen:
        """With no agent at all, proxies serve whom they know, and log newcomers in."""
        slowest = max([await self.stage.agents[number].stop(_STOP_S) for number in (1, 2)])
        before = self.restless.answered
        await self.stage.log_in("frank", 3)
        await self._until_answered(before + 40)
        self._nobody_asked_again()
        return Seen("alice goes on; frank logs in at proxy 3", f"agents ended in {_ms(slowest)}")

    async def start_empty(self) -> Seen:
        """The proxies refill agents that lost everything."""
        stage = self.stage
        for agent in stage.agents.values():
            shutil.rmtree(agent.state_dir)
            agent.start()
        seconds = await stage.roles({1: "master", 2: "slave"}, proxies=3, equal=True, within_s=_START_S)
        await self._check()
        known = (await stage.status_of(2)).get("sessions")
        if known != len(stage.ledger.inside):
            raise StepFailed(f"agent 2 counts {len(stage.ledger.inside)} sessions", str(known))
        return Seen("refilled by the proxies; all let in everywhere, frank too", f"{known} sessions, {seconds:.1f} s")

    async def log_out_everywhere(self) -> Seen:
        """One command, and every proxy asks everybody again."""
        self._asking.cancel()
        self._nobody_asked_again()
        inside = sorted(self.stage.ledger.inside)
        began = trio.current_time()
        await self._authagent("logout", "--all", "--id", "1")
        self.stage.ledger.logged_out(*inside)
        await self.stage.verify()
        seconds = trio.current_time() - began
        return Seen(f"all {len(inside)} are asked again at every proxy", f"{_ms(seconds)}; {_requests(self.restless)}")

    async def _authagent(self, *words: str) -> bytes:
        """Ask a running agent, as an operator would; returns what was printed."""
        done = await trio.run_process(
            [*ctl(self.stage.config), *words],
            capture_stdout=True,
            capture_stderr=True,
            check=False,
            env=environment(),
        )
        if done.returncode != 0:
            said = done.stderr.decode(errors="replace").strip()
            raise StepFailed(f"authagent {' '.join(words)} exits with 0", f"{done.returncode}: {said}")
        return done.stdout

    async def _ask_for_ever(self) -> None:
        with self._asking:
            await self.restless.ask_for_ever(self.stage.switch_port, self.stage.page_url)

    async def _until_answered(self, count: int) -> float:
        return await until(
            lambda: True if self.restless.answered >= count else _requests(self.restless),
            _FAILOVER_S,
            "alice's client gets 40 more pages",
        )

    async def _check(self) -> None:
        await self.stage.verify()
        self._nobody_asked_again()

    def _nobody_asked_again(self) -> None:
        if self.restless.asked_again:
            raise StepFailed("alice is never asked again", _requests(self.restless))


def _requests(restless: Restless) -> str:
    return f"requests {restless.requests}, asked to log in again {restless.asked_again}"


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms"


if __name__ == "__main__":
    sys.exit(run(keep="--keep" in sys.argv[1:]))
