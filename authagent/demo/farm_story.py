"""The story of `authagent demo --squid`, act by act: three Squids, one login.

Rules of this file: as in story.py. Exit code 2 where a program is missing that the story needs.
"""

import sys
from pathlib import Path
from typing import TextIO

import attrs
import trio

from authagent.demo.cast import Program, until
from authagent.demo.client import Answer, Restless
from authagent.demo.farm import START_S, Farm, missing, open_farm
from authagent.demo.farm_files import SQUIDS
from authagent.demo.narrate import Narrator, Seen, StepFailed
from authagent.demo.story import Acts, perform, play_acts

MISSING = 2

_KNOWN_S = 15.0
_BACK_S = 60.0
_AT_LEAST = 20
"""Pages that alice's client must get after something happened, before it is believed that all is well."""


def run(keep: bool = False, out: TextIO | None = None) -> int:
    """Play the story of the farm on this machine and return the exit code. See story.run."""
    lacking = missing()
    if lacking:
        print(f"authagent demo --squid needs what is not installed here: {'; '.join(lacking)}", file=sys.stderr)
        return MISSING
    return trio.run(perform, keep, Narrator(out), _story)


async def _story(folder: Path, narrator: Narrator) -> int:
    began = trio.current_time()
    narrator.title("One login for three Squids: a switch, a login page, a directory, and what can go wrong")
    async with open_farm(folder) as farm, trio.open_nursery() as nursery:
        narrator.remark(f"the files are those of examples/squid_farm; logs in {folder}")
        play = Play(farm, Restless(farm.users["alice"]), nursery)
        held = await play_acts(play.acts(), narrator, folder)
        nursery.cancel_scope.cancel()
    narrator.last(play.restless.asked_again, play.back, trio.current_time() - began)
    return 0 if held else 1


