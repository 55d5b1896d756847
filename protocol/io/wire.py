"""A transport with or without TLS on it: plain bytes in and out, for the handshake and for a link.

Rules of this file:

- One read is one recv: at most one buffer of bytes, so that no peer holds the loop.
- The buffers belong to the run of trio, not to a link: nobody waits between filling one and having used it up. What
  read() returns is gone at the next read of any wire.
- What TLS itself wants to say is sent with the next bytes, or by outgoing().
"""

import ssl

import trio

from protocol import limits
from protocol.io.tls import Cipher
from protocol.io.transport import Transport

_RECEIVE_BYTES = 256 * 1024
_STRANGER_BYTES = 16 * 1024  # a TLS record at most; a stranger's frames are bounded by 4 KiB anyway
_RECORD_BYTES = 16 * 1024

_buffers: trio.lowlevel.RunVar[tuple[memoryview, memoryview]] = trio.lowlevel.RunVar("protocol.io.wire")


def _kept_buffers() -> tuple[memoryview, memoryview]:
    """Where the bytes of the socket go, and where those of TLS: it may hold back part of a record."""
    try:
        return _buffers.get()
    except LookupError:
        buffers = memoryview(bytearray(_RECEIVE_BYTES)), memoryview(bytearray(_RECEIVE_BYTES + 2 * _RECORD_BYTES))
        _buffers.set(buffers)
        return buffers


class Wire:
    """The plain side of one connection. `cipher` is None without TLS."""

    def __init__(self, transport: Transport, cipher: Cipher | None = None) -> None:
        self.transport = transport
        self.cipher = cipher
        self._received, self._decrypted = _kept_buffers()
        self._strangers = self._received[:_STRANGER_BYTES]
        self.trusted = False
        self._first = True

    def read(self) -> memoryview | None:
        """What has come; empty at the end of the stream, None for nothing yet. Never blocks.

        Raises OSError, or ssl.SSLError when the peer broke TLS; ssl.SSLZeroReturnError is an end in order.
        """
        if self._first and self.cipher is not None:  # what came together with the last of the TLS handshake
            self._first = False
            filled = self.cipher.decrypt(self._decrypted)
            if filled:
                return self._decrypted[:filled]
        buffer = self._received if self.trusted else self._strangers
        count = self.transport.receive_into(buffer)
        if count is None:
            return None
        if self.cipher is None:
            return buffer[:count]
        self.cipher.feed(buffer[:count])
        filled = self.cipher.decrypt(self._decrypted)
        return self._decrypted[:filled] if filled else None

    def wrapped(self, data: bytes) -> bytes:
        """The bytes that the socket must send for these."""
        return data if self.cipher is None else self.cipher.encrypt(data)

    @property
    def ending(self) -> ssl.SSLError | None:
        """How TLS has ended, once what came before that was read."""
        return None if self.cipher is None else self.cipher.ending

    def outgoing(self) -> bytes:
        """What TLS has to say by itself; mostly nothing."""
        return b"" if self.cipher is None else self.cipher.outgoing()

    async def send_all(self, wrapped: bytes) -> None:
        """For the handshake: blocks until all is sent. Raises OSError."""
        rest = memoryview(wrapped)
        while rest:
            sent = self.transport.send(rest)
            rest = rest[sent:]
            if rest:
                await self.transport.wait_writable()

    async def end(self, seconds: float = limits.FAREWELL_TIMEOUT_S) -> None:
        """Lets the peer read what was sent last, then closes.

        A socket closed with bytes unread answers with a reset, and a reset makes the peer drop what it has not read
        yet: the reason would be lost. So read on until the peer closes too, but not for long.
        """
        try:
            self.transport.finish()
            with trio.move_on_after(seconds):
                while self.transport.receive_into(self._received) != 0:
                    await self.transport.wait_readable()
        except (OSError, trio.ClosedResourceError):
            pass  # the peer has gone: nobody is left to be told
        finally:
            self.transport.close()
