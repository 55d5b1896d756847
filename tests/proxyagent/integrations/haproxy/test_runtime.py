"""HAProxy's runtime socket: maps, identities and sessions of the real program, and what only pretends to be it."""

import contextlib
import functools
import re
import socket
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from proxyagent.integrations.haproxy import runtime as runtime_socket
from proxyagent.integrations.haproxy.runtime import (
    ANSWER_LINE_BYTES_MAX,
    LINE_BYTES_MAX,
    MapChanges,
    Runtime,
    RuntimeFailed,
    shut_down_clients,
)
from tests.ports import free_ports
from tests.proxyagent.integrations.haproxy.running import Haproxy, open_haproxy

CONFIGURATION = """\
global
    stats socket {socket} mode 600 level admin
    stats socket ipv4@127.0.0.1:{runtime} level admin
defaults
    mode tcp
    timeout connect 1s
    timeout client 60s
    timeout server 60s
frontend door
    bind 127.0.0.1:{door}
    tcp-request connection reject if {{ src,map_ip({folder}/sessions.map) -m str nobody }}
    default_backend behind
backend behind
    server behind 127.0.0.1:{behind}
"""

HOSTILE_USERS = ("o hara; show info", "back\\slash", 'quo"t\'es', "<<", "#hash $x", "ümläut 你好", "a" * 256)


@pytest.fixture
def haproxy() -> Iterator[Haproxy]:
    """HAProxy with an empty map, a door and nobody behind it."""
    with open_haproxy() as running:
        runtime, door, behind = free_ports(3)
        (running.folder / "sessions.map").touch()
        text = CONFIGURATION.format(
            socket=running.socket, runtime=runtime, door=door, behind=behind, folder=running.folder
        )
        (running.folder / "ports").write_text(f"{runtime} {door} {behind}")
        running.start(text)
        yield running


def ports(haproxy: Haproxy) -> tuple[int, ...]:
    return tuple(map(int, (haproxy.folder / "ports").read_text().split()))


def map_of(haproxy: Haproxy) -> str:
    return str(haproxy.folder / "sessions.map")


@pytest.mark.system
async def test_a_map_becomes_what_the_changes_say(haproxy: Haproxy) -> None:
    """Entries are added, set and deleted, whatever characters a user name has; over TCP and the Unix socket alike."""
    name, unix = map_of(haproxy), Runtime(haproxy.socket)
    tcp = Runtime(f"127.0.0.1:{ports(haproxy)[0]}")
    users = {f"10.0.0.{number}": user for number, user in enumerate(HOSTILE_USERS)}
    await unix.change_map(name, MapChanges(add=users))
    assert await tcp.map_entries(name) == users
    await tcp.change_map(name, MapChanges(delete=["10.0.0.1", "10.9.9.9"], set={"10.0.0.2": "zoë; x"}))
    del users["10.0.0.1"]
    assert await unix.map_entries(name) == {**users, "10.0.0.2": "zoë; x"}


@pytest.mark.system
async def test_no_name_can_become_a_command(haproxy: Haproxy) -> None:
    """What ends a line in a name is a question mark in the map."""
    runtime, name = Runtime(haproxy.socket), map_of(haproxy)
    await runtime.change_map(name, MapChanges(add={"10.0.0.1": f"a\ndel map {name} 10.0.0.2\r\0", "10.0.0.2": "bob"}))
    assert await runtime.map_entries(name) == {"10.0.0.1": f"a?del map {name} 10.0.0.2??", "10.0.0.2": "bob"}


@pytest.mark.system
async def test_many_changes_go_in_lines_that_haproxy_takes(haproxy: Haproxy) -> None:
    """Thousands of entries come and go, though a line beyond HAProxy's buffer would be lost without a word."""
    runtime, name = Runtime(haproxy.socket), map_of(haproxy)
    users = {f"10.1.{number >> 8}.{number & 255}": f"user{number}" for number in range(5_000)}
    await runtime.change_map(name, MapChanges(add=users))
    assert await runtime.map_entries(name) == users
    await runtime.change_map(name, MapChanges(delete=list(users)))
    assert await runtime.map_entries(name) == {}


@pytest.mark.system
async def test_what_haproxy_refuses_is_told_in_one_line(haproxy: Haproxy) -> None:
    """A map it does not know, and a key that is no address, name the socket and what HAProxy said."""
    runtime = Runtime(haproxy.socket)
    with pytest.raises(RuntimeFailed, match="Unknown map identifier"):
        await runtime.map_entries("/no/such.map")
    with pytest.raises(RuntimeFailed, match="not a valid IPv4 or IPv6 address"):
        await runtime.change_map(map_of(haproxy), MapChanges(add={"no address": "alice"}))
    haproxy.kill()
    with pytest.raises(RuntimeFailed, match="Connection refused"):
        await runtime.identity()


