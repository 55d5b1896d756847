"""The adapter opens the door that the file names, or says in one line why it cannot."""

import contextlib
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trio

from protocol.io.log import quiet_log
from proxyagent.config import load
from proxyagent.integrations.adapter import AdapterUnusable
from proxyagent.integrations.forward_auth.adapter import ForwardAuth, make
from proxyagent.testing import FakeProxyAgent
from tests.ports import free_port
from tests.proxyagent.integrations.forward_auth.asked import one, written

WITHIN_S = 20


def made(folder: Path, text: str, *, more: str = "") -> ForwardAuth:
    """As a file with these lines under [forward_auth] has it."""
    path = folder / "authagent.toml"
    path.write_text(f'site = "lan1"\n[forward_auth]\n{text}\n{more}')
    return make(load(str(path), id="proxy1"))


@contextlib.asynccontextmanager
async def serving(adapter: ForwardAuth) -> AsyncIterator[FakeProxyAgent]:
    """It serves for the body, beside an agent that knows alice at 10.3.4.5."""
    agent = FakeProxyAgent()
    agent.login("10.3.4.5", user="alice")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(adapter.serve, agent, quiet_log())
        with trio.fail_after(WITHIN_S):
            yield agent
        nursery.cancel_scope.cancel()


async def ask(stream: trio.SocketStream) -> tuple[int, dict[str, str]]:
    """About alice's address."""
    async with stream:
        await stream.send_all(written("/auth401", x_forwarded_for="10.3.4.5"))
        return one(bytes(await stream.receive_some()))


async def test_a_unix_socket_is_made_as_the_file_says_and_taken_away(tmp_path: Path) -> None:
    """Beside the file, with its mode; its peers are trusted; closed, nobody is let in."""
    path = tmp_path / "auth.sock"
    async with serving(made(tmp_path, 'listen = "./auth.sock"\nmode = "0666"')):
        while not path.exists():
            await trio.sleep(0.01)
        assert path.stat().st_mode & 0o777 == 0o666
        while True:
            with contextlib.suppress(OSError):  # it is bound before it listens
                status, headers = await ask(await trio.open_unix_socket(path))
                break
        assert (status, headers["remote-user"]) == (200, "alice")
    assert not path.exists()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_a_port_is_opened_for_trusted_fronts(tmp_path: Path, host: str) -> None:
    """Who comes from a trusted address may say for whom it asks; the login page of the file is told."""
    port = free_port()
    adapter = made(tmp_path, f'listen = "{host}:{port}"\nlogin_url = "/in"')
    async with serving(adapter) as agent:
        while True:
            with contextlib.suppress(OSError):
                assert (await ask(await trio.open_tcp_stream(host, port)))[0] == 200
                break
            await trio.sleep(0.01)
        agent.logout("10.3.4.5")
        status, headers = await ask(await trio.open_tcp_stream(host, port))
        assert (status, headers["location"]) == (401, "/in")


class Late(FakeProxyAgent):
    """One whose first full copy comes when a test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.full = trio.Event()

    @property
    def ever_synchronised(self) -> bool:
        return self.full.is_set()

    async def wait_synchronised(self) -> None:
        await self.full.wait()


@pytest.mark.parametrize("comes", [True, False])
async def test_the_door_is_opened_with_a_full_copy_or_in_the_end_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, comes: bool
) -> None:
    """Nobody who is logged in is sent to log in because a process was started anew; alone, it opens all the same."""
    monkeypatch.setattr("proxyagent.integrations.forward_auth.adapter.FIRST_COPY_S", 3_600.0 if comes else 0.05)
    late, path = Late(), tmp_path / "auth.sock"
    async with trio.open_nursery() as nursery:
        nursery.start_soon(made(tmp_path, 'listen = "./auth.sock"').serve, late, quiet_log())
        if comes:
            await trio.testing.wait_all_tasks_blocked()
            assert not path.exists()
            late.full.set()
        with trio.fail_after(WITHIN_S):
            while not path.exists():
                await trio.sleep(0.01)
        nursery.cancel_scope.cancel()


async def test_a_stranger_is_not_heard(tmp_path: Path) -> None:
    """An address that is not listed cannot ask for others."""
    port = free_port()
    adapter = made(tmp_path, f'listen = "127.0.0.1:{port}"', more="[client]\ntrusted_proxies = []\n")
    async with serving(adapter):
        while True:
            with contextlib.suppress(OSError):
                stream = await trio.open_tcp_stream("127.0.0.1", port)
                break
            await trio.sleep(0.01)
        async with stream:
            assert b"403 Forbidden" in bytes(await stream.receive_some())


async def test_a_door_that_cannot_be_had_is_told_in_one_line(tmp_path: Path) -> None:
    """A port that is taken, a host that is not here, a file in the way, a group that does not exist."""
    (tmp_path / "file").write_text("")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for text, says in (
            (f'listen = "127.0.0.1:{port}"', "cannot be had: "),
            ('listen = "192.0.2.1:80"', "192.0.2.1:80 cannot be had: "),
            ('listen = "./file"', "is no socket"),
            ('listen = "./a.sock"\ngroup = "no-such-group-here"', "no such group"),
        ):
            with pytest.raises(AdapterUnusable, match=rf"^\[forward_auth\] listen: .*{says}"):
                await made(tmp_path, text).serve(FakeProxyAgent(), quiet_log())


def test_failover_cookies_count_where_the_file_has_keys(tmp_path: Path) -> None:
    """Without them nothing of a cookie is looked at but the key's."""
    assert not made(tmp_path, 'listen = "./a.sock"').carried
    assert made(tmp_path, 'listen = "./a.sock"', more='[cookie]\nkey_files = ["a.key"]').carried


def test_a_reload_that_changes_nothing_leaves_the_door_open(tmp_path: Path) -> None:
    """Only what it is made of counts."""
    first = made(tmp_path, 'listen = "./a.sock"')
    assert first.is_as(made(tmp_path, 'listen = "./a.sock"', more="[logging]\nlevel = 0"))
    for text, more in (('listen = "./b.sock"', ""), ('listen = "./a.sock"', '[client]\nkey = "cookie"')):
        assert not first.is_as(made(tmp_path, text, more=more))
    assert not first.is_as(None)
