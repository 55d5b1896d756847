"""The story of `authagent demo --wan`, act by act: one login at two sites, whatever becomes of the WAN and of a site.

Rules of this file: as in story.py.
"""

import json
from pathlib import Path
from typing import TextIO

import attrs
import trio

from authagent.demo.cast import ctl, environment, until
from authagent.demo.narrate import Narrator, Seen, StepFailed
from authagent.demo.story import Acts, perform, play_acts
from authagent.demo.wan_stage import WanStage, open_wan_stage

_START_S = 40.0
_APART_S = 15.0
_WHOLE_S = 20.0


def run(keep: bool = False, out: TextIO | None = None) -> int:
    """Play the story of two sites on this machine and return the exit code. Blocks for under 90 s. See story.run."""
    return trio.run(perform, keep, Narrator(out), _story)


async def _story(folder: Path, narrator: Narrator) -> int:
    began = trio.current_time()
    narrator.title("One login at two sites: two agents and two proxies each, and what can become of the WAN")
    async with open_wan_stage(folder) as stage:
        narrator.remark(f"agents 1 and 2, proxies 1 and 2 are at lan1, proxies 3 and 4 at lan2; logs in {folder}")
        held = await play_acts(Play(stage).acts(), narrator, folder)
    narrator.last(stage.ledger.lost, stage.ledger.back, trio.current_time() - began)
    return 0 if held else 1


@attrs.define
class Play:
    """The acts, in order."""

    stage: WanStage

    def acts(self) -> Acts:
        """What is done, and how."""
        yield "start two sites", self.start
        yield "alice logs in at lan1", self.log_in
        yield "alice goes on at lan2", self.go_elsewhere
        yield "cut the WAN", self.cut
        yield "log in and out on both sides", self.act_apart
        yield "heal the WAN", self.heal
        yield "kill -9 the master of lan1", self.kill_master
        yield "kill -9 both agents of lan2", self.kill_site
        yield "bring all back", self.bring_back
        yield "log out everywhere", self.log_out_everywhere

    async def start(self) -> Seen:
        """In each site two agents agree who is master; the masters find each other."""
        stage = self.stage
        for program in (*stage.agents.values(), *stage.proxies.values()):
            program.start()
        seconds = await stage.wait_whole(_START_S)
        for number, proxy in stage.proxies.items():
            await until(proxy.listens, _START_S, f"proxy {number} listens")
        return Seen("in each site a master, its slave, two proxies; the masters linked", f"{seconds:.1f} s")

    async def log_in(self) -> Seen:
        """Alice is asked once."""
        answer = await self.stage.log_in("alice", 1)
        return Seen("alice is asked for her password at proxy 1, and gets the page", _ms(answer.seconds))

    async def go_elsewhere(self) -> Seen:
        """The proxies of the other site know her."""
        seconds = await self.stage.let_through("alice", (2, 3, 4))
        return Seen("proxies 3 and 4 let her through without a password", _ms(seconds))

    async def cut(self) -> Seen:
        """Silently; a status line is all that either site notices."""
        self.stage.cut_wan()
        seconds = await self.stage.wait_apart(_APART_S)
        await self.stage.verify()
        sentence = (await self.stage.master("lan1"))["sentence"]
        return Seen(f'lan1: "{sentence.partition(":")[0]}"; nobody is asked', f"seen after {seconds:.1f} s")

    async def act_apart(self) -> Seen:
        """Each site goes on by itself."""
        stage = self.stage
        await stage.log_in("bob", 1)
        await stage.log_in("carol", 3)
        await stage.log_out("alice", 4)
        await stage.let_through("bob", (2,))
        await stage.let_through("carol", (4,))
        if not (await stage.ask("alice", 1)).let_through:
            raise StepFailed("lan1 cannot know yet that alice has logged out at lan2", "it asks her")
        waits = (await stage.master("lan2"))["remotes"][0]["queued_events"]
        return Seen("bob in at lan1; carol in and alice out at lan2", f"{waits} events wait there")

    async def heal(self) -> Seen:
        """What waited crosses; alice's logout holds on both sides."""
        self.stage.heal_wan()
        seconds = await self.stage.wait_whole(_WHOLE_S)
        await self.stage.verify()
        return Seen("bob and carol are in, alice is out, at all four proxies", f"{seconds:.1f} s, tables equal")

    async def kill_master(self) -> Seen:
        """The other agent of lan1 serves, and links with lan2."""
        stage = self.stage
        stage.agents[int((await stage.master("lan1"))["id"])].kill()
        killed = trio.current_time()
        await stage.log_in("dave", 2)
        await stage.let_through("dave", (3, 4), _WHOLE_S)
        seconds = trio.current_time() - killed
        await stage.verify()
        return Seen("the slave serves; dave logs in at proxy 2 and is known at lan2", f"{_ms(seconds)} after the kill")

    async def kill_site(self) -> Seen:
        """Its proxies are served by lan1, and keep their own site's name."""
        stage = self.stage
        for number in (3, 4):
            stage.agents[number].kill()
        seconds = await stage.wait_served_by("lan1", 4, _WHOLE_S)
        await stage.log_in("erin", 4)
        await stage.let_through("erin", (1, 2))
        await stage.verify()
        return Seen("lan1 serves proxies 3 and 4 too; erin logs in there, known at lan1", f"{seconds:.1f} s")

    async def bring_back(self) -> Seen:
        """The agents learn what they missed; proxies go home."""
        stage = self.stage
        for agent in stage.agents.values():
            if not agent.running:
                agent.start()
        seconds = await stage.wait_served_by("lan2", 2, _START_S)
        await stage.wait_whole(_WHOLE_S)
        await stage.verify()
        return Seen("proxies 3 and 4 are home; all are in, at all four", f"{seconds:.1f} s until home")

    async def log_out_everywhere(self) -> Seen:
        """One command; it tells where that is done."""
        inside = sorted(self.stage.ledger.inside)
        command = [*ctl(self.stage.config), "--site", "lan1", "logout", "--all", "--json"]
        done = await trio.run_process(command, capture_stdout=True, capture_stderr=True, check=False, env=environment())
        if done.returncode != 0:
            said = (done.stderr + done.stdout).decode().strip()
            raise StepFailed("authagent logout --all exits with 0", f"{done.returncode}: {said}")
        told = json.loads(done.stdout)
        self.stage.ledger.logged_out(*inside)
        await self.stage.verify()
        sites, proxies = (f"{told[name]['done']} of {told[name]['total']} {name}" for name in ("sites", "proxies"))
        return Seen(f"all {len(inside)} are asked again at all four proxies", f"done on {proxies} and {sites}")


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms"