@attrs.define
class Play:
    """The acts, in their order."""

    farm: Farm
    restless: Restless
    nursery: trio.Nursery
    back: int = 0
    _asking: trio.CancelScope = attrs.field(factory=trio.CancelScope)

    def acts(self) -> Acts:
        """What is done, and what does it."""
        yield "start directory, agents, Squids, switch", self.start
        yield "alice and bob want a page", self.ask_first
        yield "alice logs in at the page", self.log_in
        yield "alice asks every Squid", self.know_everywhere
        yield "kill -9 squid 1 and its ProxyAgent", self.kill_squid
        yield "start them again, under load", self.bring_back
        yield "kill -9 the master agent", self.kill_master
        yield "alice logs out at the page", self.log_out

    async def start(self) -> Seen:
        """Everything at once, as after a power cut."""
        farm, began = self.farm, trio.current_time()
        for program in (*farm.front, *farm.agents):
            program.start()
        for machine in farm.machines.values():
            machine.start()
        for squid in SQUIDS:
            await until(lambda squid=squid: self._listens(squid), START_S, f"squid {squid} listens")
        await until(lambda: self._answers("alice"), START_S, "the switch sends users to a Squid")
        await until(farm.page_listens, START_S, "the login page listens")
        return Seen("all run; the switch lets each Squid in when it knows everybody", _ms(began))

    async def ask_first(self) -> Seen:
        """Nobody is known: a page for plain http, 407 for https."""
        page, tunnel = await self.farm.ask("alice"), await self.farm.connect("bob")
        _expect(page.status == 303, "alice is sent to the login page (303)", page)
        _expect(tunnel.status == 407, "bob's https is asked for a password (407)", tunnel)
        return Seen("alice is sent to the login page; bob's https gets 407", "303, 407")

    async def log_in(self) -> Seen:
        """The directory checks the password: a wrong one first."""
        farm = self.farm
        wrong = await farm.sign_in("alice", "not " + farm.users["alice"].password)
        if wrong < 400:
            raise StepFailed("a wrong password is refused", str(wrong))
        began = trio.current_time()
        right = await farm.sign_in("alice", farm.users["alice"].password)
        if right not in (200, 303):
            raise StepFailed("the right password is taken", str(right))
        return Seen("a wrong password is refused, hers is right", _ms(began))

    async def know_everywhere(self) -> Seen:
        """One login, three Squids; then she never stops asking."""
        seconds = await self.farm.everywhere("alice", SQUIDS, let_through=True, within_s=_KNOWN_S)
        bob = await self.farm.ask("bob")
        _expect(bob.asked, "bob is still asked", bob)
        self.nursery.start_soon(self._ask_for_ever)
        await self._more_pages()
        return Seen("all three let her through, and nobody else", f"{seconds * 1000:.0f} ms")

    async def kill_squid(self) -> Seen:
        """The switch goes to the others, which know her."""
        self.farm.machines[1].kill()
        await self._more_pages()
        return Seen("alice's client goes on through the switch", self._requests())

    async def bring_back(self) -> Seen:
        """Squid listens long before its ProxyAgent knows anybody; the switch waits for that."""
        began = trio.current_time()
        self.farm.machines[1].start()
        await self.farm.everywhere("alice", SQUIDS, let_through=True, within_s=_BACK_S)
        await self._more_pages()
        return Seen("squid 1 knows her again; she was never asked", f"{self._requests()}; {_ms(began)}")

    async def kill_master(self) -> Seen:
        """The other agent takes over; bob logs in meanwhile and is known everywhere."""
        self.farm.agents[0].kill()
        began = trio.current_time()
        await self.farm.sign_in("bob", self.farm.users["bob"].password)
        await self.farm.everywhere("bob", SQUIDS, let_through=True, within_s=_KNOWN_S)
        await self._more_pages()
        return Seen("bob logs in all the same, and is known at every Squid", _ms(began))

    async def log_out(self) -> Seen:
        """Out at one place is out at all of them."""
        self._asking.cancel()
        self._nobody_asked_again()
        began = trio.current_time()
        told = await self.farm.sign_out("alice")
        if told not in (200, 303):
            raise StepFailed("the page logs alice out", str(told))
        answer = await self.farm.ask("alice")
        if not answer.asked:
            self.back += 1
        _expect(answer.asked, "her next request is asked again", answer)
        await self.farm.everywhere("alice", SQUIDS, let_through=False, within_s=_KNOWN_S)
        await self.farm.everywhere("bob", SQUIDS, let_through=True, within_s=_KNOWN_S)
        return Seen("her next request is sent to the login page, at every Squid; bob stays", _ms(began))

    # -- what the acts share -----------------------------------------------------------------------------------------

    def _listens(self, squid: int) -> object:
        return "Accepting HTTP Socket" in self.farm.squid_log(squid) or self.farm.machines[squid].squid.last_line()

    async def _answers(self, name: str) -> object:
        dead: list[Program] = [each for each in self.farm.programs() if not each.running]
        if dead:
            return dead[0].last_line()
        answer = await self.farm.ask(name)
        return answer.asked or f"{answer.status} {answer.text[:80]}"

    async def _ask_for_ever(self) -> None:
        with self._asking:
            await self.restless.ask_for_ever(self.farm.files.ports.switch, self.farm.web)

    async def _more_pages(self) -> None:
        wanted = self.restless.answered + _AT_LEAST
        await until(lambda: self.restless.answered >= wanted or self._requests(), _BACK_S, "alice's client gets pages")
        self._nobody_asked_again()

    def _nobody_asked_again(self) -> None:
        if self.restless.asked_again:
            raise StepFailed("alice is never asked again", self._requests())

    def _requests(self) -> str:
        asked, broken = self.restless.asked_again, self.restless.broken
        return f"requests {self.restless.requests}, asked again {asked}, in flight at the kill {broken}"


def _expect(holds: bool, expected: str, answer: Answer) -> None:
    if not holds:
        raise StepFailed(expected, f"{answer.status} {answer.text.strip()[:80]}")


def _ms(began: float) -> str:
    return f"{(trio.current_time() - began) * 1000:.0f} ms"


if __name__ == "__main__":
    sys.exit(run(keep="--keep" in sys.argv[1:]))
