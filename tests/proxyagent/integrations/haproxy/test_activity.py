"""HAProxy's log as activity: whoever passes does not become idle."""

import os
import secrets
import socket
from collections.abc import Iterator

import pytest
import trio

from protocol.configuration import ClientSettings
from protocol.io.log import quiet_log
from protocol.key import key
from proxyagent.integrations.adapter import AdapterUnusable
from proxyagent.integrations.client_key import ClientKeys
from proxyagent.integrations.haproxy.activity import Activity
from proxyagent.testing import FakeProxyAgent
from tests.ports import free_port

DEADLINE_S = 15.0
IDLE_S = 30 * 60
KEYS = ClientKeys(ClientSettings())


@pytest.fixture(params=["unix", "udp"])
def listen(request: pytest.FixtureRequest) -> Iterator[str]:
    """Where to listen: a path or HOST:PORT."""
    path = f"/tmp/aa-{secrets.token_hex(4)}.sock"
    yield path if request.param == "unix" else f"127.0.0.1:{free_port()}"
    assert not os.path.exists(path)


def send(listen: str, *lines: bytes) -> None:
    if "/" in listen:
        sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        place: str | tuple[str, int] = listen
    else:
        host, _, port = listen.rpartition(":")
        sender, place = socket.socket(socket.AF_INET, socket.SOCK_DGRAM), (host, int(port))
    with sender:
        for line in lines:
            sender.sendto(line, place)


async def test_a_line_of_the_log_is_activity(listen: str, nursery: trio.Nursery) -> None:
    """Whoever a line names lives on; garbage and strangers change nothing."""
    agent = FakeProxyAgent()
    cookie = key(cookie="x")
    for each in ("10.0.0.1", "2001:db8::1", cookie, "10.0.0.2"):
        agent.login(each, user=each)
    agent.advance(IDLE_S - 60)
    nursery.start_soon(Activity(listen, KEYS).serve, agent, quiet_log())
    await trio.testing.wait_all_tasks_blocked()
    send(
        listen,
        b"<134>Nov 22 10:00:00 haproxy[1]: session=10.0.0.1\n",
        b"session=2001:db8::1 GET /",
        f"session={cookie}".encode(),
        b"session=10.9.9.9",
        b"\xff\x00" * 4_000,
        b"session=",
        b"",
        b"nosession=10.0.0.2 session= 10.0.0.2",
    )
    await trio.testing.wait_all_tasks_blocked(0.2)
    agent.advance(120)
    assert {each.user for each in agent.sessions()} == {"10.0.0.1", "2001:db8::1", cookie}
    nursery.cancel_scope.cancel()


async def test_udp_is_heard_from_trusted_proxies_only(nursery: trio.Nursery) -> None:
    """A datagram of anybody else keeps nobody logged in."""
    agent = FakeProxyAgent()
    agent.login("10.0.0.1", user="alice")
    agent.advance(IDLE_S - 60)
    listen = f"127.0.0.1:{free_port()}"
    nursery.start_soon(Activity(listen, ClientKeys(ClientSettings(trusted_proxies=()))).serve, agent, quiet_log())
    await trio.testing.wait_all_tasks_blocked()
    send(listen, b"session=10.0.0.1")
    await trio.testing.wait_all_tasks_blocked(0.2)
    agent.advance(120)
    assert agent.sessions() == ()
    nursery.cancel_scope.cancel()


async def test_a_socket_left_behind_is_replaced_and_a_taken_port_named(nursery: trio.Nursery) -> None:
    """What a killed process left does not matter; what another process holds is told."""
    path = f"/tmp/aa-{secrets.token_hex(4)}.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as left:
        left.bind(path)
    nursery.start_soon(Activity(path, KEYS).serve, FakeProxyAgent(), quiet_log())
    await trio.testing.wait_all_tasks_blocked()
    send(path, b"x")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(AdapterUnusable, match=rf"activity: cannot listen at {listen}"):
            await Activity(listen, KEYS).serve(FakeProxyAgent(), quiet_log())
    nursery.cancel_scope.cancel()