@pytest.mark.system
async def test_another_process_is_noticed(haproxy: Haproxy) -> None:
    """The same process follows itself; one that was started anew does not."""
    runtime = Runtime(haproxy.socket)
    first = await runtime.identity()
    assert (await runtime.identity()).follows(first)
    haproxy.kill()
    haproxy.start()
    assert not (await runtime.identity()).follows(first)


@pytest.mark.system
async def test_connections_of_a_client_are_shut_down_and_no_others(haproxy: Haproxy) -> None:
    """Tunnels of one address end at once, those of another go on; the count is of those that ended."""
    _, door, behind = ports(haproxy)
    with socket.create_server(("127.0.0.1", behind)):
        mine = [socket.create_connection(("127.0.0.1", door), 15, ("127.0.0.51", 0)) for _ in range(2)]
        other = socket.create_connection(("127.0.0.1", door), 15, ("127.0.0.5", 0))
        ended = 0
        with trio.fail_after(15):
            while ended < 2:  # the kernel accepts before HAProxy does
                ended += await shut_down_clients(haproxy.socket, ["::ffff:127.0.0.51", "10.0.0.1"])
        for each in mine:
            assert each.recv(1) == b""
            each.close()
        assert await shut_down_clients(haproxy.socket, []) == 0
        assert await shut_down_clients(haproxy.socket, ["127.0.0.51", "no address"]) == 0
        other.setblocking(False)
        with pytest.raises(BlockingIOError):
            other.recv(1)
        other.close()


# -- what only pretends -------------------------------------------------------------------------------------------

Answerer = Callable[[trio.SocketStream], Awaitable[None]]


async def _silent(stream: trio.SocketStream) -> None:
    await trio.sleep_forever()


async def _endless(stream: trio.SocketStream) -> None:
    with contextlib.suppress(trio.BrokenResourceError):
        while True:
            await stream.send_all(b"x" * ANSWER_LINE_BYTES_MAX)


async def _garbage(stream: trio.SocketStream) -> None:
    await stream.receive_some()
    await stream.send_all(b"\xff\x00garbage\n\n")
    await stream.aclose()


async def _ask(answerer: Answerer, nursery: trio.Nursery) -> None:
    listeners = await nursery.start(functools.partial(trio.serve_tcp, answerer, 0, host="127.0.0.1"))
    await Runtime(f"127.0.0.1:{listeners[0].socket.getsockname()[1]}").identity()


@pytest.mark.parametrize(("answerer", "told"), [(_endless, "no end"), (_garbage, "is no HAProxy")])
async def test_whoever_is_no_haproxy_costs_one_bounded_error(
    answerer: Answerer, told: str, nursery: trio.Nursery
) -> None:
    """A line without an end and garbage are each one error, and nothing grows."""
    with pytest.raises(RuntimeFailed, match=told):
        await _ask(answerer, nursery)


async def test_whoever_is_silent_is_not_waited_for(autojump_clock: MockClock, nursery: trio.Nursery) -> None:
    """A socket that takes commands and never answers costs a deadline, and nothing hangs."""
    with pytest.raises(RuntimeFailed, match="does not answer"):
        await _ask(_silent, nursery)


async def test_a_socket_that_is_not_there_is_named(tmp_path: Path) -> None:
    """The error says which socket, and what would make one."""
    with pytest.raises(RuntimeFailed, match=r"admin.sock: No such file or directory; is `stats socket` set"):
        await Runtime(str(tmp_path / "admin.sock")).identity()


@given(words=st.lists(st.text(min_size=1), min_size=1, max_size=4))
def test_words_come_out_of_a_command_as_they_went_in(words: list[str]) -> None:
    """However HAProxy splits: at blanks and semicolons that no backslash stands before; nothing ends the line."""
    line = runtime_socket._command(*words)
    assert not re.search(r"[\x00-\x1f\x7f]", line)
    assert not re.search(r"(?<!\\)(?:\\\\)*;", line)
    split = [re.sub(r"\\(.)", r"\1", each) for each in re.findall(r"(?:\\.|[^\\ ])+", line)]
    assert split == [re.sub(r"[\x00-\x1f\x7f]", "?", each) for each in words]


def test_a_line_of_commands_fits_into_the_smallest_buffer() -> None:
    """Half of HAProxy's default buffer."""
    assert LINE_BYTES_MAX * 2 <= 16 * 1024
