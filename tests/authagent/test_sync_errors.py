"""Why there is no link to the partner, as the log tells it: how often, and in which words for which fault.

The faults are made for real, all at once: agents in this loop whose partner is something else each.
"""

import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
import trustme

from authagent.sync_errors import HOLD_S, STEPS_S, SyncErrors
from protocol.errors import Code
from protocol.io.log import Log, Severity
from tests.authagent.running import make, run_agents, serve, until, write_files, write_secret
from tests.ports import free_ports

Peer = Callable[[trio.SocketStream], Awaitable[None]]


class Book:
    """The lines of one SyncErrors, with a clock that moves by hand."""

    def __init__(self) -> None:
        self.lines: list[Mapping[str, object]] = []
        log = Log(lambda severity, event, keys: self.lines.append(keys), level=1, monotonic_s=lambda: 0.0)
        self.errors = SyncErrors(log)

    @property
    def said(self) -> list[str]:
        return [str(line["said"]) for line in self.lines]

    def fail(self, seconds: float, *, since_s: float = 0.0, kind: str = "refused", code: Code | None = None) -> None:
        """Attempts twice a second for so long."""
        for half in range(round(seconds * 2)):
            self.errors.failed(kind, "10.1.0.12:9023: nothing", code, since_s + half / 2)


def test_lines_come_after_10_20_30_and_60_seconds() -> None:
    """The first when it has lasted; then ever more seldom; each says when the next one comes."""
    book = Book()
    book.fail(HOLD_S + 10 + 20 + 30 + 60 + 60 + 1)

    assert [int(line.rpartition(" ")[2]) for line in book.said] == [10, 20, 30, 60, 60, 60]
    assert book.said[0] == "SYNC_ERROR, connection refused (10.1.0.12:9023: nothing), Time out now 10"
    assert STEPS_S == (10, 20, 30, 60)


def test_a_partner_that_comes_soon_is_no_error() -> None:
    """Within three seconds nothing is said; and after a link it all begins anew."""
    book = Book()
    book.fail(HOLD_S)
    book.errors.linked()
    assert book.said == []
    book.fail(HOLD_S + 1, since_s=100)
    book.errors.linked()
    book.fail(HOLD_S + 1, since_s=200)

    assert [line.rpartition(",")[2] for line in book.said] == [
        " Time out now 10", " synchronised again", " Time out now 10",
    ]  # fmt: skip


def test_another_reason_is_told_at_once() -> None:
    """And a wrong secret has its own word."""
    book = Book()
    book.fail(4)
    book.fail(1, since_s=4, kind="refused by", code=Code.UNKNOWN_SECRET)
    book.fail(1, since_s=5, kind="timed_out")

    assert [line.split(",")[0] for line in book.said] == ["SYNC_ERROR", "SYNC_ERROR_UNAUTHORIZED", "SYNC_ERROR"]


# -- every fault of the list, made for real ------------------------------------------------------------------------


async def _not_found(stream: trio.SocketStream) -> None:
    await stream.receive_some(1_000)
    await stream.send_all(b"HTTP/1.1 404 Not Found\r\n\r\n")


async def _silent(stream: trio.SocketStream) -> None:
    await trio.sleep_forever()


async def _old_tls(stream: trio.SocketStream) -> None:
    """Wants a version or cipher that is not spoken here, and says so: fatal alert 40, handshake_failure."""
    await stream.receive_some(1_000)
    await stream.send_all(b"\x15\x03\x03\x00\x02\x02\x28")


async def _end_of_file(stream: trio.SocketStream) -> None:
    await stream.receive_some(1)


class _Names(trio.abc.HostnameResolver):
    """Knows no name at all, at once; without it a machine without a network would be asked for long."""

    async def getaddrinfo(
        self, host: bytes | None, port: bytes | str | int | None, family: int = 0, type: int = 0, proto: int = 0,
        flags: int = 0,
    ) -> list[Any]:  # fmt: skip
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    async def getnameinfo(self, sockaddr: Any, flags: int) -> tuple[str, str]:
        raise NotImplementedError


