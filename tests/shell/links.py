"""A listener on loopback and diallers for it, for tests of real links; certificates by trustme."""

import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import attrs
import trio
import trustme

from protocol.errors import Code
from protocol.handshake import Identity
from protocol.io import tls as tls_module
from protocol.io.accept import Admit, accept
from protocol.io.dial import dial
from protocol.io.link import Link, LinkClosed, LinkFailed, LinkRefused
from protocol.io.tls import Tls
from protocol.messages import Hello, Message, Refusal
from tests.wire.pair import AGENT, PROXY

HOST = "127.0.0.1"
TIMEOUT_S = 3.0


def admit_all(hello: Hello, host: str) -> Refusal | None:
    return None


@attrs.define
class Listener:
    """What has come to it: links, and why others came to nothing."""

    port: int
    links: list[Link] = attrs.field(factory=list)
    failures: list[LinkRefused | LinkFailed] = attrs.field(factory=list)

    async def link(self) -> Link:
        """The first link."""
        await until(lambda: bool(self.links))
        return self.links[0]

    async def failure(self) -> LinkRefused | LinkFailed:
        """The first failure."""
        await until(lambda: bool(self.failures))
        return self.failures[0]


async def until(condition: Callable[[], bool], timeout_s: float = TIMEOUT_S) -> None:
    """Wait for a condition; fail when it does not come."""
    with trio.fail_after(timeout_s):
        while not condition():
            await trio.sleep(0.002)


@contextlib.asynccontextmanager
async def listening(
    identity: Identity = AGENT, tls: Tls | None = None, admit: Admit = admit_all
) -> AsyncIterator[Listener]:
    """An agent's door on loopback. Each caller is taken by accept(), as a server would."""
    (opened,) = await trio.open_tcp_listeners(0, host=HOST)
    listener = Listener(opened.socket.getsockname()[1])

    async def take(stream: trio.SocketStream) -> None:
        try:
            listener.links.append(await accept(stream, identity, tls, admit))
        except (LinkRefused, LinkFailed) as failure:
            listener.failures.append(failure)

    async with trio.open_nursery() as nursery:

        async def run() -> None:
            while True:
                nursery.start_soon(take, await opened.accept())

        nursery.start_soon(run)
        try:
            yield listener
        finally:
            nursery.cancel_scope.cancel()
    await opened.aclose()
    await close(*listener.links)


@contextlib.asynccontextmanager
async def linked(tls: Tls | None = None, dialler_tls: Tls | None = None) -> AsyncIterator[tuple[Link, Link]]:
    """Both ends of one link: the dialler's, the listener's."""
    async with listening(tls=tls) as listener:
        ours = await dial(HOST, listener.port, PROXY, dialler_tls or tls, TIMEOUT_S)
        try:
            yield ours, await listener.link()
        finally:
            await close(ours, *listener.links)


async def close(*links: Link) -> None:
    """Leave no socket open, whatever the test did to the links."""
    for link in links:
        link.close(Code.STOPPING, "the test is over")
    for link in links:
        await link.wait_closed()


async def received(link: Link, count: int) -> list[Message]:
    """That many messages."""
    messages: list[Message] = []
    with trio.fail_after(TIMEOUT_S):
        while len(messages) < count:
            messages += await link.receive()
    return messages


async def ending(link: Link) -> LinkClosed:
    """How the link ends; what comes before is read and dropped."""
    with trio.fail_after(2 * TIMEOUT_S):
        while True:
            try:
                await link.receive()
            except LinkClosed as closed:
                return closed


async def raw(port: int) -> trio.SocketStream:
    """A connection to the listener that speaks nothing by itself."""
    return await trio.open_tcp_stream(HOST, port)


async def read_all(stream: trio.abc.ReceiveStream) -> bytes:
    """Everything until the end of the stream."""
    data = b""
    with trio.fail_after(2 * TIMEOUT_S):
        async for piece in stream:
            data += piece
    return data


@contextlib.asynccontextmanager
async def answering(handler: Callable[[trio.SocketStream], object]) -> AsyncIterator[int]:
    """A listener of another kind: each connection goes to this handler. Gives its port."""
    (opened,) = await trio.open_tcp_listeners(0, host=HOST)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, handler, [opened])
        yield opened.socket.getsockname()[1]
        nursery.cancel_scope.cancel()


def closed_port() -> int:
    """A port on loopback where nothing listens."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


class Authority:
    """A certificate authority of the test and the files that it issues."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._authority = trustme.CA()
        folder.mkdir(parents=True, exist_ok=True)
        self.file = str(folder / "authority.pem")
        self._authority.cert_pem.write_to_path(self.file)

    def tls(self, *names: str, client_certificates: bool = False, authority: str | None = None) -> Tls:
        """TLS with a certificate for these names, checking peers against this authority or another, or "" for none."""
        certificate, key = self.pair(*names)
        return tls_module.from_files(
            certificate, key, self.file if authority is None else authority, client_certificates
        )

    def pair(self, *names: str) -> tuple[str, str]:
        issued = self._authority.issue_cert(*names[1:] or ("agent.example",), common_name=names[0])
        certificate, key = self._folder / f"{len(list(self._folder.iterdir()))}.pem", self._folder / "key.pem"
        key = certificate.with_suffix(".key")
        issued.cert_chain_pems[0].write_to_path(str(certificate))
        issued.private_key_pem.write_to_path(str(key))
        return str(certificate), str(key)


def any_client() -> ssl.SSLContext:
    """A context of TLS that trusts everybody."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
