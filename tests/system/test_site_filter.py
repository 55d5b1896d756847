"""A filter between two sites, as real processes: guests stay at home, through a cut and a failover; their ends cross.

Bounds on seconds have room for a busy machine; nothing here depends on how fast it is.
"""

from pathlib import Path

import pytest

from tests.system.crew import Proxy
from tests.system.harness import until
from tests.system.sites import Sites, Size, open_sites

pytestmark = [pytest.mark.system, pytest.mark.slow]

PATIENCE_S = 40.0

NO_GUESTS = """
[[remote]]
site = "lan1"
users = ["!guest-*"]
"""


def add_to_files(sites: Sites, text: str, *names: str) -> None:
    """To the files of these sites."""
    for name in names:
        path = sites.folder / f"{name}.toml"
        path.write_text(path.read_text() + text)


async def wait_shown(proxy: Proxy, *keys: str) -> None:
    """Until a proxy shows sessions under these keys, and under no other."""

    async def so() -> object:
        shown = sorted((await proxy.shown()).values())
        return shown == sorted(keys) or f"{proxy.name} shows {shown}"

    await until(so, PATIENCE_S, f"{proxy.name} shows {sorted(keys)}")


async def tombstones(sites: Sites, site: str) -> int:
    """How many ends a site's master knows."""
    return int((await (await sites.master(site)).status())["tombstones"])


async def test_guests_stay_at_home_and_their_logouts_cross(tmp_path: Path) -> None:
    """Live, by a comparison after a cut, and with another master: the other site is equal, and never shows a guest."""
    async with open_sites(tmp_path, {"lan1": Size(2, 1), "lan2": Size(1, 1)}) as sites:
        add_to_files(sites, NO_GUESTS, "lan1", "lan2")
        await sites.start(PATIENCE_S)
        (home,), (there,) = sites.proxies_of("lan1"), sites.proxies_of("lan2")
        await home.log_in("10.1.0.9", "guest-1", PATIENCE_S)
        await home.log_in("10.1.0.1", "alice", PATIENCE_S)
        await there.log_in("10.2.0.1", "carol", PATIENCE_S)
        await there.log_in("10.2.0.9", "guest-2", PATIENCE_S)
        await sites.wait_settled(PATIENCE_S)
        await wait_shown(there, "10.1.0.1", "10.2.0.1", "10.2.0.9")
        await wait_shown(home, "10.1.0.1", "10.1.0.9", "10.2.0.1")

        await sites.cut("lan1", "lan2")
        await home.log_out(key="10.1.0.9", within_s=PATIENCE_S)
        await home.log_in("10.1.0.8", "guest-3", PATIENCE_S)
        await home.log_in("10.1.0.2", "bob", PATIENCE_S)
        (await sites.master("lan1")).kill()
        await home.log_in("10.1.0.7", "guest-4", PATIENCE_S)
        assert await tombstones(sites, "lan2") == 0
        await sites.wires.heal()
        await sites.wait_settled(PATIENCE_S)
        await wait_shown(there, "10.1.0.1", "10.1.0.2", "10.2.0.1", "10.2.0.9")
        assert await tombstones(sites, "lan2") == 1, "a guest's end is known where the guest never was"

        await home.log_out(user="guest-3", within_s=PATIENCE_S)
        await home.log_out(user="alice", within_s=PATIENCE_S)
        await wait_shown(there, "10.1.0.2", "10.2.0.1", "10.2.0.9")
        await sites.wait_settled(PATIENCE_S)
        assert await tombstones(sites, "lan2") == 3


async def test_sites_whose_filters_differ_do_not_speak(tmp_path: Path) -> None:
    """The reason is in the status of both, nothing has crossed, and each serves its users; equal files mend it."""
    async with open_sites(tmp_path, {"lan1": Size(1, 1), "lan2": Size(1, 1)}) as sites:
        add_to_files(sites, NO_GUESTS, "lan1")
        for agent in sites.agents.values():
            agent.start()
        for number in sites.proxies:
            sites.start_proxy(number)
        (home,), (there,) = sites.proxies_of("lan1"), sites.proxies_of("lan2")
        await home.log_in("10.1.0.1", "alice", PATIENCE_S)
        await there.log_in("10.2.0.1", "carol", PATIENCE_S)
        for site, other in (("lan1", "lan2"), ("lan2", "lan1")):

            async def refused(site: str = site, other: str = other) -> object:
                seen = await sites.remote(site, other)
                return "[[remote]]" in seen["refused"] or seen

            await until(refused, PATIENCE_S, f"{site} says that the filters differ")
        await wait_shown(home, "10.1.0.1")
        await wait_shown(there, "10.2.0.1")

        add_to_files(sites, NO_GUESTS, "lan2")
        (agent,) = sites.agents_of("lan2")
        agent.kill()
        agent.start()
        await sites.wait_settled(PATIENCE_S)
        await wait_shown(home, "10.1.0.1", "10.2.0.1")
