"""A short round of the campaign on the pair: every kind of fault that this machine allows, and nothing is lost."""

import random
import secrets
from pathlib import Path

import attrs
import pytest
import trio

from tests.campaign.contenders import PAIR
from tests.campaign.round import Round
from tests.campaign.run import PROXIES
from tests.system.ground import open_ground

pytestmark = [pytest.mark.system, pytest.mark.slow]

RATE = 100.0
SECONDS = 12.0
RUN_S_MAX = 240.0


async def test_each_kind_of_fault_leaves_the_pair_with_every_login_and_no_logout_undone(tmp_path: Path) -> None:
    """Each kind once, some at the same time, under load: what was acknowledged is shown, who logged out is not."""
    seed = secrets.randbelow(10**6)
    print(f"seed {seed}")
    async with open_ground(tmp_path, PAIR.servers, PROXIES, rough=True) as ground:
        for limit in ground.missing:
            print(f"left out on this machine: {limit}")
        crew = PAIR.make(ground)
        try:
            this = Round(crew, random.Random(seed), RATE, SECONDS)
            with trio.fail_after(RUN_S_MAX):
                found = await this.run()
        finally:
            crew.end()
    print({name: value for name, value in attrs.asdict(found).items() if not name.endswith("_s")})
    assert not found.broken, found.examples
    assert sum(found.faults.values()) >= len(this.faults.kinds)
    assert found.logins > 200
    assert found.looked_up > 0
