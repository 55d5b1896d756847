"""TLS and the handshake over one wire: how failures are named. tests/shell/test_link.py has them on real sockets."""

import errno
import ssl

import pytest
import trio.testing

from protocol.connection import Connection, Phase
from protocol.handshake import Dialling
from protocol.io import tls
from protocol.io.link import FAILURES, LinkFailed
from protocol.io.opening import pump, reset_failure, start_tls, tls_failure
from protocol.io.wire import Wire
from tests.shell.memory import pipe
from tests.wire.pair import LINE, NOW, PROXY


def ssl_error(reason: str) -> ssl.SSLError:
    error = ssl.SSLError(1, "message")
    error.reason = reason
    return error


@pytest.mark.parametrize(
    ("error", "kind", "text"),
    [
        (ssl_error("TLSV1_ALERT_UNKNOWN_CA"), "untrusted", "the peer does not trust our certificate (unknown ca)"),
        (ssl_error("TLSV13_ALERT_CERTIFICATE_REQUIRED"), "untrusted", "(certificate required)"),
        (ssl_error("SSLV3_ALERT_BAD_CERTIFICATE"), "untrusted", "(bad certificate)"),
        (ssl_error("TLSV1_ALERT_ACCESS_DENIED"), "untrusted", "(access denied)"),
        (ssl_error("PEER_DID_NOT_RETURN_A_CERTIFICATE"), "untrusted", "shows no certificate"),
        (ssl_error("TLSV1_ALERT_PROTOCOL_VERSION"), "protocol", "TLS failed: protocol version"),
        (ssl_error("UNSUPPORTED_PROTOCOL"), "protocol", "TLS failed: unsupported protocol"),
        (ssl.SSLError(1, "x"), "protocol", "TLS failed: no reason given"),
        (ssl.SSLEOFError(8, "EOF"), "reset", "closed during the TLS handshake"),
        (ssl.SSLZeroReturnError(6, "end"), "reset", "closed during the TLS handshake"),
    ],
)
def test_errors_of_tls_have_words(error: ssl.SSLError, kind: str, text: str) -> None:
    """Each with the kind that the caller decides by."""
    failure = tls_failure(error)
    assert (failure.kind, text in failure.text) == (kind, True)
    assert kind in FAILURES


@pytest.mark.parametrize(
    ("error", "kind", "text"),
    [
        (None, "reset", "closed during the handshake"),
        (ConnectionResetError(), "reset", "closed during the handshake"),
        (TimeoutError(errno.ETIMEDOUT, "x"), "timed_out", "nothing was acknowledged"),
        (OSError(errno.ENETDOWN, "Network is down"), "reset", "Network is down"),
    ],
)
def test_errors_of_the_network_have_words(error: OSError | None, kind: str, text: str) -> None:
    """Silence is no reset."""
    failure = reset_failure(error)
    assert (failure.kind, text in failure.text) == (kind, True)


async def test_the_first_byte_tells_whether_tls_is_spoken(autojump_clock: trio.testing.MockClock) -> None:
    """Anything that is no TLS record ends it at once, without OpenSSL's riddles."""
    near, far = pipe()
    far.send(b"220 mail.example ESMTP\r\n")
    with pytest.raises(LinkFailed) as caught:
        await start_tls(near, tls.dialling_only().dialling, server=False)
    assert caught.value.kind == "no_tls"


async def test_a_record_that_is_none_is_answered_by_an_alert(autojump_clock: trio.testing.MockClock) -> None:
    """The partner learns the reason, and the failure names it."""
    near, far = pipe()
    far.send(b"\x16\x03\x03\x00\x04abcd")
    with pytest.raises(LinkFailed) as caught:
        await start_tls(near, tls.dialling_only().dialling, server=False)
    assert caught.value.kind == "protocol"
    buffer = memoryview(bytearray(4_096))
    assert b"\x15\x03" in bytes(buffer[: far.receive_into(buffer) or 0])


async def test_the_handshake_ends_with_the_stream(autojump_clock: trio.testing.MockClock) -> None:
    """What was to be sent first is sent; then the end is a reset."""
    near, far = pipe()
    connection = Connection(Dialling(PROXY, LINE.encode(), "nonce", None))
    far.finish()
    with pytest.raises(LinkFailed) as caught:
        await pump(Wire(near), connection, frozenset({Phase.OPEN}), lambda: NOW, connection.start(NOW))
    assert caught.value.kind == "reset"
    assert (far.receive_into(memoryview(bytearray(1_000))) or 0) > 100
