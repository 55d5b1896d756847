"""The stand-ins that embedders test with."""

import pytest
import trio
from trio.testing import MockClock

import proxyagent
from proxyagent.testing import FakeProxyAgent, open_fake_site


def test_a_fake_agent_needs_no_loop() -> None:
    """Login, look-up, idle timeout and logout, with time that moves by hand."""
    agent = FakeProxyAgent(idle_timeout_s=600)
    session = agent.login("10.3.4.5", user="alice", attributes={"groups": ["staff"]})
    assert agent.lookup("10.3.4.5") is session
    agent.advance(599)
    assert agent.lookup("10.3.4.5") is session
    agent.advance(601)
    assert agent.lookup("10.3.4.5") is None
    agent.login("10.3.4.5", user="alice")
    assert len(agent.logout(user="alice")) == 1
    assert agent.sessions() == ()


async def test_a_fake_agent_acknowledges_unless_isolated() -> None:
    """wait_acknowledged returns at once, or raises while isolated; notices are told."""
    agent = FakeProxyAgent(keep_sessions="drop")
    notices = agent.notices()
    session = agent.login("a", "alice")
    await agent.wait_acknowledged(session)
    await agent.resync()
    agent.isolate()
    with pytest.raises(proxyagent.NotAcknowledged):
        await agent.wait_acknowledged(session)
    with pytest.raises(proxyagent.NotAcknowledged):
        await agent.resync()
    agent.advance(10)
    assert agent.lookup("a") is None
    agent.isolate(False)
    assert agent.lookup("a") == session
    agent.advance(0.5)
    assert isinstance(await notices.__anext__(), proxyagent.SessionOpened)


async def test_a_fake_site_is_a_site(autojump_clock: MockClock) -> None:
    """A login at one proxy is known at the other; cut, both go on alone; healed, they are equal."""
    async with open_fake_site(proxies=2) as site:
        one, two = site.proxies
        assert one.synchronised
        session = one.login("10.0.0.1", user="alice")
        await one.wait_acknowledged(session, level="site", timeout=1.0)
        await site.wait_equal()
        assert two.lookup("10.0.0.1") == session
        site.cut()
        one.login("10.0.0.2", user="bob")
        ended = two.logout("10.0.0.1")
        with pytest.raises(proxyagent.NotAcknowledged) as late:
            await two.wait_acknowledged(ended, timeout=1.0)
        assert late.value.reached == "local"
        assert one.lookup("10.0.0.1") is not None
        site.heal()
        with trio.fail_after(5):
            await two.wait_acknowledged(ended, timeout=3.0)
            await site.wait_equal()
        assert one.lookup("10.0.0.1") is None
        assert two.lookup("10.0.0.2") is not None


async def test_one_proxy_can_be_cut(autojump_clock: MockClock) -> None:
    """cut(0) isolates the first proxy only."""
    async with open_fake_site(proxies=2) as site:
        site.cut(0)
        await trio.sleep(0.1)
        assert [proxy.isolated for proxy in site.proxies] == [True, False]
