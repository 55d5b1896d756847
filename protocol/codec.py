"""Messages and changes to bytes and back: the door through which everything from a peer comes.

Rules of this file:

- One frame, one call: `msgpack.unpackb` with every bound given, then an exact check (schema.py, payload.py). Never
  the streaming Unpacker: it has had memory faults.
- decode and decode_changes raise RemoteProtocolError and nothing else, whatever the bytes.
- encode and encode_changes hold our own values to the same rules and raise LocalProtocolError: what we send, any
  peer of this version must accept.
- Fields that this version does not know are skipped; fields that the peer did not know take their defaults; a message
  number that is unknown is the error UNKNOWN_MESSAGE, which does not cost the link.

Theory. msgpack allocates what an array claims before its elements are there. Within a frame that is bounded by depth
times `max_array_len`; so strangers, who get 4 KiB, may also claim only 32 elements. Maps, extension types and
timestamps are in no message: their bound is 0.

Source: DESIGN sections 5 and 9 (promises 10 and 12); msgpack.org.
"""

import enum
from collections.abc import Iterator
from typing import Any

import msgpack

from protocol import limits
from protocol import payload as layout
from protocol.changes import Changes
from protocol.errors import Code, LocalProtocolError, RemoteProtocolError
from protocol.messages import Message
from protocol.schema import BY_NUMBER

PAYLOAD_BYTES_MAX = limits.FRAME_BYTES_MAX - 256
"""The payload of an ordinary frame: the rest is for the other fields of the message that carries it."""

HANDSHAKE_ARRAY_MAX = 32
"""Elements that an array from a stranger may claim; the longest message of the handshake has 14."""

_CAUGHT = (ValueError, TypeError, OverflowError, RecursionError, msgpack.UnpackException)


def encode(message: Message) -> bytes:
    """The body of one frame. Raises LocalProtocolError when a field breaks schema.py."""
    schema = BY_NUMBER[message.number]
    values = schema.values_of(message)
    complaint = schema.complaint(values)
    if complaint is not None:  # a Role or a Code is an integer on the wire; nothing else is converted
        values = tuple(int(value) if isinstance(value, enum.IntEnum) else value for value in values)
        complaint = schema.complaint(values)
        if complaint is not None:
            raise LocalProtocolError(complaint)
    return pack((message.number, *values))


def decode(body: bytes, array_max: int = limits.FRAME_CHANGES_MAX) -> Message:
    """The message in the body of one frame; no array in it may claim more than `array_max` elements.

    Raises RemoteProtocolError and nothing else, with the code UNKNOWN_MESSAGE for a number that is new.
    """
    fields = unpack(body, array_max, "frame")
    if not fields or type(fields[0]) is not int or fields[0] < 0:
        raise RemoteProtocolError("a frame that does not begin with a message number")
    schema = BY_NUMBER.get(fields[0])
    if schema is None:
        raise RemoteProtocolError(f"message {fields[0]} is unknown to this version", Code.UNKNOWN_MESSAGE)
    given = len(fields) - 1
    if given < schema.least:
        raise RemoteProtocolError(f"{schema.message.__name__} has {given} fields; it needs {schema.least}")
    missing = len(schema.names) - given
    values = fields[1:] + schema.defaults[-missing:] if missing > 0 else fields[1 : len(schema.names) + 1]
    complaint = schema.complaint(values)
    if complaint is not None:
        raise RemoteProtocolError(complaint)
    return schema.message(*values)


def encode_changes(changes: Changes) -> bytes:
    """The payload of an Update, Report, Bulk or IdleAnswer.

    500 changes of ordinary size take about 20 KiB; where keys may be long, use encode_payloads. Raises
    LocalProtocolError when the changes break a bound of limits.py.
    """
    return pack(layout.pack(changes))


def decode_changes(payload: bytes) -> Changes:
    """The changes in a payload, every bound checked. Raises RemoteProtocolError and nothing else."""
    return layout.unpack(unpack(payload, limits.FRAME_CHANGES_MAX, "payload"))


def encode_payloads(changes: Changes, bytes_max: int = PAYLOAD_BYTES_MAX) -> Iterator[bytes]:
    """The changes as however many payloads it takes: at most BATCH_CHANGES_MAX changes and `bytes_max` bytes each.

    `bytes_max` must have room for one change of the greatest size (8 KiB). Nothing is yielded for no changes.
    """
    for part in layout.split(changes, limits.BATCH_CHANGES_MAX):
        yield from _encode_within(part, bytes_max)


def split(changes: Changes, changes_max: int) -> list[Changes]:
    """The same changes in parts of at most `changes_max`, in order, logins first."""
    return layout.split(changes, changes_max)


def _encode_within(changes: Changes, bytes_max: int) -> Iterator[bytes]:
    """Halve until it fits."""
    payload = encode_changes(changes)
    count = len(changes)
    if len(payload) <= bytes_max or count == 1:
        yield payload
        return
    for half in layout.split(changes, (count + 1) // 2):
        yield from _encode_within(half, bytes_max)


def pack(value: tuple[Any, ...]) -> bytes:
    """Plain values as bytes. Raises LocalProtocolError."""
    try:
        packed: bytes = msgpack.packb(value)
    except (UnicodeEncodeError, OverflowError, TypeError) as error:
        raise LocalProtocolError(f"a value that the wire does not carry ({type(error).__name__})") from None
    return packed


def unpack(data: bytes, array_max: int, what: str) -> tuple[Any, ...]:
    """The array that is the whole of `data`. Raises RemoteProtocolError, in which `what` names the data."""
    size = len(data)
    try:
        value = msgpack.unpackb(
            data,
            use_list=False,
            raw=False,
            strict_map_key=True,
            max_array_len=min(array_max, size),
            max_str_len=size,
            max_bin_len=size,
            max_map_len=0,
            max_ext_len=0,
            ext_hook=_refuse_extension,
        )
    except _CAUGHT as error:
        raise RemoteProtocolError(f"a {what} that is not well-formed ({type(error).__name__})") from None
    if type(value) is not tuple:
        raise RemoteProtocolError(f"a {what} that is no array")
    return value


def _refuse_extension(code: int, data: bytes) -> None:
    raise ValueError("extension types are not spoken here")
