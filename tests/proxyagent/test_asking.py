"""Waiting for the master's word: lost links, masters that cannot decide, and proxies that are left alone."""

import pytest
import trio

import proxyagent
from protocol.messages import Creation, Redemption, Ruling, Verdict
from protocol.stamp import Now
from proxyagent.agent import ProxyAgent
from proxyagent.asking import ALONE_AFTER_S, Asking
from proxyagent.core.client import Client
from proxyagent.testing import open_fake_site

WANTED = Redemption(0, "image", "nothing", "", b"r", "", (), ())


async def _answer(agent: ProxyAgent, *rulings: Ruling) -> None:
    """Play a master that answers the questions one after another so."""
    questions = agent.shell.client.cache.questions
    for ruling in rulings:
        with trio.fail_after(10):
            while not questions._open:
                await trio.sleep(0.01)
        questions.answered(Verdict(next(iter(questions._open)), ruling))
        agent.shell.moved.set()
        agent.shell.moved = trio.Event()


async def test_not_now_is_asked_again(autojump_clock: object) -> None:
    """Until it is yes or no."""
    async with open_fake_site(proxies=1) as site, trio.open_nursery() as nursery:
        (agent,) = site.proxies
        agent.shell.client.cache.questions.send = list  # type: ignore[method-assign, assignment]
        nursery.start_soon(_answer, agent, Ruling.UNAVAILABLE, Ruling.UNAVAILABLE, Ruling.REFUSED)
        told = await Asking(agent.shell).decide(WANTED, 10)

        assert isinstance(told, Verdict) and told.ruling == Ruling.REFUSED


async def test_time_runs_out(autojump_clock: object) -> None:
    """Undecided says why, and nobody waits for the answer any more."""
    async with open_fake_site(proxies=1) as site:
        (agent,) = site.proxies
        site.cut()
        with pytest.raises(proxyagent.Undecided, match="Error Server Connection") as raised:
            await Asking(agent.shell).decide(WANTED, 3)

        assert "within 3 s" in str(raised.value)
        assert not agent.shell.client.cache.questions._open


async def test_a_link_that_comes_back_carries_the_question(autojump_clock: object) -> None:
    """Cut when it was asked, healed before time is up: answered."""
    async with open_fake_site(proxies=1) as site, trio.open_nursery() as nursery:
        site.cut()

        async def heal() -> None:
            await trio.sleep(2)
            site.heal()

        nursery.start_soon(heal)
        told = await Asking(site.proxies[0].shell).decide(WANTED, 20)
        assert isinstance(told, Verdict) and told.ruling == Ruling.REFUSED


async def test_alone_decides_after_a_failover_could_have_been(autojump_clock: object) -> None:
    """Not at once: another agent may be about to serve."""
    async with open_fake_site(proxies=1) as site:
        (agent,) = site.proxies
        site.cut()
        with trio.fail_after(5):
            while not agent.isolated:
                await trio.sleep(0.01)
        began = trio.current_time()
        told = await Asking(agent.shell).decide(WANTED, 20, lambda client, now: True)

        assert told is True
        assert trio.current_time() - began >= ALONE_AFTER_S - 0.2


async def test_each_attempt_to_make_an_item_is_another_item(autojump_clock: object) -> None:
    """No master is asked for what another one may have taken in; with a name of the caller's there is one attempt."""
    async with open_fake_site(proxies=1) as site, trio.open_nursery() as nursery:
        (agent,) = site.proxies
        asked = []
        agent.shell.client.cache.questions.send = list  # type: ignore[method-assign, assignment]

        def draw(client: Client, now: Now) -> Creation:
            asked.append(client.service.items.new_code("alice", 60, now)[1])
            return client.service.items.creation(asked[-1])

        nursery.start_soon(_answer, agent, Ruling.UNAVAILABLE, Ruling.GRANTED, Ruling.UNAVAILABLE)
        told = await Asking(agent.shell).create(draw, 10)
        assert told.ruling == Ruling.GRANTED
        assert len({item.id for item in asked}) == len({item.lock for item in asked}) == 2

        with pytest.raises(proxyagent.Undecided):
            await Asking(agent.shell).create(draw, 10, once=True)
        assert len(asked) == 3
