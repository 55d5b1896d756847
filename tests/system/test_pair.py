"""A pair and its proxies as real processes: starts, failovers, returns, splits, lost disks, restarts and hand-overs.

Bounds on seconds are those of the promises with room for a busy machine; the exact figures are `make bench`'s.
"""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import trio

from tests.system.harness import Agent, Process, Site, open_site, until

pytestmark = [pytest.mark.system, pytest.mark.slow]

FAILOVER_S_MAX = 1.5
"""Promise 6 says 0.5 s at p99 for a kill on a quiet machine."""

SILENT_S_MAX = 3.0
"""Promise 6 says 2.0 s for a silent death."""

EQUAL_S_MAX = 5.0
"""Promise 4 says 2 s; asking processes for their tables takes its part."""


async def acknowledged_everywhere(site: Site, mark: str, within_s: float) -> float:
    """Log in at every proxy at once; returns the seconds until the last of them is acknowledged."""
    began = trio.current_time()
    async with trio.open_nursery() as nursery:
        for number, proxy in site.proxies.items():
            nursery.start_soon(proxy.log_in, f"10.{number}.0.{mark}", f"user-{number}-{mark}", within_s)
    return trio.current_time() - began


async def test_a_login_is_known_and_a_logout_done_everywhere(site: Site) -> None:
    """One login reaches every proxy, and a logout at another proxy ends it at every proxy."""
    await site.proxies[1].log_in("10.0.0.1", "alice")
    await site.proxies[1].log_in("10.0.0.2", "bob")
    await site.verify(EQUAL_S_MAX)
    ended = await site.proxies[3].log_out(key="10.0.0.1")
    assert len(ended["ids"]) == 1
    await site.verify(EQUAL_S_MAX)
    ended = await site.proxies[2].log_out(user="bob")
    assert len(ended["ids"]) == 1
    await site.verify(EQUAL_S_MAX)
    assert [await proxy.shown() for proxy in site.proxies.values()] == [{}, {}, {}]


async def test_the_other_agent_serves_after_kill(site: Site, record_property: Callable[[str, object], None]) -> None:
    """A killed master is replaced for every proxy, and returns as the slave, time after time."""
    seconds = []
    for round_number in range(4):
        master = await site.master()
        site.agents[master].kill()
        seconds.append(await acknowledged_everywhere(site, str(round_number), 5.0))
        site.agents[master].start()
        await site.wait_settled()
        assert await site.master() == 3 - master
    record_property("failover_s", seconds)
    await site.verify(EQUAL_S_MAX)
    assert max(seconds) <= FAILOVER_S_MAX, seconds


async def test_a_master_that_falls_silent_is_replaced(site: Site) -> None:
    """A stopped master is replaced in time; when it goes on it becomes the slave and nothing is lost."""
    master = await site.master()
    await site.proxies[1].log_in("10.0.0.1", "alice")
    site.agents[master].pause()
    try:
        seconds = await acknowledged_everywhere(site, "9", 6.0)
        await site.proxies[2].log_out(key="10.0.0.1")
    finally:
        site.agents[master].resume()
    assert seconds <= SILENT_S_MAX
    await site.wait_settled()
    assert await site.master() == 3 - master
    await site.verify(EQUAL_S_MAX)


async def test_an_old_disk_brings_nobody_back(site: Site) -> None:
    """A logout made while an agent was down stays done when that agent returns with its old disk."""
    await site.proxies[1].log_in("10.0.0.1", "alice")
    await site.proxies[1].log_in("10.0.0.2", "bob")
    slave = 3 - await site.master()
    site.agents[slave].kill()
    await site.proxies[2].log_out(key="10.0.0.1")
    await site.proxies[2].log_out(user="bob")
    await site.proxies[2].log_in("10.0.0.2", "bob")
    site.agents[slave].start()
    await site.wait_settled()
    await site.verify(EQUAL_S_MAX)
    assert list((await site.proxies[3].shown()).values()) == ["10.0.0.2"]


