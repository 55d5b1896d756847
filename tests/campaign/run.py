"""A campaign against one contender: rounds until the minutes are used up, each with a fresh crew.

Rules of this file: a contender is a name, what is said of its configuration, what makes its crew on a ground, and the
programs that must be installed for it.
"""

import random
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import attrs
import trio

from tests.campaign.round import Findings, Round
from tests.system.crew import Crew
from tests.system.ground import Ground, open_ground

ROUND_S = 120.0

PROXIES = ("proxy1", "proxy2", "proxy3")


@attrs.frozen
class Contender:
    """One product with the servers it wants."""

    name: str
    about: str
    servers: tuple[str, ...]
    make: Callable[[Ground], Crew]
    programs: tuple[str, ...] = ()


async def play_round(contender: Contender, folder: Path, dice: random.Random, rate: float, seconds: float) -> Findings:
    """One round in `folder`, which is empty."""
    async with open_ground(folder, contender.servers, PROXIES, rough=True) as ground:
        crew = contender.make(ground)
        try:
            return await Round(crew, dice, rate, seconds).run()
        finally:
            crew.end()


async def missing() -> list[str]:
    """What cannot be broken on this machine, and why."""
    with tempfile.TemporaryDirectory(prefix="campaign-") as folder:
        async with open_ground(Path(folder), ("server",), (), rough=True) as ground:
            return ground.missing


async def play(
    contender: Contender, seed: int, rate: float, minutes: float, tell: Callable[[str], None]
) -> tuple[Findings, int]:
    """Rounds of one contender, told as they end; what they found together, and how many they were."""
    found, rounds, end_s = Findings(), 0, trio.current_time() + 60 * minutes
    while (left_s := end_s - trio.current_time()) > 0:
        dice = random.Random(f"{seed} round {rounds}")
        folder = Path(tempfile.mkdtemp(prefix="campaign-"))
        this = await play_round(contender, folder, dice, rate, max(10.0, min(ROUND_S, left_s)))
        rounds += 1
        found = found.plus(this)
        tell(
            f"{contender.name} round {rounds}: {sum(this.faults.values())} faults, {this.logins} logins acknowledged, "
            f"{this.lost} lost, {this.back} back, {this.resurrected} resurrected, {this.forgotten} forgotten"
            + ("" if not this.broken else f"; kept in {folder}: {'; '.join(this.examples)}")
        )
        if not this.broken:
            shutil.rmtree(folder)
    return found, rounds
