"""accept(): from a connected socket to a proven link.

Rules of this file:

- From accept to proven link takes HANDSHAKE_TIMEOUT_S in total, so dripping bytes gains nothing. How many sockets may
  be here at once is the caller's bound (UNPROVEN_CONNECTIONS_MAX).
- Every refusal is told to the peer before its socket is closed. A stranger learns nothing but that.
- Whoever is proven is shown to the caller's `admit`: lists, clocks and duplicates are judged there.

Source: DESIGN section 5.
"""

import secrets
import socket
from collections.abc import Awaitable, Callable
from typing import TypeAlias

import attrs
import trio

from protocol import limits
from protocol.codec import encode
from protocol.connection import Connection, Phase
from protocol.errors import Code, RemoteProtocolError
from protocol.framing import frame
from protocol.handshake import Identity, Listening
from protocol.io.clock import read_clock
from protocol.io.dial import patience_s
from protocol.io.link import Link, LinkFailed, LinkRefused, code_of, printable
from protocol.io.opening import pump, reset_failure, start_tls
from protocol.io.tls import Cipher, Tls, speaks_for
from protocol.io.transport import Transport, take_socket
from protocol.io.wire import Wire
from protocol.messages import Hello, Refusal
from protocol.stamp import Now

_NONCE_BYTES = 18
_SALT = secrets.token_bytes(16)  # one for all links of the process: the derived keys are kept (protocol.handshake)
_JUDGED = frozenset({Phase.DECISION, Phase.CLOSED})

Admit: TypeAlias = Callable[[Hello, str], Refusal | Awaitable[Refusal | None] | None]
"""Judges a proven dialler by its Hello, whose `wall_ms` is as of now, and the address it comes from, without port."""


async def accept(
    stream: trio.SocketStream | trio.socket.SocketType | socket.socket | Transport,
    identity: Identity,
    tls: Tls | None,
    admit: Admit,
    *,
    clock: Callable[[], Now] = read_clock,
) -> Link:
    """A proven link with whoever has connected. Blocks for HANDSHAKE_TIMEOUT_S at most; the stream is used up.

    Raises LinkRefused (we said no) or LinkFailed (it came to nothing); their texts name the peer and fit one log line.
    """
    if isinstance(stream, (trio.SocketStream, trio.socket.SocketType, socket.socket)):
        transport: Transport = take_socket(stream)
    else:
        transport = stream
    connection = _listening(identity, tls)
    linked = False
    try:
        with trio.move_on_after(limits.HANDSHAKE_TIMEOUT_S):
            link = await _shake_hands(transport, connection, identity, tls, admit, clock)
            linked = True
            return link
        raise LinkFailed("timed_out", f"no handshake within {limits.HANDSHAKE_TIMEOUT_S:.0f} s")
    except LinkFailed as failed:
        raise LinkFailed(failed.kind, f"{_name_of(connection, transport)}: {failed.text}") from None
    except LinkRefused as refused:
        text = f"{_name_of(connection, transport)} refused: {refused.text}"
        raise LinkRefused(refused.code, text, refused.elsewhere) from None
    finally:
        if not linked:
            await Wire(transport).end()


def _listening(identity: Identity, tls: Tls | None) -> Connection:
    binding = None if tls is None else tls.listening_binding()
    return Connection(Listening(identity, secrets.token_urlsafe(_NONCE_BYTES), _SALT, binding))


async def _shake_hands(
    transport: Transport,
    connection: Connection,
    identity: Identity,
    tls: Tls | None,
    admit: Admit,
    clock: Callable[[], Now],
) -> Link:
    wire = Wire(transport, None if tls is None else await _start_tls(transport, tls))
    try:
        await pump(wire, connection, _JUDGED, clock)
    except RemoteProtocolError as error:
        await _tell(wire, connection, Refusal(error.code, str(error)))
        raise LinkFailed("protocol", str(error)) from None
    refusal = connection.refusal  # of the handshake itself: told already
    if refusal is None:
        refusal = await _judge(connection.hello(clock()), wire, tls, admit)
        if refusal is not None:
            await _tell(wire, connection, refusal)
    if refusal is not None:
        raise LinkRefused(code_of(refusal.code), refusal.text, refusal.elsewhere)
    try:
        await wire.send_all(wire.wrapped(connection.welcome()))
    except OSError as error:
        raise reset_failure(error) from None
    peer = connection.peer(transport.address)
    transport.set_patience(patience_s(identity, peer.site))
    return Link(wire, connection, peer, dialled=False, arrived=[], clock=clock)


async def _start_tls(transport: Transport, tls: Tls) -> Cipher:
    """TLS, up. A dialler that speaks none is told so in plain words: it could read nothing else."""
    assert tls.listening is not None, "this process does not listen"
    try:
        return await start_tls(transport, tls.listening, server=True)
    except LinkFailed as failed:
        if failed.kind == "no_tls":
            refusal = Refusal(Code.PROTOCOL, "TLS is spoken here; set the same [tls] mode on both")
            await _send(Wire(transport), frame(encode(refusal)))
            raise LinkFailed("no_tls", "the dialler speaks no TLS; set the same [tls] mode on both") from None
        raise


async def _judge(hello: Hello, wire: Wire, tls: Tls | None, admit: Admit) -> Refusal | None:
    """What the certificate says, then what the caller says."""
    if tls is not None and tls.mutual:
        certificate = None if wire.cipher is None else wire.cipher.peer_certificate()
        if certificate is None or not speaks_for(certificate, hello.kind, hello.site, hello.id):
            return Refusal(Code.UNLISTED, f"the certificate does not name {hello.kind}/{hello.site}/{hello.id}")
    verdict = admit(hello, wire.transport.host)
    return await verdict if isinstance(verdict, Awaitable) else verdict


async def _tell(wire: Wire, connection: Connection, refusal: Refusal) -> None:
    clean = attrs.evolve(refusal, text=printable(refusal.text))
    await _send(wire, connection.refuse(clean))


async def _send(wire: Wire, data: bytes) -> None:
    try:
        await wire.send_all(wire.wrapped(data))
    except OSError:
        pass  # it has gone; the caller says so already


def _name_of(connection: Connection, transport: Transport) -> str:
    """Who the peer says it is, and where it is; for log lines."""
    hello = connection.claimed
    return transport.address if hello is None else f"{hello.kind} {hello.site}/{hello.id} at {transport.address}"
