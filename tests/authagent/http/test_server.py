"""What an agent answers over HTTP to load balancers."""

import json
from pathlib import Path

from tests.authagent.http.telling import ask
from tests.authagent.running import make, run_agents, until, write_files


async def test_an_agent_that_starts_is_alive_and_not_ready(tmp_path: Path) -> None:
    """Nobody should be sent to it, and nobody should kill it."""
    starting = make(write_files(tmp_path, agents=2))
    status, text = await ask(starting, "/health")
    assert (status, json.loads(text)) == (200, {"alive": True})
    status, text = await ask(starting, "/ready")
    assert (status, json.loads(text)) == (503, {"ready": False, "role": "starting"})


async def test_master_and_slave_are_ready(tmp_path: Path) -> None:
    """The one that serves, and the one that stands by with everything."""
    async with run_agents(write_files(tmp_path, agents=2), 1, 2) as agents:
        for each in agents:
            await until(lambda each=each: not each.handler.problems())
            status, text = await ask(each, "/ready")
            assert (status, json.loads(text)) == (200, {"ready": True, "role": each.role.name.lower()})
