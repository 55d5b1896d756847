"""Command lines that nobody means, given to both real programs beside an agent and a proxy that run."""

import os
import random
import sys
from pathlib import Path

import pytest
import trio

from tests.system.daemons import open_machines
from tests.system.harness import ROOT

pytestmark = [pytest.mark.system, pytest.mark.slow]

SEED = 5
COMMANDS = 70
WITHIN_S = 60.0
AT_A_TIME = 2

ODD = (
    b"\xff\xfe", b"", b" ", "é".encode(), b"a" * 5_000, b"\x1b[2Jx", b"-1", b"1e999", b"nan", b"inf", b"0", b"9" * 30,
    "\U0001f600".encode(), b"\xed\xa0\x80", b"10.3.4.5", b"a\nb", b"=", b"a=", b"a=b=c", b"::1%eth0", b"-", b"\xc2\x85",
)  # fmt: skip
"""What is put in the place of each word in capitals."""

LINES = """\
proxyagent login K --user U --attribute A
proxyagent login K --user U --idle-timeout N --lifetime N
proxyagent login K --user U --wait W --timeout N
proxyagent lookup K --touch
proxyagent logout --user U
proxyagent sessions --user U
proxyagent touch K
proxyagent status --control P
proxyagent status --id I
proxyagent code redeem U C
proxyagent cookie open C
proxyagent run --id I
authagent sessions --user U --site S --proxy X --limit N
authagent logout K --timeout N
authagent logout --user U
authagent explain K
authagent status --wait N
authagent status --config P
authagent check --as I
authagent init P --site S --agent H --proxy X
authagent import P
authagent code create U --validity N
authagent switch --timeout N
authagent --listen H 1
authagent --http H 1
authagent N""".splitlines()


CONFIGURATION = """\
site = "lan1"
[control]
folder = "/run/authagent"
[[proxyagent]]
id = "p*"
"""


async def test_no_command_line_breaks_a_program(tmp_path: Path) -> None:
    """Whatever stands in it: a documented exit code, in time, no traceback, and no letter that steers a terminal."""
    example, here = tmp_path / "example.toml", tmp_path / "here"
    example.write_text(CONFIGURATION)
    here.mkdir()
    chance, limit = random.Random(SEED), trio.CapacityLimiter(AT_A_TIME)
    async with open_machines(example, ["p1"]) as machines, trio.open_nursery() as nursery:
        around = {**os.environ, "AUTHAGENT_CONFIG": str(machines.folder / "p1.toml"), "PYTHONPATH": str(ROOT)}

        async def tried(words: list[bytes]) -> None:
            command = [sys.executable, "-m", *words]
            async with limit:
                with trio.fail_after(WITHIN_S):
                    done = await trio.run_process(
                        command, capture_stdout=True, capture_stderr=True, check=False, cwd=here, env=around
                    )
            said = done.stdout + done.stderr
            assert done.returncode in (0, 1, 2, 3, 4), (words, said)
            assert b"Traceback" not in said and b"\x1b" not in said, (words, said)

        for _ in range(COMMANDS):
            line = chance.choice(LINES).split()
            nursery.start_soon(tried, [chance.choice(ODD) if word.isupper() else word.encode() for word in line])
