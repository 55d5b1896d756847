"""The ProxyAgent on trio, with a whole site in memory: what DESIGN section 8 promises to a host program."""

import logging
import random
import signal

import pytest
import trio
from trio.testing import MockClock

import proxyagent
from protocol.errors import Code
from protocol.io.link import LinkFailed, LinkRefused
from proxyagent.agent import ProxyAgent, run_proxy_agent
from proxyagent.dialling import Site
from proxyagent.testing import FakeSite, fake_settings, open_fake_site, trio_clock


async def nobody(agent: int, timeout_s: float) -> None:
    raise LinkFailed("refused", "connection refused")


def alone(**settings: object) -> ProxyAgent:
    """An agent that reaches nobody."""
    site = Site(fake_settings("p1", settings), nobody, ("a:1", "b:1"))  # type: ignore[arg-type]
    return ProxyAgent(site, clock=trio_clock(), dice=random.Random(1))


async def test_an_unreachable_agent_never_raises(autojump_clock: MockClock) -> None:
    """Entering waits for start_timeout at most and goes on isolated; everything works locally."""
    began = trio.current_time()
    async with run_proxy_agent(alone(), start_timeout=2.0) as agent:
        assert trio.current_time() - began == pytest.approx(2.0, abs=0.1)
        assert agent.isolated
        assert not agent.synchronised
        session = agent.login("a", "alice")
        assert agent.lookup("a") is session
        await agent.wait_acknowledged(session, level="local")
        with pytest.raises(proxyagent.NotAcknowledged) as late:
            await agent.wait_acknowledged(session, level="master", timeout=0.5)
        assert late.value.reached == "local"
        with pytest.raises(proxyagent.NotAcknowledged, match="no AuthAgent"):
            await agent.resync(timeout=0.5)


async def test_the_bodys_exception_leaves_as_itself(autojump_clock: MockClock) -> None:
    """No ExceptionGroup, with agents and without."""
    with pytest.raises(KeyError, match="mine"):
        async with open_fake_site(proxies=1):
            raise KeyError("mine")
    with pytest.raises(KeyError, match="mine"):
        async with run_proxy_agent(alone(), start_timeout=0):
            raise KeyError("mine")


async def test_cancelling_the_body_is_not_an_error(autojump_clock: MockClock) -> None:
    """A cancelled body flushes, at most a second, and leaves with its cancellation."""
    with trio.move_on_after(1) as scope:
        async with run_proxy_agent(alone(), start_timeout=0):
            await trio.sleep_forever()
    assert scope.cancelled_caught


async def test_leaving_flushes_the_outbox(autojump_clock: MockClock) -> None:
    """What was logged in in the last moment has reached the master when the agent was left."""
    async with open_fake_site(proxies=1) as site:
        for number in range(700):
            site.proxies[0].login(f"k{number}", "alice")
        master = site.master
    assert len(master.table.held("k699")) == 1
    assert master.table.records == 700


async def test_after_leaving_every_call_raises_closed(autojump_clock: MockClock) -> None:
    """Look-ups of sessions at hand too."""
    async with open_fake_site(proxies=1) as site:
        (agent,) = site.proxies
        session = agent.login("a", "alice")
        notices = agent.notices()
    for call in (
        lambda: agent.lookup("a"),
        lambda: agent.login("b", "bob"),
        lambda: agent.logout("a"),
        lambda: agent.sessions(),
        lambda: agent.statistics(),
        lambda: agent.notices(),
    ):
        with pytest.raises(proxyagent.Closed):
            call()
    with pytest.raises(proxyagent.Closed):
        await agent.wait_acknowledged(session)
    assert [notice async for notice in notices] == []


async def test_a_broken_invariant_closes_the_agent_and_nothing_else(autojump_clock: MockClock) -> None:
    """A bug of ours raises InternalError at every call, ends listeners with it, and leaves the body running."""
    async with open_fake_site(proxies=1) as site:
        (agent,) = site.proxies
        notices = agent.notices()
        agent.shell.client.cache.lookup = None  # type: ignore[assignment, method-assign]
        with pytest.raises(proxyagent.InternalError):
            agent.lookup("x")
        with pytest.raises(proxyagent.InternalError):
            agent.login("a", "alice")
        with pytest.raises(proxyagent.InternalError):
            await notices.__anext__()
        await trio.sleep(1)


