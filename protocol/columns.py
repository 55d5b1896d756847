"""One column of a payload: a list of values of one kind as few bytes, both ways.

Rules of this file:

- Every bound is checked, for a column at a time and both ways: a peer's breach is a RemoteProtocolError, our own a
  LocalProtocolError. Texts of errors name the column and never a value.
- Nothing is made as long as a peer claims before the caller has set the count against its budget (payload.py).
- Equal attributes come out as one object.

The forms of a column of n values:

    integers     the value itself when all are equal, else [least, offsets]: n little-endian unsigned integers of 1, 2,
                 4 or 8 bytes each, to be added to the least
    sequences    [first, n] when consecutive, else [least, n, offsets]
    strings      all joined by NUL; or [value] when all are equal
    states       one byte each, or the number itself when all are equal
    attributes   [maps, indices]: distinct maps, each packed by itself as [name, value, name, value ...] sorted by
                 name, and one index byte for each login; no indices when there is one map

Theory. A column is tested by a few calls into C whatever its length (one type test, one split, max of map(len)), so
the exact check of a batch costs a fraction of making its lists. NUL is therefore forbidden in keys and user names.
"""

import functools
import itertools
import sys
from array import array
from collections.abc import Callable, Sequence
from typing import Any

import msgpack

from protocol import limits
from protocol.errors import LocalProtocolError, ProtocolError, RemoteProtocolError
from protocol.schema import INTEGER_MAX, text_fits
from protocol.session import Attributes, State

LOGIN_STATES = bytes(range(State.ALIVE, State.CONFLICT + 1))
END_STATES = bytes(range(State.SUPERSEDED, State.CONFLICT + 1))

_CODES = {1: "B", 2: "H", 4: "I", 8: "Q"}
_CAUGHT = (ValueError, TypeError, OverflowError, RecursionError, msgpack.UnpackException)

Failure = Callable[[str], ProtocolError]


# -- both ways: what holds for the values of a column -------------------------------------------------------------


def _check_integers(least: int, greatest: int, low: int, high: int, what: str, failure: Failure) -> None:
    if least < low or greatest > high:
        raise failure(f"{what} out of bounds")


def check_strings(values: Sequence[str], joined: str, bytes_max: int, what: str, failure: Failure) -> None:
    """`joined` holds all values; it tells in one call whether characters are bytes."""
    if not joined or joined[0] == "\0" or joined[-1] == "\0" or "\0\0" in joined:
        raise failure(f"{what} is empty")
    if max(map(len, values)) > bytes_max or (not joined.isascii() and max(len(v.encode()) for v in values) > bytes_max):
        raise failure(f"{what} longer than {bytes_max} bytes")


def check_states(states: bytes, allowed: bytes, failure: Failure) -> None:
    if states.translate(None, allowed):
        raise failure("a state out of bounds")


def check_name(value: Any, what: str, failure: Failure) -> None:
    if type(value) is not str or not text_fits(value, 1, limits.NAME_BYTES_MAX):
        raise failure(f"{what} is no name of 1 to {limits.NAME_BYTES_MAX} printable bytes")


def check_epoch(value: Any, failure: Failure) -> None:
    if type(value) is not int or not 0 <= value <= INTEGER_MAX:
        raise failure("an epoch out of bounds")


# -- packing ------------------------------------------------------------------------------------------------------


def pack_sequences(sequences: Sequence[int]) -> tuple[Any, ...]:
    count = len(sequences)
    consecutive = _consecutive(sequences)
    if consecutive is not None:
        first = consecutive[0]
        _check_integers(first, consecutive[-1], 0, limits.SEQUENCE_MAX, "a sequence", LocalProtocolError)
        return first, count
    least, offsets = _offsets(sequences, 0, limits.SEQUENCE_MAX, "a sequence")
    return least, count, offsets


def _consecutive(sequences: Sequence[int]) -> range | None:
    """The range that these are, if they are one."""
    whole = range(sequences[0], sequences[0] + len(sequences))
    if sequences == whole or (sequences[-1] == whole[-1] and list(sequences) == list(whole)):
        return whole
    return None


def pack_integers(values: Sequence[int], low: int, high: int, what: str) -> int | tuple[int, bytes]:
    first = values[0]
    if values.count(first) == len(values):
        _check_integers(first, first, low, high, what, LocalProtocolError)
        return first
    return _offsets(values, low, high, what)


