"""A hundred faults under load, and an oracle that knows what was promised: nothing lost, nobody back.

Agents and proxies are killed with -9, stopped and continued, and cut off, several at a time, while every proxy logs in
and out. Disks stay. At the end everything is started and healed, and every proxy must show what was acknowledged.
The order of faults is drawn from a seed, which is printed; the processes are real, so a seed repeats the faults and
not the outcome. More of them, of more kinds, under more load: `make campaign`.
"""

import os
import random
import secrets
from pathlib import Path

import attrs
import pytest
import trio

from tests.campaign.round import Round
from tests.system.harness import open_site

pytestmark = [pytest.mark.system, pytest.mark.slow]

FAULTS = 100
RATE = 60
"""Logins a second at all proxies together."""

AT_ONCE = 4
RUN_S_MAX = 240.0


async def test_nothing_is_lost_and_nobody_returns_over_100_faults(tmp_path: Path) -> None:
    """After 100 faults under load every acknowledged login is shown at every proxy, and no logged-out one at any."""
    seed = int(os.environ.get("FAULTS_SEED", secrets.randbelow(10**6)))
    print(f"FAULTS_SEED={seed}")
    async with open_site(tmp_path) as site:
        this = Round(site, random.Random(seed), RATE, seconds=10.0, faults_min=FAULTS, at_once=AT_ONCE)
        with trio.fail_after(RUN_S_MAX):
            found = await this.run()
    print({name: value for name, value in attrs.asdict(found).items() if not name.endswith("_s")})
    assert not found.broken, found.examples
    assert sum(found.faults.values()) >= FAULTS
    assert found.logins > 200
    assert found.logouts > 100
