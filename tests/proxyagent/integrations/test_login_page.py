"""The login page as an adapter: served where the file says, over TLS or not, and what is said when it cannot be."""

import socket
import ssl
from pathlib import Path

import pytest
import trio
import trustme

from protocol.io.log import Log
from proxyagent.config import ProxySetup, load
from proxyagent.integrations.adapter import AdapterUnusable
from proxyagent.integrations.catalogue import ADAPTERS
from proxyagent.integrations.login_page import LoginPage
from proxyagent.testing import FakeProxyAgent
from tests.ports import free_port
from tests.protocol.io.http.asking import TIMEOUT_S, exchange, get, status_of
from tests.proxyagent.login.test_page import write


def setup(folder: Path, listen: str, more: str = "") -> ProxySetup:
    path = write(folder, more)
    path.write_text(path.read_text().replace("127.0.0.1:8080", listen))
    return load(str(path), id="p1")


async def until_listening(adapter: LoginPage, nursery: trio.Nursery) -> list[str]:
    """Serve it, and wait until it says so; the events that it logged until then."""
    events: list[str] = []
    log = Log(lambda _, event, values: events.append(event), level=1, monotonic_s=trio.current_time)
    nursery.start_soon(adapter.serve, FakeProxyAgent(), log)
    with trio.fail_after(TIMEOUT_S):
        while "http.listening" not in events:
            await trio.sleep(0.01)
    return events


def test_it_is_made_where_the_file_wants_it(tmp_path: Path) -> None:
    """[login] listen says so."""
    made = setup(tmp_path, "127.0.0.1:8080")
    assert ADAPTERS["login"](made) == LoginPage(made)
    (tmp_path / "authagent.toml").write_text("")
    assert ADAPTERS["login"](load(str(tmp_path / "authagent.toml"), id="p1")) is None


async def test_on_loopback_it_is_plain(tmp_path: Path) -> None:
    """As the status page is; whether browsers shall insist on TLS is the front's to say, also with a certificate."""
    port = free_port()
    async with trio.open_nursery() as nursery:
        made = setup(tmp_path, f"127.0.0.1:{port}", 'certificate = "page.crt"\nkey = "page.key"\n')
        assert await until_listening(LoginPage(made), nursery) == ["http.listening"]
        answer = await exchange(port, get("/").replace(b"Host: x", b"Host: localhost"))
        assert status_of(answer) == 200 and b"strict-transport-security" not in answer
        nursery.cancel_scope.cancel()


async def test_elsewhere_it_is_tls_with_the_operators_certificate(tmp_path: Path) -> None:
    """And browsers are told to insist on it."""
    authority, port = trustme.CA(), free_port()
    certificate = authority.issue_cert("login.example")
    certificate.private_key_pem.write_to_path(str(tmp_path / "page.key"))
    certificate.cert_chain_pems[0].write_to_path(str(tmp_path / "page.crt"))
    made = setup(tmp_path, f"0.0.0.0:{port}", 'certificate = "page.crt"\nkey = "page.key"\n')
    context = ssl.create_default_context()
    authority.configure_trust(context)
    async with trio.open_nursery() as nursery:
        await until_listening(LoginPage(made), nursery)
        tcp = await trio.open_tcp_stream("127.0.0.1", port)
        stream = trio.SSLStream(tcp, context, server_hostname="login.example", https_compatible=True)
        with trio.fail_after(TIMEOUT_S):
            request = get("/", "X-Forwarded-For: 10.0.0.1").replace(b"Host: x", b"Host: login.example")
            await stream.send_all(request)
            answer = b"".join([chunk async for chunk in stream])
        assert status_of(answer) == 200 and b"strict-transport-security" in answer
        assert b"set-cookie: __Host-login-form=" in answer
        await trio.aclose_forcefully(stream)
        nursery.cancel_scope.cancel()


async def test_elsewhere_it_is_plain_where_the_file_insists(tmp_path: Path) -> None:
    """By an option that names itself insecure; the log warns of it at each start."""
    port = free_port()
    async with trio.open_nursery() as nursery:
        made = LoginPage(setup(tmp_path, f"0.0.0.0:{port}", "insecure_plain = true\n"))
        assert "login.insecure" in await until_listening(made, nursery)
        assert status_of(await exchange(port, get("/").replace(b"Host: x", b"Host: 127.0.0.1"))) == 200
        nursery.cancel_scope.cancel()


async def test_what_keeps_it_from_serving_is_one_line(tmp_path: Path) -> None:
    """A port that is taken, users that cannot be read."""
    log = Log(lambda *line: None, level=1, monotonic_s=trio.current_time)
    with socket.create_server(("127.0.0.1", 0)) as holder:
        made = setup(tmp_path, f"127.0.0.1:{holder.getsockname()[1]}")
        with pytest.raises(AdapterUnusable, match=r"\[login\] cannot listen at"):
            await LoginPage(made).serve(FakeProxyAgent(), log)
    (tmp_path / "users").write_text("alice:plain\n")
    with pytest.raises(AdapterUnusable, match="neither bcrypt nor argon2"):
        await LoginPage(made).serve(FakeProxyAgent(), log)