def _https() -> Peer:
    """Something that speaks TLS and is no agent."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)

    async def answer(stream: trio.SocketStream) -> None:
        tls = trio.SSLStream(stream, context, server_side=True)
        await tls.do_handshake()
        await _not_found(tls)  # type: ignore[arg-type]

    return answer


def _file(folder: Path, port: int, host: str = "127.0.0.1", *, mode: str = "auto", secret: str = "") -> Path:
    """Agent 1, whose partner is at this port; by itself in a folder."""
    folder.mkdir()
    (own,) = free_ports(1)
    tls = f'[tls]\nmode = "{mode}"\n'
    if mode == "files":
        authority = trustme.CA()
        own_cert = authority.issue_cert("127.0.0.1")
        own_cert.cert_chain_pems[0].write_to_path(str(folder / "own.pem"))
        own_cert.private_key_pem.write_to_path(str(folder / "own.key"))
        authority.cert_pem.write_to_path(str(folder / "authority.pem"))
        tls += 'certificate = "own.pem"\nkey = "own.key"\nauthority = "authority.pem"\n'
    path = folder / "authagent.toml"
    entries = f'[[authagent]]\nid = 1\nhost = "127.0.0.1"\nport = {own}\n'
    entries += f'[[authagent]]\nid = 2\nhost = "{host}"\nport = {port}\nlisten = ["127.0.0.1:{port}"]\n'
    path.write_text(f'site = "lan1"\nstate_dir = "{folder}/state"\n{tls}[control]\nfolder = "{folder}"\n{entries}')
    write_secret(folder, *([secret] if secret else []))
    return path


async def _accept(peer: Peer, stream: trio.SocketStream) -> None:
    try:
        await peer(stream)
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        pass  # the agent has had enough


@asynccontextmanager
async def _listeners(peers: Mapping[str, Peer]) -> AsyncIterator[dict[str, int]]:
    """Something on a port of loopback for each fault."""
    async with trio.open_nursery() as nursery:
        ports = {}
        for name, peer in peers.items():
            (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
            ports[name] = listener.socket.getsockname()[1]
            nursery.start_soon(partial(trio.serve_listeners, partial(_accept, peer), [listener]))
        yield ports
        nursery.cancel_scope.cancel()


def _unused() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::ResourceWarning")
async def test_every_fault_of_the_list_has_its_line(tmp_path: Path) -> None:
    """Unknown host, nothing there, no answer, 404, no TLS, an end of file, an old TLS, a stranger's certificate, and
    another secret: each line has the word of the source, says what happened, and ends with its seconds."""
    peers: dict[str, Peer] = {
        "404": _https(),
        "no tls": _not_found,
        "silent": _silent,
        "end of file": _end_of_file,
        "handshake": _old_tls,
        "certificate": _https(),
    }
    trio.socket.set_custom_hostname_resolver(_Names())
    async with _listeners(peers) as ports, trio.open_nursery() as nursery:
        files = {name: _file(tmp_path / name, port) for name, port in ports.items() if name != "certificate"}
        files["certificate"] = _file(tmp_path / "certificate", ports["certificate"], mode="files")
        files["unknown host"] = _file(tmp_path / "unknown host", 9023, "standby-swivel-local-pinsafe.invalid")
        files["refused"] = _file(tmp_path / "refused", _unused())
        (port,) = free_ports(1)
        other = _file(tmp_path / "other secret", port)
        files["secret"] = _file(tmp_path / "secret", port)
        agents = {name: make(path) for name, path in files.items()}
        for agent in (*agents.values(), make(other, 2)):
            await nursery.start(serve, agent)
        await until(lambda: all(agent.logged("sync.error") for agent in agents.values()), 30)
        said = {name: str(agent.logged("sync.error")[0]["said"]) for name, agent in agents.items()}
        nursery.cancel_scope.cancel()

    wanted = {
        "404": "no AuthAgent", "no tls": "does not speak TLS", "silent": "timed out", "end of file": "end of file",
        "handshake": "TLS failed", "certificate": "certificate not trusted", "unknown host": "unknown host",
        "refused": "connection refused", "secret": "SYNC_ERROR_UNAUTHORIZED",
    }  # fmt: skip
    assert {name: line for name, line in said.items() if wanted[name] not in line} == {}
    assert all(line.startswith("SYNC_ERROR") and line.endswith("Time out now 10") for line in said.values())
    assert all("SYNC_ERROR," in line for name, line in said.items() if name != "secret")


@pytest.mark.slow
async def test_a_partner_that_comes_back_ends_it(tmp_path: Path) -> None:
    """The master says SYNC_ERROR while its slave is away, and that it is synchronised again."""
    path = write_files(tmp_path, agents=2)
    async with run_agents(path, 1) as (one,), trio.open_nursery() as nursery:
        await until(lambda: one.logged("sync.error"), 30)
        await nursery.start(serve, make(path, 2))
        await until(lambda: one.logged("sync.recovered"), 30)
        nursery.cancel_scope.cancel()

    assert one.lines[0][0] is not Severity.ALARM
