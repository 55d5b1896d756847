"""What is said on one connection with a helper, and on one with the access log."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import MockClock

from protocol.configuration import ClientSettings
from protocol.io.log import quiet_log
from proxyagent.agent import ProxyAgent
from proxyagent.core.outbox import Level
from proxyagent.errors import Closed, NotAcknowledged
from proxyagent.integrations.client_key import ClientKeys
from proxyagent.integrations.squid.answers import Answers
from proxyagent.integrations.squid.conversation import ACKNOWLEDGED_WITHIN_S, Helper, take_log
from proxyagent.integrations.squid.fields import key_of
from proxyagent.integrations.squid.lines import Incoming
from proxyagent.integrations.squid.marks import Marks
from proxyagent.session import Session
from proxyagent.testing import FakeProxyAgent

KEYS = ClientKeys(ClientSettings())


class Said(Incoming):
    """A connection on which a test says lines, many at once, and hears answers."""

    def __init__(self, peer: str = "") -> None:
        self._peer = peer
        self.say, self._lines = trio.open_memory_channel[list[bytes]](100)
        self._answers, self.heard = trio.open_memory_channel[bytes](100)

    @property
    def peer(self) -> str:
        return self._peer

    async def receive(self) -> list[bytes] | None:
        try:
            return await self._lines.receive()
        except trio.EndOfChannel:
            return None

    async def send(self, data: bytes) -> None:
        if data:
            await self._answers.send(data)


class Slow(FakeProxyAgent):
    """One whose agents acknowledge nothing in time, though they are there."""

    async def wait_acknowledged(
        self, what: Session | Iterable[Session], level: Level = "site", timeout: float = 5.0
    ) -> None:
        await trio.sleep(timeout)
        raise NotAcknowledged("not in time", "local")


@asynccontextmanager
async def talking(agent: ProxyAgent) -> AsyncIterator[Said]:
    """A helper's connection, until the test has said enough."""
    said, marks = Said(), Marks(agent)
    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(Helper(agent, Answers(agent, key_of(KEYS), marks, quiet_log()), said).converse)
            yield said
            said.say.close()
    marks.close()


async def test_what_is_asked_at_once_is_answered_in_one_piece() -> None:
    """Sessions, nonsense and verbs that there are not: one answer each, all of them in one."""
    agent = FakeProxyAgent()
    agent.login("10.0.0.1", "alice")
    async with talking(agent) as said:
        await said.say.send([b"1 session 10.0.0.1 -", b"2 session 10.0.0.2 -", b"3 dance", b"4 session", b"5"])
        assert await said.heard.receive() == b"1 OK user=alice\n2 ERR\n3 ERR\n4 ERR\n5 ERR\n"


async def test_a_login_waits_for_the_agents_but_not_long(autojump_clock: MockClock) -> None:
    """Sessions are told meanwhile; after ACKNOWLEDGED_WITHIN_S the login is told too, for it stands here."""
    agent = Slow()
    async with talking(agent) as said:
        began = trio.current_time()
        await said.say.send([b"1 login alice 10.0.0.1", b"2 session 10.0.0.1"])
        assert await said.heard.receive() == b"2 OK user=alice\n"
        assert trio.current_time() == began
        assert await said.heard.receive() == b"1 OK user=alice\n"
        assert trio.current_time() == pytest.approx(began + ACKNOWLEDGED_WITHIN_S)


async def test_a_login_is_told_as_soon_as_the_agents_have_it() -> None:
    """Acknowledged, or with no agent to wait for: at once."""
    agent = FakeProxyAgent()
    for isolated in (False, True):
        agent.isolate(isolated)
        async with talking(agent) as said:
            await said.say.send([b"1 login alice 10.0.0.1"])
            assert await said.heard.receive() == b"1 OK user=alice\n"


async def test_an_agent_that_is_left_answers_nobody() -> None:
    """Its helpers lose their connections, without an alarm, and ask whoever comes next."""
    agent = FakeProxyAgent()
    async with talking(agent) as said:
        agent.shell.close(Closed("it was left"))
        await said.say.send([b"1 session 10.0.0.1 -"])


async def test_the_access_log_is_activity_of_those_whom_it_names() -> None:
    """Lines of a trusted peer keep users from being idle, log nobody in, and need not make sense."""
    agent = FakeProxyAgent(idle_timeout_s=60)
    agent.login("10.0.0.1", "alice")
    for peer, known in (("127.0.0.1", True), ("10.9.9.9", False)):
        agent.advance(40)
        said = Said(peer)
        await said.say.send([b"10.0.0.1 -", b"10.0.0.1", b"10.0.0.2", b"", b"\xff\x00 - -"])
        said.say.close()
        await take_log(agent, KEYS, key_of(KEYS), said)
        agent.advance(30)
        assert (agent.lookup("10.0.0.1", touch=False) is not None) == known
    assert agent.sessions() == ()
