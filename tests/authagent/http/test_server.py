"""What an agent answers over HTTP to load balancers."""

import json
from pathlib import Path
from typing import Any

from authagent.http.server import routes
from tests.authagent.running import Running, make, run_agents, until, write_files
from tests.protocol.io.http.asking import exchange, get, serving, status_of


async def ask(running: Running, path: str) -> tuple[int, Any]:
    """Status and content of an answer."""
    async with serving(*routes(running.server, running.handler)) as served:
        answer = await exchange(served.port, get(path))
    return status_of(answer), json.loads(answer.partition(b"\r\n\r\n")[2])


async def test_an_agent_that_starts_is_alive_and_not_ready(tmp_path: Path) -> None:
    """Nobody should be sent to it, and nobody should kill it."""
    starting = make(write_files(tmp_path, agents=2))
    assert await ask(starting, "/health") == (200, {"alive": True})
    assert await ask(starting, "/ready") == (503, {"ready": False, "role": "starting"})


async def test_master_and_slave_are_ready(tmp_path: Path) -> None:
    """The one that serves, and the one that stands by with everything."""
    async with run_agents(write_files(tmp_path, agents=2), 1, 2) as agents:
        for each in agents:
            await until(lambda each=each: not each.handler.problems())
            assert await ask(each, "/ready") == (200, {"ready": True, "role": each.role.name.lower()})
