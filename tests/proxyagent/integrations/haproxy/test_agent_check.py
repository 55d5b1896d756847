"""What HAProxy's agent-check is answered, and that nobody can make it unanswerable."""

import socket

import pytest
import trio

from protocol.io.log import quiet_log
from proxyagent.config import load
from proxyagent.integrations.adapter import AdapterUnusable, Keeper
from proxyagent.integrations.haproxy import agent_check
from proxyagent.integrations.haproxy.agent_check import AgentCheck, answer
from proxyagent.testing import FakeProxyAgent, open_fake_site
from tests.ports import free_port

DEADLINE_S = 15.0


async def ask(listen: str) -> str:
    """Ask as HAProxy does, as soon as somebody listens."""
    host, _, port = listen.rpartition(":")
    with trio.fail_after(DEADLINE_S):
        while True:
            try:
                stream = await trio.open_tcp_stream(host, int(port))
            except OSError:
                await trio.sleep(0.01)
                continue
            async with stream:
                return b"".join([data async for data in stream]).decode()


async def test_up_needs_a_full_copy_once_and_no_agent_afterwards() -> None:
    """Never synchronised is `down # syncing`; cut off with a copy is up, since promise 5 holds there."""
    async with open_fake_site(proxies=1) as site:
        proxy = site.proxies[0]
        await proxy.wait_synchronised()
        assert answer(proxy, draining=False) == "up ready"
        site.cut()
        with trio.fail_after(DEADLINE_S):
            while not proxy.isolated:
                await trio.sleep(0.01)
        assert not proxy.synchronised
        assert answer(proxy, draining=False) == "up ready"
        assert answer(proxy, draining=True) == "drain"
    assert answer(FakeProxyAgent(), draining=False) == "down # syncing"


async def test_a_proxy_whose_look_ups_stopped_is_down() -> None:
    """With keep_sessions = "drop" an isolated proxy knows nobody, and is sent nobody."""
    agent = FakeProxyAgent(keep_sessions="drop")
    agent.shell.client.progress.complete = True
    assert answer(agent, draining=False) == "up ready"
    agent.isolate()
    agent.advance(120)
    assert answer(agent, draining=False) == "down # not answering"


async def test_a_line_is_served_and_drain_is_undone(nursery: trio.Nursery) -> None:
    """Whoever connects reads one line: `drain` from the moment on that it is wanted, and until it is not."""
    check = AgentCheck(f"127.0.0.1:{free_port()}")
    nursery.start_soon(check.serve, FakeProxyAgent(), quiet_log())
    assert await ask(check.listen) == "down # syncing\n"
    check.drain(True)
    assert await ask(check.listen) == "drain\n"
    check.drain(False)
    assert await ask(check.listen) == "down # syncing\n"
    nursery.cancel_scope.cancel()


async def test_a_process_that_ends_goes_on_answering_for_those_who_ask(nursery: trio.Nursery) -> None:
    """Where nobody has asked lately there is nobody to wait for."""
    check = AgentCheck(f"127.0.0.1:{free_port()}")
    began_s = trio.current_time()
    await check.wait_drained()
    assert trio.current_time() - began_s < agent_check.TELL_S
    nursery.start_soon(check.serve, FakeProxyAgent(), quiet_log())
    await ask(check.listen)
    check.drain(True)
    began_s = trio.current_time()
    await check.wait_drained()
    assert trio.current_time() - began_s >= agent_check.TELL_S
    nursery.cancel_scope.cancel()


async def test_callers_who_never_read_or_leave_hinder_nobody(nursery: trio.Nursery) -> None:
    """More silent callers than are taken, and some that reset: the next one gets its line."""
    check = AgentCheck(f"127.0.0.1:{free_port()}")
    nursery.start_soon(check.serve, FakeProxyAgent(), quiet_log())
    await ask(check.listen)
    port = int(check.listen.rpartition(":")[2])
    held = [socket.create_connection(("127.0.0.1", port)) for _ in range(2 * agent_check.CONNECTIONS_MAX)]
    for each in held[::2]:
        each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        each.close()
    with trio.fail_after(DEADLINE_S):
        while await ask(check.listen) != "down # syncing\n":
            await trio.sleep(0.05)
    for each in held[1::2]:
        each.close()
    nursery.cancel_scope.cancel()


async def test_a_port_that_is_taken_is_named() -> None:
    """The operator reads which setting and which place."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(AdapterUnusable, match=rf"\[haproxy\] agent_check: cannot listen at {listen}"):
            await AgentCheck(listen).serve(FakeProxyAgent(), quiet_log())


async def test_draining_outlives_a_reload(nursery: trio.Nursery) -> None:
    """An adapter that is made anew while its program drains answers `drain` too."""
    listen = f"127.0.0.1:{free_port()}"
    setup = load(id="p1")
    keeper = Keeper("check", lambda setup: AgentCheck(listen), lambda: setup)
    nursery.start_soon(keeper.keep, FakeProxyAgent(), quiet_log())
    await ask(listen)
    assert keeper.drain(True)
    assert await ask(listen) == "drain\n"
    await trio.testing.wait_all_tasks_blocked()
    keeper.reopen()
    await trio.testing.wait_all_tasks_blocked()
    assert await ask(listen) == "drain\n"
    assert keeper.error == ""
    nursery.cancel_scope.cancel()