def _offsets(values: Sequence[int], low: int, high: int, what: str) -> tuple[int, bytes]:
    least, greatest = min(values), max(values)
    _check_integers(least, greatest, low, high, what, LocalProtocolError)
    span = greatest - least
    width = 1 if span < 1 << 8 else 2 if span < 1 << 16 else 4 if span < 1 << 32 else 8
    offsets = array(_CODES[width], [value - least for value in values])
    if sys.byteorder == "big":
        offsets.byteswap()
    return least, offsets.tobytes()


def pack_strings(values: Sequence[str], bytes_max: int, what: str, *, may_be_equal: bool = False) -> Any:
    first, count = values[0], len(values)
    equal = may_be_equal and count > 1 and first == values[-1] and values.count(first) == count
    joined = first if equal else "\0".join(values)
    if joined.count("\0") != (0 if equal else count - 1):
        raise LocalProtocolError(f"{what} holds a NUL")
    check_strings(values[:1] if equal else values, joined, bytes_max, what, LocalProtocolError)
    return (joined,) if equal else joined


def pack_states(states: bytes, allowed: bytes) -> int | bytes:
    check_states(states, allowed, LocalProtocolError)
    return states[0] if states.count(states[0]) == len(states) else states


def pack_maps(column: Sequence[Attributes]) -> tuple[Any, ...] | None:
    """None when more than FRAME_ATTRIBUTE_MAPS_MAX maps differ: no index byte tells them apart."""
    first, count = column[0], len(column)
    if first is column[-1] and column.count(first) == count:
        return (_pack_attributes(first),), b""
    ids = list(map(id, column))  # nearly always few objects stand for all; only these are hashed and compared
    objects = dict(zip(ids, column, strict=True))
    places: dict[Attributes, int] = {}
    place_of = {key: places.setdefault(attributes, len(places)) for key, attributes in objects.items()}
    if len(places) > limits.FRAME_ATTRIBUTE_MAPS_MAX:
        return None
    maps = tuple(map(_pack_attributes, places))
    return maps, b"" if len(maps) == 1 else bytes(map(place_of.__getitem__, ids))


@functools.lru_cache(maxsize=1024)
def _pack_attributes(attributes: Attributes) -> bytes:
    """One session's attributes; b"" when it has none."""
    if not attributes:
        return b""
    flat = tuple(part for pair in attributes for part in pair)
    _check_attributes(flat, LocalProtocolError)
    packed: bytes = msgpack.packb(flat)
    if len(packed) > limits.ATTRIBUTES_BYTES_MAX:
        raise LocalProtocolError(f"attributes longer than {limits.ATTRIBUTES_BYTES_MAX} bytes")
    return packed


def _check_attributes(flat: tuple[Any, ...], failure: Failure) -> None:
    """Names and values by turns: names sorted, none twice, none empty; each value a text or texts."""
    names, values = flat[::2], flat[1::2]
    if len(names) != len(values) or not 1 <= len(names) <= limits.ATTRIBUTES_MAX:
        raise failure(f"attributes that are not 1 to {limits.ATTRIBUTES_MAX} pairs")
    if any(type(name) is not str or not name for name in names):
        raise failure("an attribute without a name")
    if any(a >= b for a, b in itertools.pairwise(names)):
        raise failure("attributes that are not sorted by name, or a name twice")
    for value in values:
        if type(value) is not str and (type(value) is not tuple or any(type(part) is not str for part in value)):
            raise failure("an attribute that is neither a text nor texts")


# -- unpacking ----------------------------------------------------------------------------------------------------


def unpack_sequences(column: Any, spend: Callable[[int], None]) -> Sequence[int]:
    """`spend` is told how many there are before anything is as long as the column claims."""
    if type(column) is not tuple or not 2 <= len(column) <= 3:
        raise RemoteProtocolError("a column of sequences of no known form")
    first, count = column[:2]
    if type(first) is not int or type(count) is not int:
        raise RemoteProtocolError("a column of sequences of no known form")
    if count < 1:
        raise RemoteProtocolError("a run of no sequences")
    spend(count)
    if len(column) == 3:
        values = _unpack_offsets(first, column[2], count, 0, limits.SEQUENCE_MAX, "a sequence")
        return _consecutive(values) or values  # whoever wrote them so: in one form here
    _check_integers(first, first + count - 1, 0, limits.SEQUENCE_MAX, "a sequence", RemoteProtocolError)
    return range(first, first + count)


