"""dial(): from a host name to a proven link.

Rules of this file:

- All that can go wrong is LinkRefused (the listener answered: no) or LinkFailed (no answer that counts), with a text
  that names the other end and what to do.
- Where the listener does not know the line of the secret file, the next line is tried on a new connection, within the
  same deadline.

Source: DESIGN sections 4 and 5.
"""

import errno
import secrets
import socket
from collections.abc import Awaitable, Callable, Iterator
from typing import TypeAlias

import trio

from protocol import limits
from protocol.connection import Connection, Phase
from protocol.errors import Code, RemoteProtocolError
from protocol.handshake import Dialling, Identity
from protocol.io.clock import read_clock
from protocol.io.link import Link, LinkFailed, LinkRefused, code_of
from protocol.io.opening import pump, start_tls
from protocol.io.tls import Tls, TlsError, binding_of, speaks_for
from protocol.io.transport import Transport, take_socket
from protocol.io.wire import Wire
from protocol.messages import Refusal
from protocol.stamp import Now

_NONCE_BYTES = 18
_ANSWERED = frozenset({Phase.OPEN, Phase.CLOSED})


Connect: TypeAlias = Callable[[str, int], Awaitable[Transport]]
"""Makes a stream to a host and port. Raises LinkFailed; the caller sets the deadline."""


async def connect_tcp(host: str, port: int) -> Transport:
    """A TCP connection to the first address that answers. Raises LinkFailed."""
    where = _place(host, port)
    try:
        return take_socket(await trio.open_tcp_stream(host, port))
    except (socket.gaierror, UnicodeError):
        raise LinkFailed("unknown_host", f"{where}: unknown host {host}") from None
    except OSError as error:
        causes = list(_leaves(error))
        if any(cause.errno == errno.ECONNREFUSED for cause in causes):
            raise LinkFailed("refused", f"{where}: connection refused; nothing listens there") from None
        if any(cause.errno == errno.ECONNRESET for cause in causes):
            raise LinkFailed("reset", f"{where}: connection reset") from None
        reason = next((cause.strerror for cause in causes if cause.strerror), "no connection")
        raise LinkFailed("timed_out", f"{where}: {reason}") from None


def _leaves(error: BaseException | None) -> Iterator[OSError]:
    """The errors of all addresses tried; trio hangs them below the one that it raises."""
    if isinstance(error, BaseExceptionGroup):
        for part in error.exceptions:
            yield from _leaves(part)
    elif isinstance(error, OSError):
        yield error
        yield from _leaves(error.__cause__)


def _place(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


async def dial(
    host: str,
    port: int,
    identity: Identity,
    tls: Tls | None,
    timeout_s: float,
    *,
    clock: Callable[[], Now] = read_clock,
    connect: Connect = connect_tcp,
) -> Link:
    """A proven link to the agent at host:port. Blocks for `timeout_s` at most, name resolution included.

    `tls` None is plain TCP: the caller decides where that is allowed. Raises LinkRefused or LinkFailed.
    """
    where = _place(host, port)
    progress = ["connecting"]
    with trio.move_on_after(timeout_s):
        for line in identity.secrets.lines:
            progress[0] = "connecting"
            transport = await connect(host, port)
            progress[0] = "waiting for the handshake"
            try:
                return await open_link(transport, identity, line, tls, host=host, clock=clock)
            except LinkRefused as refused:
                if refused.code is not Code.UNKNOWN_SECRET or line is identity.secrets.lines[-1]:
                    text = f"{where} refuses: {refused.text or refused.code.name}"
                    raise LinkRefused(refused.code, text, refused.elsewhere, refused.retry_after_ms) from None
            except LinkFailed as failed:
                raise LinkFailed(failed.kind, f"{where}: {failed.text}") from None
    raise LinkFailed("timed_out", f"{where}: timed out after {timeout_s * 1000:.0f} ms, {progress[0]}")


async def open_link(
    transport: Transport,
    identity: Identity,
    line: bytes,
    tls: Tls | None,
    *,
    host: str = "",
    clock: Callable[[], Now] = read_clock,
) -> Link:
    """The dialler's handshake over a connected transport, which is closed if it fails. The caller sets the deadline."""
    try:
        return await _shake_hands(transport, identity, line, tls, host, clock)
    except LinkFailed:  # the listener reads our alert before it is closed, and the caller need not wait for that
        trio.lowlevel.spawn_system_task(Wire(transport).end, name="protocol.io.dial end")
        raise
    except BaseException:
        transport.close()
        raise


async def _shake_hands(
    transport: Transport, identity: Identity, line: bytes, tls: Tls | None, host: str, clock: Callable[[], Now]
) -> Link:
    cipher = None if tls is None else await start_tls(transport, tls.dialling, server=False)
    certificate = None if cipher is None else cipher.peer_certificate()
    try:
        binding = None if certificate is None else binding_of(certificate)
    except TlsError as error:  # anybody may answer there, with any certificate
        raise LinkFailed("untrusted", str(error)) from None
    connection = Connection(Dialling(identity, line, secrets.token_urlsafe(_NONCE_BYTES), binding))
    wire = Wire(transport, cipher)
    try:
        arrived = await pump(wire, connection, _ANSWERED, clock, connection.start(clock()))
    except RemoteProtocolError as error:
        kind = "untrusted" if error.code is Code.UNAUTHORIZED else "protocol"
        raise LinkFailed(kind, str(error)) from None
    if connection.refusal is not None:
        raise _refused(connection.refusal)
    peer = connection.peer(transport.address)
    if tls is not None and tls.mutual and certificate is not None:
        if not speaks_for(certificate, peer.kind, peer.site, peer.id, host):
            raise LinkFailed("untrusted", f"the certificate does not name agent/{peer.site}/{peer.id} nor the host")
    transport.set_patience(patience_s(identity, peer.site))
    return Link(wire, connection, peer, dialled=True, arrived=arrived, clock=clock)


def patience_s(identity: Identity, site: str) -> float:
    """How long TCP may wait for an acknowledgement from this site."""
    near = site == identity.site
    return limits.UNACKNOWLEDGED_TIMEOUT_S if near else limits.UNACKNOWLEDGED_WAN_TIMEOUT_S


def _refused(refusal: Refusal) -> LinkRefused:
    return LinkRefused(code_of(refusal.code), refusal.text, refusal.elsewhere, refusal.retry_after_ms)