async def test_a_split_heals_without_loss(site: Site) -> None:
    """Two masters, logins and logouts on both sides; healed, every table holds all logins and none of the logouts."""
    here = await site.master()
    there = 3 - here
    for number in range(1, 7):
        await site.proxies[1].log_in(f"10.0.0.{number}", f"user{number}")
    await site.wires.cut("agent1", "agent2")
    await site.wires.cut(f"agent{here}", "proxy3")
    await site.wait_role(there, "master")
    assert (await site.agents[here].status())["split"]
    await site.proxies[1].log_in("10.1.0.1", "carol")
    await site.proxies[2].log_out(key="10.0.0.1")
    await site.proxies[2].log_out(user="user2")
    await site.proxies[3].log_in("10.3.0.1", "dave", within_s=10.0)
    await site.proxies[3].log_out(key="10.0.0.3")
    await site.proxies[3].log_out(user="user2")
    await site.proxies[3].log_out(key="10.0.0.1")
    await site.proxies[3].log_in("10.0.0.1", "user1")
    await site.wires.heal()
    await site.wait_settled(15.0)
    await site.verify(EQUAL_S_MAX)
    shown = sorted((await site.proxies[1].shown()).values())
    assert shown == ["10.0.0.1", "10.0.0.4", "10.0.0.5", "10.0.0.6", "10.1.0.1", "10.3.0.1"]


async def test_proxies_go_on_alone_and_refill_empty_agents(site: Site) -> None:
    """Both agents and their disks lost: proxies serve and log in, and refill the agents started empty."""
    await site.proxies[1].log_in("10.0.0.1", "alice")
    await site.proxies[1].log_in("10.0.0.2", "bob")
    await site.proxies[1].log_out(key="10.0.0.2")
    await site.verify(EQUAL_S_MAX)
    for agent in site.agents.values():
        agent.kill()
        shutil.rmtree(agent.state_dir)
    site.proxies[2].tell(do="login", key="10.0.0.3", user="carol")
    await site.proxies[2].wait_event(5.0, event="logging_in", key="10.0.0.3")
    await site.verify()
    for agent in site.agents.values():
        agent.start()
    await site.proxies[2].wait_event(15.0, event="login", key="10.0.0.3", acknowledged=True)
    await site.wait_settled()
    await site.verify(EQUAL_S_MAX)
    assert sorted((await site.proxies[3].shown()).values()) == ["10.0.0.1", "10.0.0.3"]


async def test_everything_restarts_from_disk(site: Site) -> None:
    """All processes killed at once: the agents' disks bring back what was acknowledged, and nobody else."""
    for number in range(1, 6):
        await site.proxies[1].log_in(f"10.0.0.{number}", f"user{number}")
    await site.proxies[2].log_out(key="10.0.0.1")
    await site.proxies[2].log_out(user="user2")
    everybody: list[Process] = [*site.agents.values(), *site.proxies.values()]
    for process in everybody:
        process.kill()
    await site.start()
    await site.verify(EQUAL_S_MAX)
    assert sorted((await site.proxies[3].shown()).values()) == ["10.0.0.3", "10.0.0.4", "10.0.0.5"]


async def test_a_master_asked_to_stop_hands_over(site: Site) -> None:
    """SIGTERM: the master ends with 0 within 2 s, the slave serves, and logins made meanwhile are acknowledged."""
    master = await site.master()
    site.proxies[1].tell(do="load", rate=100, network=1)
    await until(lambda: bool(site.oracle.acknowledged), 10.0, "the load is acknowledged")
    seconds = await site.agents[master].terminate()
    assert site.agents[master].returncode == 0, site.agents[master].log_end()
    assert seconds <= 2.0
    await site.wait_role(3 - master, "master")
    assert await acknowledged_everywhere(site, "1", 5.0) <= FAILOVER_S_MAX
    site.proxies[1].tell(do="load", rate=0, network=1)
    site.agents[master].start()
    await site.wait_settled()
    await site.verify(EQUAL_S_MAX)
    assert site.oracle.unacknowledged == 0


async def test_a_single_agent_serves_alone(site: Site) -> None:
    """With the slave gone the master's disk counts alone, and the returning slave is given what it missed."""
    master = await site.master()
    slave: Agent = site.agents[3 - master]
    slave.kill()
    login = await site.proxies[1].log_in("10.0.0.1", "alice")
    assert login["acknowledged"]
    slave.start()
    await site.wait_settled()
    site.agents[master].kill()
    shutil.rmtree(site.agents[master].state_dir)
    await site.proxies[2].log_in("10.0.0.2", "bob")
    await site.verify(EQUAL_S_MAX)


async def test_relays_stand_in_for_namespaces(tmp_path: Path) -> None:
    """The unprivileged wires cut and heal like the real ones: a cut pair splits and becomes one again."""
    async with open_site(tmp_path, proxies=1, relayed=True) as site:
        await site.start()
        await site.wires.cut("agent1", "agent2")
        slave = 3 - await site.master()
        await site.wait_role(slave, "master")
        await site.proxies[1].log_in("10.0.0.1", "alice")
        await site.wires.heal()
        await site.wait_settled(15.0)
        await site.verify(EQUAL_S_MAX)
