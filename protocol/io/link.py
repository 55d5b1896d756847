"""A proven link: one peer, messages in and out, over one stream.

Rules of this file:

- send() never blocks and never raises for the network: it writes at once when nothing waits, else queues; a peer that
  reads too slowly loses its link (SLOW_READER). Everything the network has to say is said by receive().
- receive() hands out whole messages, all that arrived together.
- A task of its own exists only while something is queued, and for the end: it is a system task of trio, so that the
  owner needs no nursery for a link.
- Links end once, for one reason: `closed` holds it. Whoever ends a link in order says why before closing.

Theory. On the hot path there are as few wake-ups as possible: bytes are read by the task that wants the messages and
written by the task that makes them. Queued frames stay as they were given, so a fan-out queues one bytes object many
times; TLS is put on when they leave.

Source: DESIGN sections 4 and 5; docs/explain (the hot path).
"""

import ssl
from collections import deque
from collections.abc import Callable

import trio

from protocol import limits
from protocol.connection import Connection, Phase
from protocol.errors import Code, RemoteProtocolError
from protocol.handshake import Peer
from protocol.io.clock import read_clock
from protocol.io.wire import Wire
from protocol.messages import Message
from protocol.stamp import Now

_JOINED_BYTES = 64 * 1024
"""Queued frames are sent in pieces of about this size; a larger one gains nothing."""


class LinkClosed(Exception):
    """A link has ended. `code` is None when the peer vanished without a word (reset, or the end of the stream).

    `by_peer` tells whether the other process ended it, so that it is proven to have closed; it is False when this side
    gave up. `elsewhere` is the agent that a slave named in its farewell.
    """

    def __init__(self, code: Code | None, text: str, elsewhere: str = "", *, by_peer: bool = False) -> None:
        super().__init__(text)
        self.code = code
        self.text = text
        self.elsewhere = elsewhere
        self.by_peer = by_peer


class LinkRefused(Exception):
    """The listener gave an answer, and it was no; `retry_after_ms` is its advice, 0 for none."""

    def __init__(self, code: Code, text: str, elsewhere: str = "", retry_after_ms: int = 0) -> None:
        super().__init__(text)
        self.code = code
        self.text = text
        self.elsewhere = elsewhere
        self.retry_after_ms = retry_after_ms


