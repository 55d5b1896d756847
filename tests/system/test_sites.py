"""Two, three and five sites as real processes: cut apart, killed, emptied, healed; nothing is lost, nobody is back.

Bounds are there to end a test that hangs; the one on seconds is that of promise 4, with room for a busy machine.
"""

import random
import re
import shutil
from pathlib import Path

import pytest
import trio

from tests.system.harness import Agent, until
from tests.system.sites import Sites, Size, open_sites
from tests.system.wires import Namespaces

pytestmark = [pytest.mark.system, pytest.mark.slow]

START_S_MAX = 120.0
EQUAL_S_MAX = 30.0
SETTLED_S_MAX = 60.0
CUT_SEEN_S_MAX = 30.0

HEALED_S_MAX = 20.0
"""Promise 4 says 5 s over a WAN; a machine that tests does much else meanwhile."""


async def wait_cut(sites: Sites, here: str, there: str) -> None:
    """Until both masters have noticed that their sites are apart."""
    for one, other in ((here, there), (there, here)):

        async def apart(one: str = one, other: str = other) -> object:
            remote = await sites.remote(one, other)
            return not remote["connected"] or remote

        await until(apart, CUT_SEEN_S_MAX, f"{one} misses {other}")


def caught_up(agent: Agent) -> object:
    """Whether the log tells of the cut: since when, what waited, what went each way after it, and that all is equal."""
    log = agent.log_end(200)
    told = re.search(r"warning site.lost .* reason=.* waits=\d+ linked_s=.*"
                     r" info site.linked site=lan\d peer=lan\d/authagent-\d away_s=[\d.]+ waited=[1-9].*"
                     r" info site.caught_up site=lan\d away_s=[\d.]+ sent=\d+ received=\d+ equal=yes", log, re.DOTALL)
    return told is not None or log


async def wait_quiet(sites: Sites) -> None:
    """No load any more, and nothing of it unacknowledged."""
    for number, proxy in sites.proxies.items():
        if proxy.running:
            proxy.tell(do="load", rate=0, network=number)


async def test_two_sites_are_one_and_each_goes_on_alone(tmp_path: Path) -> None:
    """Pairs with two proxies each: a login and a logout cross; a killed master is replaced on the WAN too; through a
    cut both go on, and both sides' logouts hold; a site that lost both agents and their disks is given everything.
    """
    async with open_sites(tmp_path, {"lan1": Size(2, 2), "lan2": Size(2, 2)}) as sites:
        await sites.start(START_S_MAX)
        here, there = sites.proxies[1], sites.proxies[3]
        await here.log_in("10.0.0.1", "alice")
        await here.log_in("10.0.0.2", "bob")
        await sites.verify(EQUAL_S_MAX)
        assert len((await there.log_out(key="10.0.0.1"))["ids"]) == 1
        await sites.verify(EQUAL_S_MAX)

        (await sites.master("lan1")).kill()
        await there.log_in("10.2.0.1", "carol")
        await here.log_in("10.1.0.1", "dave")
        await sites.verify(EQUAL_S_MAX)

        await sites.cut("lan1", "lan2")
        await here.log_in("10.1.0.2", "erin")
        await there.log_in("10.2.0.2", "frank")
        await wait_cut(sites, "lan1", "lan2")
        assert len((await here.log_out(user="carol"))["ids"]) == 1
        assert len((await there.log_out(key="10.1.0.1"))["ids"]) == 1
        status = await (await sites.master("lan2")).status()
        assert "site lan1 is not linked, " in status["sentence"]
        await sites.wires.heal()
        await sites.verify(EQUAL_S_MAX)
        for agent in [await sites.master(site) for site in ("lan1", "lan2")]:
            await until(lambda agent=agent: caught_up(agent), EQUAL_S_MAX, f"{agent.name} tells what crossed")

        for agent in sites.agents_of("lan2"):
            agent.kill()
            shutil.rmtree(agent.state_dir)
        for proxy in sites.proxies_of("lan2"):
            proxy.kill()
        await here.log_out(user="frank")
        for process in (*sites.agents_of("lan2"), *(agent for agent in sites.agents_of("lan1") if not agent.running)):
            process.start()
        for number in (3, 4):
            sites.start_proxy(number)
        await sites.wait_settled(SETTLED_S_MAX)
        await sites.verify(EQUAL_S_MAX)
        assert sorted((await there.shown()).values()) == ["10.0.0.2", "10.1.0.2"]


