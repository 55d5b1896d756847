"""The part of `proxyagent run` that serves squid."""

import socket
from pathlib import Path

import attrs
import pytest
import trio

from protocol.configuration import SquidSettings
from protocol.io.log import quiet_log
from proxyagent.config import ProxySetup, load
from proxyagent.integrations.adapter import AdapterUnusable
from proxyagent.integrations.squid.adapter import Squid, make
from proxyagent.testing import FakeProxyAgent
from tests.ports import free_port


@pytest.fixture
def setup(file: Path) -> ProxySetup:
    """A proxy of the file whose helpers are wanted."""
    file.write_text(file.read_text() + "[squid]\nhelpers = true\n")
    return load(str(file), id="p1")


async def ask(setup: ProxySetup, question: bytes) -> bytes:
    """One question at the socket for helpers."""
    path = setup.control_path.replace(".sock", ".squid")
    while not Path(path).exists():
        await trio.sleep(0.01)
    async with await trio.open_unix_socket(path) as stream:
        await stream.send_all(question)
        return bytes(await stream.receive_some())


def test_it_is_made_where_the_file_wants_it(setup: ProxySetup) -> None:
    """Nothing in [squid]: no adapter."""
    assert isinstance(make(setup), Squid)
    without = attrs.evolve(setup.configuration, squid=SquidSettings())
    assert make(attrs.evolve(setup, configuration=without)) is None


async def test_helpers_are_answered_beside_the_control_socket(setup: ProxySetup) -> None:
    """The socket has the mode of [control], and is gone when the adapter ends."""
    agent = FakeProxyAgent()
    agent.login("10.0.0.1", "alice")
    adapter = make(setup)
    assert adapter is not None
    path = Path(setup.control_path.replace(".sock", ".squid"))
    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(adapter.serve, agent, quiet_log())
            assert await ask(setup, b"1 session 10.0.0.1 -\n") == b"1 OK user=alice\n"
            assert path.stat().st_mode & 0o777 == setup.configuration.control.mode
            nursery.cancel_scope.cancel()
    assert not path.exists()


async def test_activity_comes_in_by_the_access_log(setup: ProxySetup) -> None:
    """A line at `access_log` keeps its user from being idle."""
    port = free_port()
    settings = SquidSettings(access_log=f"127.0.0.1:{port}")
    agent = FakeProxyAgent(idle_timeout_s=60)
    agent.login("10.0.0.1", "alice")
    agent.advance(50)
    idle_s = agent.idle_left_s(agent.sessions()[0])
    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(Squid(setup, settings).serve, agent, quiet_log())
            await trio.testing.wait_all_tasks_blocked()
            async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
                await stream.send_all(b"10.0.0.1 -\n")
                agent.advance(5)
                while agent.idle_left_s(agent.sessions()[0]) <= idle_s:
                    await trio.sleep(0.01)
            nursery.cancel_scope.cancel()


async def test_what_is_taken_is_told(setup: ProxySetup) -> None:
    """A port or a socket that somebody else has is one line, which names it."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(AdapterUnusable, match=rf"\[squid\] access_log: cannot listen at 127.0.0.1:{port}"):
            await Squid(setup, SquidSettings(access_log=f"127.0.0.1:{port}")).serve(FakeProxyAgent(), quiet_log())
    Path(setup.control_path.replace(".sock", ".squid")).write_text("something else")
    with trio.fail_after(10), pytest.raises(AdapterUnusable, match="is no socket"):
        await Squid(setup, SquidSettings(helpers=True)).serve(FakeProxyAgent(), quiet_log())
