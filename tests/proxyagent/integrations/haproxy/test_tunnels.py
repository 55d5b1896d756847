"""A logout cuts the user's tunnels at HAProxy."""

from collections.abc import Collection

import pytest
import trio
from trio.testing import MockClock

from protocol import limits
from protocol.io.log import Log, quiet_log
from protocol.key import key
from proxyagent.integrations.haproxy.runtime import Runtime, RuntimeFailed
from proxyagent.integrations.haproxy.tunnels import GRACE_S, Tunnels
from proxyagent.testing import FakeProxyAgent


async def test_logouts_that_come_together_are_one_question(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    """Addresses of those logged out, alone or beside a cookie; a HAProxy that fails is asked again at the next one."""
    asked: list[set[str]] = []

    async def shut_down(runtime: Runtime, clients: Collection[str]) -> int:
        asked.append(set(clients))
        if len(asked) == 1:
            raise RuntimeFailed("nobody is there")
        return len(clients)

    monkeypatch.setattr(Runtime, "shut_down_clients", shut_down)
    agent = FakeProxyAgent(idle_timeout_s=60)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(Tunnels(Runtime("/run/haproxy.sock")).serve, agent, quiet_log())
        await trio.testing.wait_all_tasks_blocked()
        for name in ("10.0.0.1", key("10.0.0.2", "x"), key(cookie="y"), "10.0.0.4", "10.0.0.5"):
            agent.login(name, "alice")
        agent.login("10.0.0.5", "bob")
        for name in ("10.0.0.1", key("10.0.0.2", "x"), key(cookie="y")):
            agent.logout(name)
        await trio.sleep(GRACE_S / 2)
        assert asked == []
        await trio.sleep(GRACE_S)
        assert asked == [{"10.0.0.1", "10.0.0.2"}]
        agent.logout("10.0.0.4")
        await trio.sleep(2 * GRACE_S)
        assert asked[1:] == [{"10.0.0.4"}]
        agent.advance(70)
        await trio.sleep(2 * GRACE_S)
        assert len(asked) == 2
        nursery.cancel_scope.cancel()


async def test_more_logouts_than_notices_tell_are_told(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    """Some tunnels may be left then: one warning says so."""

    async def shut_down(runtime: Runtime, clients: Collection[str]) -> int:
        return len(clients)

    monkeypatch.setattr(Runtime, "shut_down_clients", shut_down)
    agent, told = FakeProxyAgent(), list[str]()
    log = Log(lambda severity, event, values: told.append(event), level=1, monotonic_s=trio.current_time)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(Tunnels(Runtime("/run/haproxy.sock")).serve, agent, log)
        await trio.testing.wait_all_tasks_blocked()
        for number in range(2 * limits.NOTICES_MAX):
            agent.login(f"10.0.{number // 250}.{number % 250}", "alice")
        agent.logout(user="alice")
        await trio.sleep(2 * GRACE_S)
        nursery.cancel_scope.cancel()
    assert told == ["haproxy.cut_incomplete", "haproxy.tunnels_cut"]
