"""The State bytes of a page on the wire, and what one page lacks of another.

Rules of this file:

- A page is 256 State bytes, one a place. On the wire it takes at most 96 bytes, and most pages take a few.
- `unpack` is a door: it checks every byte of the peer's. The others trust their callers.
- A mask names places by bits: place p is bit p % 8 (from the lowest) of byte p // 8. On the wire NULs at its end are
  left off.

Theory. The pages of a table have histories alike: a stretch of places not yet taken, long runs that are all alive or
all ended, and in between a salt of logouts. Runs of equal states, two bytes each, say the first two in a handful of
bytes. For the salted there is a digit of three bits a place: 96 bytes, whatever the states. The shorter one is sent,
and its length tells which it is, for a list of runs as long as that is never sent.
"""

import re
from typing import Final

from protocol.errors import RemoteProtocolError
from protocol.page import PLACES
from protocol.session import State

PACKED_BYTES_MAX: Final = PLACES * 3 // 8

NOTHING: Final = bytes(PLACES)
"""The State bytes of a page that is not there."""

_RUN: Final = re.compile(rb"(.)\1*", re.DOTALL)
_STATES: Final = bytes(State)
_DIGITS: Final = bytes(ord("0") + state if state in _STATES else 0 for state in range(256))
_FROM_DIGITS: Final = bytes(digit - ord("0") if ord("0") <= digit <= ord("9") else 0 for digit in range(256))


def pack(states: bytes) -> bytes:
    """The shorter form of a page's State bytes."""
    runs = list(_RUN.finditer(states.rstrip(b"\0")))
    if 2 * len(runs) < PACKED_BYTES_MAX:
        return bytes(byte for run in runs for byte in (run.end() - run.start() - 1, run[0][0]))
    return int(states.translate(_DIGITS), 8).to_bytes(PACKED_BYTES_MAX, "big")


def unpack(packed: bytes) -> bytes:
    """The 256 State bytes of a page. Raises RemoteProtocolError when the peer's bytes are none."""
    if len(packed) == PACKED_BYTES_MAX:
        states = format(int.from_bytes(packed, "big"), f"0{PLACES}o").encode().translate(_FROM_DIGITS)
    elif len(packed) % 2 == 0 and len(packed) < PACKED_BYTES_MAX:
        states = b"".join(
            packed[place + 1 : place + 2] * (packed[place] + 1) for place in range(0, len(packed), 2)
        ).ljust(PLACES, b"\0")
    else:
        raise RemoteProtocolError("packed states of an impossible length")
    if len(states) != PLACES or max(states) > max(_STATES):
        raise RemoteProtocolError("packed states that are not those of a page")
    return states


def lacking(low: bytes, high: bytes) -> tuple[bytes, bytes]:
    """Masks of the places where `high` is above `low`: whole records that are lacking, and those lacking only an end.

    An end is enough where the login is there already. A conflict is sent whole, because both sides must come to keep
    the same one of two contents.
    """
    pairs = (int.from_bytes(low, "big") * _LOW + int.from_bytes(high, "big")).to_bytes(PLACES, "big")
    return _mask(pairs.translate(_WHOLE)), _mask(pairs.translate(_END))


def full_mask(mask: bytes) -> bytes:
    """A mask from the wire with the NULs at its end put back."""
    return mask.ljust(PLACES // 8, b"\0")


# A pair of states in one byte: the low one times 16 plus the high one. All pages of pairs are added as one integer.
_LOW: Final = 16


def _table(wanted: set[tuple[int, int]]) -> bytes:
    return bytes(ord("1") if divmod(pair, _LOW) in wanted else ord("0") for pair in range(256))


_ABOVE: Final = {(low, high) for low in _STATES for high in _STATES if high > low}
_ENDS: Final = {(low, high) for low, high in _ABOVE if low != State.ABSENT and high != State.CONFLICT}
_END: Final = _table(_ENDS)
_WHOLE: Final = _table(_ABOVE - _ENDS)


def _mask(digits: bytes) -> bytes:
    """The mask of a page of binary digits, the one of place 0 first."""
    return int(digits[::-1], 2).to_bytes(PLACES // 8, "little").rstrip(b"\0")
