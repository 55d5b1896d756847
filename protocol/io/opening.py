"""What dial() and accept() share: TLS and the handshake of the connection over one wire.

Rules of this file:

- Every step may be cancelled by the caller's deadline; whoever opened the transport closes it.
- A failure becomes a LinkFailed whose text an operator can act on; texts of peers are quoted only when printable.
- What TLS or the connection has to say about a failure is sent before it is raised.

Source: reference/tokens.md 6.3 (errors of TLS as seen by both ends).
"""

import ssl
from collections.abc import Callable

from protocol.connection import Connection, Phase
from protocol.io.link import LinkFailed
from protocol.io.tls import Cipher
from protocol.io.transport import Transport
from protocol.io.wire import Wire
from protocol.messages import Message
from protocol.stamp import Now

_TLS_CONTENT_TYPES = range(20, 25)  # RFC 8446 section 5.1; 24 is a heartbeat
_FIRST_BYTES = 16 * 1024
_CERTIFICATE_ALERTS = ("CERTIFICATE", "UNKNOWN_CA", "ACCESS_DENIED")


async def start_tls(transport: Transport, context: ssl.SSLContext, *, server: bool) -> Cipher:
    """TLS, up. Raises LinkFailed (no_tls, untrusted, protocol, reset); the alert is sent first."""
    cipher = Cipher(context, server=server)
    wire = Wire(transport)
    buffer = memoryview(bytearray(_FIRST_BYTES))
    first = True
    try:
        while not cipher.handshake():
            await wire.send_all(cipher.outgoing())
            count = transport.receive_into(buffer)
            if count is None:
                await transport.wait_readable()
                continue
            if first and count and buffer[0] not in _TLS_CONTENT_TYPES:
                raise LinkFailed("no_tls", "what answers speaks no TLS; set the same [tls] mode on both")
            first = False
            cipher.feed(buffer[:count])
        await wire.send_all(cipher.outgoing())
    except ssl.SSLError as error:
        await _send_alert(wire, cipher)
        raise tls_failure(error) from None
    except OSError as error:
        raise reset_failure(error) from None
    return cipher


async def _send_alert(wire: Wire, cipher: Cipher) -> None:
    """So that the partner learns the reason and not only that the stream has ended. `wire` may be the bare one."""
    try:
        await wire.send_all(cipher.outgoing())
    except OSError:
        pass  # it has gone, and so has whoever would read it


def tls_failure(error: ssl.SSLError) -> LinkFailed:
    """An error of TLS in words for an operator."""
    reason = str(getattr(error, "reason", None) or "").upper()  # missing where Python made it
    if isinstance(error, ssl.SSLCertVerificationError):
        return LinkFailed("untrusted", f"certificate not trusted: {error.verify_message}")
    if isinstance(error, (ssl.SSLEOFError, ssl.SSLZeroReturnError)):
        return LinkFailed("reset", "the connection was closed during the TLS handshake")
    if "PEER_DID_NOT_RETURN_A_CERTIFICATE" in reason:
        return LinkFailed("untrusted", "the peer shows no certificate; [tls] client_certificates asks for one")
    if "ALERT" in reason and any(word in reason for word in _CERTIFICATE_ALERTS):
        return LinkFailed("untrusted", f"the peer does not trust our certificate ({_plain(reason)})")
    return LinkFailed("protocol", f"TLS failed: {_plain(reason) or 'no reason given'}")


def _plain(reason: str) -> str:
    """OpenSSL's reason without its prefixes."""
    for prefix in ("SSLV3_", "TLSV1_", "TLSV13_", "ALERT_"):
        reason = reason.removeprefix(prefix)
    return reason.lower().replace("_", " ")


def reset_failure(error: OSError | None) -> LinkFailed:
    """The stream ended, or the network failed, before there was a link."""
    if isinstance(error, TimeoutError):
        return LinkFailed("timed_out", "nothing was acknowledged in time")
    if error is None or isinstance(error, ConnectionError):
        return LinkFailed("reset", "the connection was closed during the handshake")
    return LinkFailed("reset", f"the network failed: {error.strerror}")


async def pump(
    wire: Wire,
    connection: Connection,
    until: frozenset[Phase],
    clock: Callable[[], Now],
    first: bytes = b"",
) -> list[Message]:
    """Sends `first` and carries the handshake on until one of these phases; the owner's messages that came with it.

    Raises LinkFailed, and RemoteProtocolError when the peer broke a rule: the caller tells it so.
    """
    arrived: list[Message] = []
    try:
        await _send(wire, first)
        while connection.phase not in until:
            data = wire.read()
            if data is None:
                await wire.transport.wait_readable()
                continue
            if not data:
                raise reset_failure(None)
            try:
                arrived += connection.receive_data(data, clock())
            finally:
                await _send(wire, connection.replies())
    except ssl.SSLError as error:
        if wire.cipher is not None:
            await _send_alert(wire, wire.cipher)
        raise tls_failure(error) from None
    except OSError as error:
        raise reset_failure(error) from None
    return arrived


async def _send(wire: Wire, data: bytes) -> None:
    if data:
        await wire.send_all(wire.wrapped(data))
