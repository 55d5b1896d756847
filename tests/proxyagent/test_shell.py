"""The shell: performing commands, ending, breaking down, other settings."""

import random
from typing import Any

import attrs
import pytest
import trio
from trio.testing import MockClock

import proxyagent
from protocol.io.link import LinkFailed
from proxyagent.agent import ProxyAgent, run_proxy_agent
from proxyagent.dialling import Site
from proxyagent.testing import fake_settings, open_fake_site, trio_clock


async def test_a_dialler_that_breaks_closes_the_agent(autojump_clock: MockClock) -> None:
    """An error that is neither a refusal nor a failure is a bug of ours: InternalError, told to everybody."""

    async def broken(agent: int, timeout_s: float) -> Any:
        await trio.lowlevel.checkpoint()
        raise RuntimeError("a bug")

    written: list[str] = []
    agent = ProxyAgent(
        Site(fake_settings("p1", {}), broken, ("a:1", "b:1")),
        clock=trio_clock(),
        dice=random.Random(1),
        write=lambda severity, event, values: written.append(event),
    )
    with pytest.raises(proxyagent.InternalError, match="a bug"):
        async with run_proxy_agent(agent, start_timeout=5):
            raise AssertionError("never entered")
    assert "agent.broken" in written


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
