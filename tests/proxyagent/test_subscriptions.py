"""Notices for several listeners."""

import pytest
import trio

from protocol import limits
from proxyagent.errors import InternalError
from proxyagent.notices import AgentLost, NoticesLost
from proxyagent.subscriptions import Subscriptions


async def test_each_listener_gets_everything_in_order() -> None:
    """Two listeners each get what came after they began."""
    subscriptions = Subscriptions()
    one = subscriptions.add()
    subscriptions.deliver(AgentLost("1", "a"))
    two = subscriptions.add()
    subscriptions.deliver(AgentLost("1", "b"))
    subscriptions.end(None)
    assert [each.reason async for each in one] == ["a", "b"]  # type: ignore[union-attr]
    assert [each.reason async for each in two] == ["b"]  # type: ignore[union-attr]


async def test_a_slow_listener_is_told_how_many_it_lost() -> None:
    """Beyond the bound one NoticesLost stands for the rest, and the newest follow it."""
    subscriptions = Subscriptions()
    listener = subscriptions.add()
    for number in range(limits.NOTICES_MAX + 5):
        subscriptions.deliver(AgentLost(str(number), ""))
    subscriptions.end(None)
    first, *rest = [each async for each in listener]
    assert first == NoticesLost(limits.NOTICES_MAX)
    assert rest == [AgentLost(str(limits.NOTICES_MAX + number), "") for number in range(5)]


async def test_a_waiting_listener_wakes() -> None:
    """A listener that waits gets what comes, ends with the agent, and raises why it broke."""
    subscriptions = Subscriptions()
    listener = subscriptions.add()
    with trio.fail_after(5):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.testing.wait_all_tasks_blocked)
            subscriptions.deliver(AgentLost("1", "x"))
            assert await listener.__anext__() == AgentLost("1", "x")
        subscriptions.end(InternalError("broken"))
        with pytest.raises(InternalError):
            await listener.__anext__()


async def test_a_closed_subscription_is_gone() -> None:
    """After close nothing is delivered and the iterator ends."""
    subscriptions = Subscriptions()
    listener = subscriptions.add()
    listener.close()
    await listener.aclose()
    subscriptions.deliver(AgentLost("1", "x"))
    assert [each async for each in listener] == []


async def test_what_waits_can_be_taken_at_once() -> None:
    """All notices that are there, without waiting, and how many are lost; the iterator goes on behind them."""
    subscriptions = Subscriptions()
    listener = subscriptions.add()
    for number in range(limits.NOTICES_MAX + 1):
        subscriptions.deliver(AgentLost(str(number), ""))
    assert listener.waiting() == [NoticesLost(limits.NOTICES_MAX), AgentLost(str(limits.NOTICES_MAX), "")]
    for reason in "ab":
        subscriptions.deliver(AgentLost("1", reason))
    assert listener.waiting() == [AgentLost("1", "a"), AgentLost("1", "b")]
    assert listener.waiting() == []
    subscriptions.deliver(AgentLost("1", "c"))
    assert await anext(listener) == AgentLost("1", "c")