class LinkFailed(Exception):
    """No link came of it. `kind` is one of FAILURES."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind = kind
        self.text = text


FAILURES = {
    "unknown_host": "the name has no address",
    "refused": "nobody listens there: the process is down",
    "timed_out": "no answer in time, or no way there",
    "no_tls": "what answers speaks no TLS",
    "untrusted": "a certificate is not trusted, or the listener does not know the secret",
    "reset": "the connection was closed during the handshake",
    "protocol": "what answers does not speak this protocol",
}
"""Why there is no link, by the kinds of LinkFailed."""


def code_of(number: int) -> Code:
    """The Code of a number from the wire; one that a newer version has added counts as PROTOCOL."""
    try:
        return Code(number)
    except ValueError:
        return Code.PROTOCOL


def printable(text: str) -> str:
    """A text as a message may carry it: one line, and not too long."""
    clean = "".join(character if character.isprintable() else " " for character in text)
    return clean.encode()[: limits.TEXT_BYTES_MAX].decode(errors="ignore")


def _loss(error: OSError | None) -> tuple[str, bool]:
    """What to say of a lost stream, and whether the other process itself has ended it."""
    match error:
        case None | ssl.SSLZeroReturnError():
            return "closed without a farewell", True
        case ssl.SSLEOFError():
            return "cut off: TLS was not closed", True
        case ConnectionError():
            return "reset by the peer", True
        case TimeoutError():
            return "nothing was acknowledged in time", False
        case ssl.SSLError():
            return f"TLS failed: {error.reason}", False
        case _:
            return f"the network failed: {error.strerror}", False


class Link:
    """One proven link. Made by dial() and accept(); the owner receives in one task and sends from any.

    `closed` is None while the link is open, else the LinkClosed that receive() raises.
    """

    def __init__(
        self,
        wire: Wire,
        connection: Connection,
        peer: Peer,
        *,
        dialled: bool,
        arrived: list[Message],
        clock: Callable[[], Now] = read_clock,
    ) -> None:
        self.peer = peer
        self.dialled = dialled
        self.closed: LinkClosed | None = None
        self._wire = wire
        self._transport = wire.transport
        self._connection = connection
        self._clock = clock
        self._arrived = arrived
        self._queue: deque[bytes] = deque()
        self._queue_bytes = 0
        self._rest = memoryview(b"")  # of what the socket has taken in part
        self._flushing = False
        self._deaf = False  # the socket takes no more; what can still be read says why
        self._send_error: OSError | None = None
        self._room = trio.lowlevel.ParkingLot()
        self._gone = trio.Event()
        wire.trusted = True
        self._settle()

    def __repr__(self) -> str:
        state = "open" if self.closed is None else "closed"
        return f"<Link {self.peer.kind} {self.peer.site}/{self.peer.id} at {self.peer.address}, {state}>"

    # -- receiving -------------------------------------------------------------------------------------------------

    async def receive(self) -> list[Message]:
        """All messages that have arrived, at least one. Blocks until there is one; one task at a time.

        Raises LinkClosed once the link has ended and everything before its end was handed out. Cancelling loses
        nothing.
        """
        if self._arrived:
            await trio.lowlevel.checkpoint()
            arrived, self._arrived = self._arrived, []
            return arrived
        while self.closed is None:
            try:
                await self._transport.wait_readable()
            except trio.ClosedResourceError:
                self._lost(None)  # nothing changes if this link closed it; else somebody did below us
                continue
            messages = self._read()
            if messages:
                return messages
        await trio.lowlevel.checkpoint()
        closed = self.closed  # a new one each time: a kept traceback would hold this link in a circle
        raise LinkClosed(closed.code, closed.text, closed.elsewhere, by_peer=closed.by_peer)

    def _read(self) -> list[Message]:
        """What one recv brings; the end of the link is noted, not raised."""
        try:
            data = self._wire.read()
        except (OSError, ssl.SSLError) as error:
            self._say_outgoing()
            self._lost(error)
            return []
        self._say_outgoing()
        if data is None:
            return []
        if not data:
            self._lost(self._send_error)
            return []
        try:
            messages = self._connection.receive_data(data, self._clock())
        except RemoteProtocolError:
            messages = []
        self._settle()
        if self._wire.ending is not None:
            self._lost(self._wire.ending)
        return messages

    def _settle(self) -> None:
        """Sends the connection's own replies, and ends the link when the connection has ended."""
        replies = self._connection.replies()
        if replies:
            self._write(replies)
        farewell, failure = self._connection.farewell, self._connection.failure
        if farewell is not None:
            self._end(LinkClosed(code_of(farewell.code), farewell.text, farewell.elsewhere, by_peer=True))
        elif failure is not None:
            self.close(failure.code, str(failure))

    # -- sending ---------------------------------------------------------------------------------------------------

    def send(self, message: Message) -> None:
        """Sends, or queues behind what waits. Does nothing once the link has ended. Never blocks.

        Raises LocalProtocolError for a message that no link may carry: a bug of ours.
        """
        if self.closed is None:
            self._write(self._connection.send(message))

    def send_frames(self, data: bytes) -> None:
        """Sends whole frames, encoded already: the same bytes object may go to any number of links."""
        if self.closed is None:
            self._write(data)

    @property
    def queued_bytes(self) -> int:
        """What waits here for the peer to read, beyond what the kernel has taken."""
        return self._queue_bytes + len(self._rest)

    async def wait_room(self, below_bytes: int) -> None:
        """Blocks until less than that is queued, or the link has ended. For bulk, which gives way to live messages."""
        await trio.lowlevel.checkpoint()
        while self.closed is None and self.queued_bytes >= below_bytes:
            await self._room.park()

    def _write(self, data: bytes) -> None:
        """Sends now if nothing waits, else queues."""
        if self._deaf:
            return
        if self._flushing:
            self._queue.append(data)
            self._queue_bytes += len(data)
            if self.queued_bytes > limits.OUTBOUND_BYTES_MAX:
                waiting = f"{limits.OUTBOUND_BYTES_MAX >> 20} MiB wait for a peer that does not read"
                self._end(LinkClosed(Code.SLOW_READER, waiting))
            return
        self._push(self._wire.wrapped(data))

    def _push(self, wrapped: bytes | memoryview) -> None:
        """Gives bytes to the socket; what it does not take becomes the rest, and a task sees to it."""
        try:
            sent = self._transport.send(wrapped)
        except OSError as error:
            self._send_error = error.with_traceback(None)
            self._fall_silent()
            return
        if sent < len(wrapped):
            self._rest = memoryview(wrapped)[sent:]
            if not self._flushing:
                self._flushing = True
                trio.lowlevel.spawn_system_task(self._flush, name="protocol.io.link flush")

    def _fall_silent(self) -> None:
        """The socket failed in sending. The link goes on until receive() has read what the peer said last."""
        self._deaf = True
        self._queue.clear()
        self._queue_bytes = 0
        self._rest = memoryview(b"")
        self._room.unpark_all()

    async def _flush(self) -> None:
        """Sends the rest and the queue whenever the socket has room, and ends when all is sent."""
        try:
            while self._rest and not self._gone.is_set():
                try:
                    await self._transport.wait_writable()
                except trio.ClosedResourceError:
                    self._lost(None)  # as in receive(); a link that is being closed was only woken and goes on
                    continue
                self._push_queue()
        finally:
            self._flushing = False
            self._room.unpark_all()

    def _push_queue(self) -> None:
        """As much as the socket takes now."""
        while self._rest:
            rest, self._rest = self._rest, memoryview(b"")
            self._push(rest)
            if self._rest or self._deaf:
                break
            self._rest = memoryview(self._wire.wrapped(self._next_piece()) if self._queue else self._wire.outgoing())
        self._room.unpark_all()

    def _next_piece(self) -> bytes:
        """Queued frames of about _JOINED_BYTES together, no longer in the queue."""
        pieces, size = [], 0
        while self._queue and size < _JOINED_BYTES:
            piece = self._queue.popleft()
            pieces.append(piece)
            size += len(piece)
        self._queue_bytes -= size
        return b"".join(pieces)

    def _say_outgoing(self) -> None:
        """What TLS says by itself: an alert, or its part of a key update. Behind a rest it waits for its turn."""
        if self._wire.cipher is not None and not self._flushing and not self._deaf:
            outgoing = self._wire.outgoing()
            if outgoing:
                self._push(outgoing)

    # -- ending ----------------------------------------------------------------------------------------------------

    def close(self, code: Code, text: str, elsewhere: str = "") -> None:
        """Ends the link with a farewell that tells the peer why. Never blocks; harmless when repeated.

        What is queued, and the farewell, get FAREWELL_TIMEOUT_S to leave; wait_closed() waits for that.
        """
        if self.closed is not None:
            return
        text = printable(text)
        self._write(self._connection.say_farewell(code, text, elsewhere))
        if self.closed is None:  # the farewell itself may have been one too many for a slow reader
            self.closed = LinkClosed(code, text, elsewhere)
            self._transport.wake()
            self._room.unpark_all()
            trio.lowlevel.spawn_system_task(self._finish, name="protocol.io.link finish")

    async def wait_closed(self) -> None:
        """Blocks until the socket is closed: after close(), for FAREWELL_TIMEOUT_S at most."""
        await self._gone.wait()

    async def _finish(self) -> None:
        """Flushes, and lets the peer read the reason."""
        try:
            with trio.move_on_after(limits.FAREWELL_TIMEOUT_S):
                while self._flushing:
                    await self._room.park()
                if self._wire.cipher is not None and not self._deaf:
                    self._push(self._wire.cipher.close())
                await self._wire.end()
        finally:
            self._disappear()

    def _lost(self, error: OSError | None) -> None:
        """The stream is over; without an error it ended in order."""
        text, by_peer = _loss(error)
        self._end(LinkClosed(None, text, by_peer=by_peer))

    def _end(self, closed: LinkClosed) -> None:
        """Ends the link at once: nobody is there to be told, or the peer knows already."""
        if self.closed is None:
            self.closed = closed
            if self._connection.phase is not Phase.CLOSED:
                self._connection.abandon()
            self._disappear()

    def _disappear(self) -> None:
        self._gone.set()
        self._fall_silent()
        self._transport.close()
