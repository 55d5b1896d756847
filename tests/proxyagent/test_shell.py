"""The shell: performing commands, ending, breaking down, other settings."""

import random
from collections.abc import Mapping
from typing import Any

import attrs
import pytest
import trio
from trio.testing import MockClock

from protocol.io.link import LinkFailed
from protocol.io.log import Severity
from proxyagent.agent import ProxyAgent, run_proxy_agent
from proxyagent.dialling import Site
from proxyagent.testing import fake_settings, open_fake_site, trio_clock


async def test_a_dialler_that_breaks_costs_the_link(autojump_clock: MockClock) -> None:
    """An error that nobody foresaw, over what answers at one agent's address: an alarm, and the next one serves."""
    async with open_fake_site(proxies=0) as site:
        good = site.master.dialler("p1")

        async def broken(agent: int, timeout_s: float) -> Any:
            await trio.lowlevel.checkpoint()
            if agent == 0:
                raise RuntimeError("a bug")
            return await good(0, timeout_s)

        agent, written = _agent(broken)
        async with run_proxy_agent(agent, start_timeout=5):
            assert agent.synchronised and agent.login("a", "alice")
    assert ("link.broken", "a:1", "RuntimeError('a bug')") in written


async def test_a_link_that_breaks_costs_itself(autojump_clock: MockClock) -> None:
    """The same on a link that is open: it is closed, and another takes its place."""
    async with open_fake_site(proxies=0) as site:
        good = site.master.dialler("p1")
        made: list[Any] = []

        async def dialler(agent: int, timeout_s: float) -> Any:
            made.append(await good(agent, timeout_s))
            return made[-1]

        agent, written = _agent(dialler)
        async with run_proxy_agent(agent, start_timeout=5):
            assert agent.synchronised

            async def broken() -> Any:
                raise RuntimeError("a bug")

            made[0].receive = broken
            with trio.fail_after(20):
                while len(made) < 2 or not agent.synchronised:
                    await trio.sleep(0.1)
            assert made[0].closed is not None and agent.login("a", "alice")
    assert [event for event, *_ in written].count("link.broken") == 1


def _agent(dialler: Any) -> tuple[ProxyAgent, list[tuple[str, Any, Any]]]:
    """An agent with this dialler, and what it logs."""
    written: list[tuple[str, Any, Any]] = []

    def write(severity: Severity, event: str, keys: Mapping[str, object]) -> None:
        written.append((event, keys.get("peer"), keys.get("error")))

    site = Site(fake_settings("p1", {}), dialler, ("a:1", "b:1"))
    return ProxyAgent(site, clock=trio_clock(), dice=random.Random(1), write=write), written


async def test_other_settings_move_to_other_agents(autojump_clock: MockClock) -> None:
    """reconfigure leaves the link and dials with the new dialler; the sessions stay and are told there."""
    async with open_fake_site(proxies=1) as site, open_fake_site(proxies=0) as other:
        (agent,) = site.proxies
        agent.login("a", "alice")
        await site.wait_equal()
        settings = attrs.evolve(agent.shell.client.settings, idle_timeout_s=100)
        agent.shell.reconfigure(Site(settings, other.master.dialler("proxy1"), ("b:1", "b:2")))
        with trio.fail_after(5):
            while not other.master.table.held("a"):
                await trio.sleep(0.1)
        assert agent.login("b", "bob").idle_timeout_s == 100


@pytest.mark.parametrize("answers", [True, False])
async def test_a_dial_of_the_old_settings_is_forgotten(autojump_clock: MockClock, answers: bool) -> None:
    """Whether it ends as a link or not: the places it speaks of may be others', or nobody's, in the new settings."""
    async with open_fake_site(proxies=0) as site:
        slow, quick = site.master.dialler("proxy1"), site.master.dialler("proxy1")
        made: list[Any] = []

        async def late(agent: int, timeout_s: float) -> Any:
            await trio.sleep(1.0)
            if not answers:
                raise LinkFailed("refused", "connection refused")
            made.append(await slow(agent, timeout_s))
            return made[0]

        settings = fake_settings("proxy1", {})
        agent = ProxyAgent(Site(settings, late, ("a:1", "b:1")), clock=trio_clock())
        async with run_proxy_agent(agent, start_timeout=0.5):
            fewer = attrs.evolve(settings, agents=settings.agents[:1])
            agent.shell.reconfigure(Site(fewer, quick, ("c:1",)))
            with trio.fail_after(10):
                await agent.wait_synchronised()
                await trio.sleep(2.0)
            assert agent.synchronised and agent.statistics().agent_address == "c:1"
            for link in made:
                await link.wait_closed()


async def test_leaving_without_an_agent_is_quick(autojump_clock: MockClock) -> None:
    """With nobody to flush to, leaving does not wait."""

    async def nobody(agent: int, timeout_s: float) -> Any:
        raise LinkFailed("refused", "connection refused")

    agent = ProxyAgent(Site(fake_settings("p1", {}), nobody, ("a:1", "b:1")), clock=trio_clock())
    async with run_proxy_agent(agent, start_timeout=0):
        agent.login("a", "alice")
        began = trio.current_time()
    assert trio.current_time() - began < 0.1


async def test_leaving_reports_the_last_activity(autojump_clock: MockClock) -> None:
    """What was seen in a quiet time reaches the master when the agent is left."""
    async with open_fake_site(proxies=1) as site:
        (agent,) = site.proxies
        await agent.wait_acknowledged(agent.login("a", "alice"))
        await trio.sleep(3)
        agent.lookup("a")
        master = site.master
    (record,) = master.table.held("a")
    assert record.active_at - record.login.login_at == pytest.approx(3_000, abs=50)