async def test_bad_arguments_change_nothing(autojump_clock: MockClock) -> None:
    """Over a bound is LimitExceeded, a wrong type TypeError; the agent goes on."""
    async with open_fake_site(proxies=1) as site:
        (agent,) = site.proxies
        for call in (
            lambda: agent.login("a" * 300, "alice"),
            lambda: agent.login("a", ""),
            lambda: agent.login("a", "alice", idle_timeout=5),
            lambda: agent.login("a", "alice", lifetime=float("inf")),
            lambda: agent.login("a", "alice", {"x": "y" * 5_000}),
        ):
            with pytest.raises(proxyagent.LimitExceeded):
                call()
        with pytest.raises(TypeError):
            agent.logout()
        with pytest.raises(TypeError):
            agent.logout("a", user="b")
        with pytest.raises(TypeError):
            agent.login(5, "x")  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="level"):
            await agent.wait_acknowledged(agent.login("a", "alice"), level="disk")  # type: ignore[arg-type]
        assert len(agent.sessions()) == 1


async def test_notices_tell_what_happens(autojump_clock: MockClock) -> None:
    """Opened and ended with the reason, agents found and lost, resyncs."""
    async with open_fake_site(proxies=2) as site:
        one, two = site.proxies
        notices = two.notices()
        one.login("a", "alice")
        await one.wait_acknowledged(one.logout("a"))
        site.cut()
        await trio.sleep(1)
        site.heal()
        with trio.fail_after(5):
            await site.wait_equal()
            await two.resync()
        told: list[str] = []
        with trio.move_on_after(1):
            told.extend([type(await anext(notices)).__name__ for _ in range(4)])
            while told[-1] != "Resynced":
                told.append(type(await anext(notices)).__name__)
    assert told[:4] == ["SessionOpened", "SessionEnded", "AgentLost", "AgentFound"]
    assert told[-1] == "Resynced"


async def test_resync_tells_what_was_moved(autojump_clock: MockClock) -> None:
    """A forced comparison of equal tables moves no session; statistics count it and show equal digests."""
    async with open_fake_site(proxies=2) as site:
        one, two = site.proxies
        await one.wait_acknowledged(one.login("a", "alice"))
        await site.wait_equal()
        done = await two.resync()
        assert isinstance(done, proxyagent.Resynced)
        await trio.sleep(0.5)
        figures = two.statistics()
        assert (figures.sessions, figures.digest_equal, figures.isolated, figures.agent) == (1, True, False, "1")
        assert figures.digest == one.statistics().digest
        assert two.idle_left_s(one.lookup("a")) > 1_700  # type: ignore[arg-type]
        assert two.lifetime_left_s(one.lookup("a")) > 43_000  # type: ignore[arg-type]


async def test_a_refusal_is_a_notice_and_a_log_line(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """An agent that refuses is told with its reason, once, under the logger `proxyagent`."""

    async def refuse(agent: int, timeout_s: float) -> None:
        raise LinkRefused(Code.UNLISTED, "p1 is not listed")

    site = Site(fake_settings("p1", {}), refuse, ("a:1", "b:1"))  # type: ignore[arg-type]
    caplog.set_level(logging.INFO, "proxyagent")
    async with run_proxy_agent(ProxyAgent(site, clock=trio_clock(), dice=random.Random(1)), start_timeout=0) as agent:
        notices = agent.notices()
        await trio.sleep(5)
        told = await notices.__anext__()
        assert isinstance(told, proxyagent.AgentRefused)
        assert told.reason == "p1 is not listed"
    lines = [record.getMessage() for record in caplog.records if "agent.refused" in record.getMessage()]
    assert 1 <= len(lines) <= 2  # one for each agent of the pair
    assert {record.name for record in caplog.records} == {"proxyagent"}


async def test_a_thousand_logins_in_one_tick_are_few_reports(autojump_clock: MockClock) -> None:
    """What one tick produces leaves in frames of BATCH_CHANGES_MAX, not one frame a login."""
    async with open_fake_site(proxies=1) as site:
        (agent,) = site.proxies
        for number in range(1_000):
            session = agent.login(f"k{number}", "alice")
        await agent.wait_acknowledged(session)
        assert site.master.reports <= 4


async def test_no_signal_handler_is_installed(autojump_clock: MockClock) -> None:
    """The host program's signals are its own."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD)}
    async with open_fake_site(proxies=1):
        assert {number: signal.getsignal(number) for number in before} == before


async def test_a_bad_file_raises_at_once(tmp_path: object) -> None:
    """ConfigurationError lists everything that is wrong, before any link is tried."""
    path = f"{tmp_path}/authagent.toml"
    with open(path, "w") as file:
        file.write('sitte = "x"\n[session]\nidle_timeout = 5\n')
    with pytest.raises(proxyagent.ConfigurationError) as wrong:
        async with proxyagent.open_proxy_agent(path, id="p1"):
            raise AssertionError("never entered")
    assert len(wrong.value.mistakes) == 2
    with pytest.raises(proxyagent.ConfigurationError):
        async with proxyagent.open_proxy_agent(f"{tmp_path}/none.toml", id="p1"):
            raise AssertionError("never entered")


def test_fake_site_is_what_it_says() -> None:
    """The helper of these tests is the public one."""
    assert FakeSite.__module__ == "proxyagent.testing"
