"""Who must be asked for a password again."""

import pytest
import trio

from protocol import limits
from proxyagent.integrations.squid import marks
from proxyagent.integrations.squid.marks import Marks
from proxyagent.testing import FakeProxyAgent


async def test_a_logout_marks_once_until_somebody_logs_in_again() -> None:
    """What has just happened counts; being asked, or a login, takes the mark away; an idle user has none."""
    agent = FakeProxyAgent(idle_timeout_s=60)
    asked = Marks(agent)
    for key in ("10.0.0.1", "10.0.0.2", "10.0.0.3"):
        agent.login(key, "alice")
    assert not asked.take("10.0.0.1")
    agent.logout("10.0.0.1")
    agent.logout("10.0.0.2")
    agent.login("10.0.0.2", "bob")
    assert [asked.take("10.0.0.1") for _ in range(2)] == [True, False]
    assert not asked.take("10.0.0.2")
    agent.advance(70)
    assert agent.lookup("10.0.0.3") is None
    assert not asked.take("10.0.0.3")
    asked.close()


async def test_marks_are_bounded_and_read_as_they_come(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest give way; a reader that is followed loses none of many."""
    monkeypatch.setattr(marks, "MARKS_MAX", 1_500)
    agent = FakeProxyAgent()
    asked = Marks(agent)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(asked.follow)
        for number in range(1_600):
            agent.login(f"key-{number}", "alice")
            agent.logout(f"key-{number}")
            if number % 100 == 0:
                await trio.testing.wait_all_tasks_blocked()
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert [asked.take(f"key-{number}") for number in (99, 100, 1_599)] == [False, True, True]


async def test_when_everybody_is_logged_out_at_once_everybody_is_asked_again() -> None:
    """More than notices tell: whoever was let in here, and is known no more, is marked; others are not."""
    agent = FakeProxyAgent()
    asked = Marks(agent)
    keys = [f"key-{number}" for number in range(3 * limits.NOTICES_MAX)]
    for key in keys:
        agent.login(key, "alice")
        asked.let_in(key)
    agent.login("bob's", "bob")
    asked.let_in("bob's")
    assert not asked.take("bob's")
    agent.logout(user="alice")
    assert all(asked.take(key) for key in keys)
    assert not any(asked.take(key) for key in ("bob's", "stranger", *keys))