async def test_a_site_that_is_cut_from_one_learns_from_the_other(tmp_path: Path) -> None:
    """Three sites: what happens at lan1 reaches lan3 through lan2; and lan3 returns from nothing while it is so."""
    async with open_sites(tmp_path, dict.fromkeys(("lan1", "lan2", "lan3"), Size(1, 1))) as sites:
        await sites.start(START_S_MAX)
        first, third = sites.proxies[1], sites.proxies[3]
        await first.log_in("10.0.0.1", "alice")
        await third.log_in("10.0.0.3", "carol")
        await sites.verify(EQUAL_S_MAX)
        await sites.cut("lan1", "lan3")
        await first.log_in("10.0.0.2", "bob")
        await third.log_out(user="alice")
        await wait_cut(sites, "lan1", "lan3")
        await sites.verify(SETTLED_S_MAX)

        (lost,) = sites.agents_of("lan3")
        lost.kill()
        shutil.rmtree(lost.state_dir)
        third.kill()
        await first.log_out(user="carol")
        lost.start()
        sites.start_proxy(3)
        await sites.verify(SETTLED_S_MAX)
        assert list((await third.shown()).values()) == ["10.0.0.2"]
        await sites.wires.heal()
        await sites.wait_settled(SETTLED_S_MAX)


async def test_five_sites_bear_cuts_and_kills_under_load(tmp_path: Path) -> None:
    """Every kind of trouble, drawn from a seed, while all proxies log in and out; then 0 lost, 0 back, all equal."""
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    dice, names = random.Random(seed), ("lan1", "lan2", "lan3", "lan4", "lan5")
    async with open_sites(tmp_path, dict.fromkeys(names, Size(1, 1))) as sites:
        await sites.start(START_S_MAX)
        for number, proxy in sites.proxies.items():
            proxy.tell(do="load", rate=10, network=number)
        for _ in range(3):
            await sites.cut(*dice.sample(names, 2))
            await sites.cut(*dice.sample(names, 2))
            killed = sites.agents[dice.choice(names), 1]
            killed.kill()
            made = len(sites.oracle.acknowledged)
            await until(lambda made=made: len(sites.oracle.acknowledged) >= made + 40, SETTLED_S_MAX, "40 more logins")
            killed.start()
            await sites.wires.heal()
        await wait_quiet(sites)
        await sites.wait_settled(SETTLED_S_MAX)
        await sites.verify(EQUAL_S_MAX)
        assert len(sites.oracle.acknowledged) > 120 and len(sites.oracle.ended) > 30


DIFFERENCES = 10_000


@pytest.mark.root
async def test_ten_thousand_differences_are_gone_soon_after_a_cut(tmp_path: Path, record_property: object) -> None:
    """Over 10 Mbit/s both tables are equal within 5 s of healing (here 20 s: machines that test are busy)."""
    async with open_sites(tmp_path, {"lan1": Size(1, 1), "lan2": Size(1, 1)}) as sites:
        if not isinstance(sites.wires, Namespaces):
            pytest.skip("needs root and network namespaces with nft")
        await sites.start(START_S_MAX)
        await sites.slow("10mbit")
        await sites.cut("lan1", "lan2")
        await wait_cut(sites, "lan1", "lan2")
        for number, proxy in sites.proxies.items():
            proxy.tell(do="load", rate=1_500, network=number)
        halves = [await sites.master(site) for site in ("lan1", "lan2")]

        async def differ() -> object:
            records = sum([(await agent.status())["records"] for agent in halves])
            return records >= DIFFERENCES or f"{records} differences"

        await until(differ, 60.0, f"{DIFFERENCES} differences")
        await wait_quiet(sites)
        await until(lambda: _acknowledged(sites), SETTLED_S_MAX, "nothing is under way")
        await sites.wires.heal()
        seconds = await sites.wait_settled(SETTLED_S_MAX)
        record_property("equal_s", seconds)  # type: ignore[operator]
        print(f"equal after {seconds:.1f} s")
        await sites.verify(EQUAL_S_MAX)
        assert seconds <= HEALED_S_MAX


async def _acknowledged(sites: Sites) -> object:
    """Whether no proxy has anything that its agent has not acknowledged, twice within a moment."""
    seen = (len(sites.oracle.acknowledged), len(sites.oracle.ended))
    await trio.sleep(0.3)
    return seen == (len(sites.oracle.acknowledged), len(sites.oracle.ended))
