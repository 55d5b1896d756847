"""How payloads lie in one row of the store, so that a flipped bit is found and costs as little as it can.

Rules of this file:

- Pure: bytes in, bytes out. What a payload means is nobody's business here.
- A row is the payloads of one group commit in order, each behind its length (u32, big-endian) and a CRC-32 over
  length and payload. The sum covers the length because `crc32(b"") == 0`: a page of zeros would otherwise read as
  an endless run of valid empty payloads. A length of 0 is illegal for the same reason.
- Reading never raises: it returns what is whole, and whether that was everything. Merging is order-free and
  repeatable, so whatever subset of the payloads survives is a correct, older table.
"""

import struct
import zlib
from collections.abc import Iterable

PAYLOAD_BYTES_MAX = 16 * 1024 * 1024
"""More than any frame (limits.BULK_FRAME_BYTES_MAX is 1 MiB); stops a damaged length from meaning anything."""

_HEADER = struct.Struct(">II")
_LENGTH = struct.Struct(">I")


def pack(payloads: Iterable[bytes]) -> bytes:
    """One row holding `payloads`, none of which may be empty."""
    parts: list[bytes] = []
    for payload in payloads:
        assert 0 < len(payload) <= PAYLOAD_BYTES_MAX, f"a payload of {len(payload)} bytes cannot be stored"
        length = len(payload)
        parts.append(_HEADER.pack(length, zlib.crc32(payload, zlib.crc32(_LENGTH.pack(length)))))
        parts.append(payload)
    return b"".join(parts)


def unpack(row: bytes) -> tuple[list[bytes], bool]:
    """The payloads of `row` that are whole, and whether the row was intact.

    A payload with a wrong sum is left out and the next one is tried where the length says; when the length is
    impossible, the rest of the row is given up.
    """
    payloads: list[bytes] = []
    intact = True
    at = 0
    while at < len(row):
        if at + _HEADER.size > len(row):
            return payloads, False
        length, checksum = _HEADER.unpack_from(row, at)
        at += _HEADER.size
        if not 0 < length <= len(row) - at:
            return payloads, False
        payload = row[at : at + length]
        at += length
        if zlib.crc32(payload, zlib.crc32(_LENGTH.pack(length))) == checksum:
            payloads.append(payload)
        else:
            intact = False
    return payloads, intact