def unpack_integers(column: Any, count: int, low: int, high: int, what: str) -> list[int]:
    if type(column) is int:
        _check_integers(column, column, low, high, what, RemoteProtocolError)
        return [column] * count
    if type(column) is not tuple or len(column) != 2:
        raise RemoteProtocolError(f"{what}: a column of no known form")
    return _unpack_offsets(column[0], column[1], count, low, high, what)


def _unpack_offsets(least: Any, packed: Any, count: int, low: int, high: int, what: str) -> list[int]:
    if type(least) is not int or type(packed) is not bytes or len(packed) % count:
        raise RemoteProtocolError(f"{what}: a column of no known form")
    code = _CODES.get(len(packed) // count)
    if code is None:
        raise RemoteProtocolError(f"{what}: a column of no known width")
    offsets = array(code, packed)
    if sys.byteorder == "big":
        offsets.byteswap()
    _check_integers(least, least + max(offsets), low, high, what, RemoteProtocolError)
    distinct = set(offsets)
    if 2 * len(distinct) > count:
        return [least + offset for offset in offsets]
    shared = {offset: least + offset for offset in distinct}  # logins of one moment keep one object: 60 bytes a record
    return [shared[offset] for offset in offsets]


def unpack_strings(column: Any, count: int, bytes_max: int, what: str) -> list[str]:
    if type(column) is str:
        values = column.split("\0")
        if len(values) != count:
            raise RemoteProtocolError(f"{what}: a column of {len(values)} where {count} were due")
        check_strings(values, column, bytes_max, what, RemoteProtocolError)
        return values
    if type(column) is not tuple or len(column) != 1 or type(column[0]) is not str or "\0" in column[0]:
        raise RemoteProtocolError(f"{what}: a column of no known form")
    check_strings(column, column[0], bytes_max, what, RemoteProtocolError)
    return list(column) * count


def unpack_states(column: Any, count: int, allowed: bytes) -> bytes:
    if type(column) is int and allowed[0] <= column <= allowed[-1]:
        return bytes([column]) * count
    if type(column) is not bytes or len(column) != count:
        raise RemoteProtocolError("a column of states of no known form")
    check_states(column, allowed, RemoteProtocolError)
    return column


def unpack_maps(column: Any, count: int) -> list[Attributes]:
    if type(column) is not tuple or len(column) != 2 or type(column[0]) is not tuple or type(column[1]) is not bytes:
        raise RemoteProtocolError("a column of attributes of no known form")
    packed, indices = column
    if not 1 <= len(packed) <= limits.FRAME_ATTRIBUTE_MAPS_MAX or set(map(type, packed)) != {bytes}:
        raise RemoteProtocolError(f"not 1 to {limits.FRAME_ATTRIBUTE_MAPS_MAX} attribute maps")
    maps = list(map(_unpack_attributes, packed))
    if not indices and len(maps) == 1:
        return maps * count
    if len(indices) != count or max(indices) >= len(maps):
        raise RemoteProtocolError("indices that do not fit the attribute maps")
    return list(map(maps.__getitem__, indices))


@functools.lru_cache(maxsize=1024)
def _unpack_attributes(packed: bytes) -> Attributes:
    """One session's attributes. Cached so that equal ones are one object; 1,024 of 4 KiB bound what that may hold."""
    if not packed:
        return ()
    size = len(packed)
    if size > limits.ATTRIBUTES_BYTES_MAX:
        raise RemoteProtocolError(f"attributes longer than {limits.ATTRIBUTES_BYTES_MAX} bytes")
    try:
        flat = msgpack.unpackb(
            packed, use_list=False, max_array_len=size, max_str_len=size, max_bin_len=0, max_map_len=0, max_ext_len=0
        )
    except _CAUGHT as error:
        raise RemoteProtocolError(f"attributes that are not well-formed ({type(error).__name__})") from None
    if type(flat) is not tuple:
        raise RemoteProtocolError("attributes that are no array")
    _check_attributes(flat, RemoteProtocolError)
    return tuple(zip(flat[::2], flat[1::2], strict=True))
