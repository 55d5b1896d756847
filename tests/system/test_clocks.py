"""Real agents that crash while their wall clocks are wrong, and come back before these are set right."""

import os
from functools import partial
from pathlib import Path

import pytest

from tests.system.clocks import find_library
from tests.system.crew import Proxy
from tests.system.harness import Site, open_site, until

pytestmark = [
    pytest.mark.system,
    pytest.mark.slow,
    pytest.mark.skipif(not find_library() and os.environ.get("CI") != "true", reason="needs libfaketime"),
]


@pytest.mark.parametrize("wrong_s", [-20.0, 1_800.0])
async def test_a_crash_under_a_wrong_clock_shuts_nobody_out(tmp_path: Path, wrong_s: float) -> None:
    """Both agents are killed, one comes back alone with a wrong clock, and a fresh proxy is the first at its door."""
    async with open_site(tmp_path, rough=True) as site:
        await site.start()
        await site.proxies[1].log_in("10.0.0.1", "alice")
        await site.proxies[1].log_in("10.0.0.2", "bob")
        await site.proxies[2].log_out(key="10.0.0.2")
        for agent in site.agents.values():
            agent.kill()
        site.proxies[3].kill()
        _shift(site, "agent2", wrong_s)
        site.agents[2].start()
        site.start_proxy(3)
        await site.proxies[3].log_in("10.0.0.3", "carol", within_s=10.0)
        for proxy in site.proxies.values():
            await until(partial(_served, proxy), 10.0, f"{proxy.name} is served")
        _shift(site, "agent2", 0.0)
        site.agents[1].start()
        await site.wait_settled(15.0)
        await site.verify(5.0)
        assert sorted((await site.proxies[2].shown()).values()) == ["10.0.0.1", "10.0.0.3"]


async def _served(proxy: Proxy) -> bool:
    return not (await proxy.state())["isolated"]


def _shift(site: Site, node: str, seconds: float) -> None:
    clocks = site.ground.clocks
    assert clocks is not None and clocks.possible
    clocks.shift(node, seconds)
