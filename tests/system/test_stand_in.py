"""A site whose agents are all gone, as real processes: its proxies go on at another site, and come home.

Bounds on seconds have room for a busy machine; nothing here depends on how fast it is.
"""

import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.system.crew import Proxy
from tests.system.harness import until
from tests.system.sites import Sites, Size, open_sites

pytestmark = [pytest.mark.system, pytest.mark.slow]

PATIENCE_S = 40.0

FAILOVER = """
[failover]
other_sites = ["lan1", "lan2"]
after = "1s"
return_after = "2s"
"""


def let_stand_in(sites: Sites, text: str = FAILOVER) -> None:
    """Every site may serve every other one's proxies."""
    for site in sites.sizes:
        path = sites.folder / f"{site}.toml"
        path.write_text(path.read_text() + text)


async def wait_served_at(proxies: list[Proxy], site: str) -> None:
    """Until an agent of this site serves all of these proxies, and their copies are full."""
    for proxy in proxies:

        async def there(proxy: Proxy = proxy) -> object:
            state: Mapping[str, object] = await proxy.state(PATIENCE_S)
            return (state["agent_site"] == site and bool(state["synchronised"])) or state

        await until(there, PATIENCE_S, f"{proxy.name} is served at {site}")


async def test_its_proxies_go_on_at_another_site_and_come_home(tmp_path: Path) -> None:
    """Both agents of lan1 are killed and lose their disks: logins and logouts at its proxies are acknowledged by lan2,
    whose master falls too, and known there; the agents come back empty, the proxies go home, 0 lost, 0 back.
    """
    async with open_sites(tmp_path, {"lan1": Size(2, 2), "lan2": Size(2, 1)}) as sites:
        let_stand_in(sites)
        await sites.start(PATIENCE_S)
        home, (there,) = sites.proxies_of("lan1"), sites.proxies_of("lan2")
        await home[0].log_in("10.1.0.1", "alice")
        await home[1].log_in("10.1.0.2", "bob")
        await there.log_in("10.2.0.1", "carol")
        await sites.verify(PATIENCE_S)

        for agent in sites.agents_of("lan1"):
            agent.kill()
            shutil.rmtree(agent.state_dir)
        await home[0].log_out(user="bob", within_s=PATIENCE_S)  # begun with nobody to hear it
        await wait_served_at(home, "lan2")
        await home[0].log_in("10.1.0.3", "dave", PATIENCE_S)
        assert len((await there.log_out(key="10.1.0.1", within_s=PATIENCE_S))["ids"]) == 1
        assert len((await home[1].log_out(key="10.2.0.1", within_s=PATIENCE_S))["ids"]) == 1
        fallen = await sites.master("lan2")
        fallen.kill()
        await home[0].log_in("10.1.0.5", "frank", PATIENCE_S)
        await sites.verify(PATIENCE_S)

        for agent in (*sites.agents_of("lan1"), fallen):
            agent.start()
        await wait_served_at(home, "lan1")
        await home[1].log_in("10.1.0.4", "erin", PATIENCE_S)
        await sites.wait_settled(PATIENCE_S)
        await sites.verify(PATIENCE_S)
        assert sorted((await there.shown()).values()) == ["10.1.0.3", "10.1.0.4", "10.1.0.5"]
