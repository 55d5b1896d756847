"""Items as rows of a payload: plain values, every bound checked, both ways.

Rules of this file:

- A row is [kind, id, user, site, made_at, lifetime_ms, flags, blob, lock, fate, witnesses, tries, claims]; empty
  arrays at its end are left out, and what a newer version adds is skipped.
- A witness is [id, incarnation], a try [node, count], a claim [request, holder, at, by, final].
- Items are few and never on the way of a login, so they are rows and no columns, checked one by one.
- A peer's breach is a RemoteProtocolError, our own a LocalProtocolError. Texts of errors quote no value.
"""

from collections.abc import Callable
from typing import Any

import msgpack

from protocol import limits
from protocol.errors import LocalProtocolError, ProtocolError, RemoteProtocolError
from protocol.item import Claim, Fate, Item, Witness
from protocol.schema import INTEGER_MAX, text_fits

Failure = Callable[[str], ProtocolError]

FLAGS_MAX = 255
"""Rules that later versions may know are kept as they came."""

_LEAST = 10
_NODE_BYTES_MAX = 2 * limits.NAME_BYTES_MAX + 1
_COUNT_MAX = 1_000_000


def pack(item: Item) -> tuple[Any, ...]:
    """The row of an item. Raises LocalProtocolError when it breaks a bound."""
    row: tuple[Any, ...] = (
        item.kind, item.id, item.user, item.site, item.made_at, item.expires_at - item.made_at, item.flags,
        item.blob, item.lock, int(item.fate),
        tuple(tuple(witness) for witness in item.witnesses), item.tries, tuple(tuple(each) for each in item.claims),
    )  # fmt: skip
    _check(row, LocalProtocolError)
    while row[-1] == ():
        row = row[:-1]
    return row


def unpack(row: Any) -> Item:
    """The item of a row. Raises RemoteProtocolError and nothing else."""
    if type(row) is not tuple or len(row) < _LEAST:
        raise RemoteProtocolError("an item that is no array, or with too few fields")
    row = (*row, (), (), ())[:13] if len(row) < 13 else row[:13]
    _check(row, RemoteProtocolError)
    kind, name, user, site, made_at, lifetime_ms, flags, blob, lock, fate, witnesses, tries, claims = row
    return Item(
        kind, name, user, site, made_at, made_at + lifetime_ms, flags, blob, lock,
        tuple(Witness(*each[:2]) for each in witnesses),
        Fate(fate),
        tuple((node, count) for node, count, *_ in tries),
        tuple(Claim(*each[:5]) for each in claims),
    )  # fmt: skip


def encode(item: Item) -> bytes:
    """The bytes of an item's row: what its hash is over."""
    packed: bytes = msgpack.packb(pack(item))
    return packed


def _check(row: tuple[Any, ...], failure: Failure) -> None:
    kind, name, user, site, made_at, lifetime_ms, flags, blob, lock, fate, witnesses, tries, claims = row
    _text(kind, 1, limits.NAME_BYTES_MAX, "a kind", failure)
    _text(name, 1, limits.ITEM_ID_BYTES_MAX, "an item's id", failure)
    _text(user, 1, limits.USER_BYTES_MAX, "a user", failure)
    _text(site, 1, limits.NAME_BYTES_MAX, "a site", failure)
    _integer(made_at, 0, limits.TIME_MS_MAX, "made_at", failure)
    _integer(lifetime_ms, 1, limits.ITEM_LIFETIME_MS_MAX, "a lifetime", failure)
    _integer(flags, 0, FLAGS_MAX, "flags", failure)
    _octets(blob, 0, limits.ITEM_BLOB_BYTES_MAX, "a blob", failure)
    _octets(lock, 0, limits.HASH_BYTES_MAX, "a lock", failure)
    _integer(fate, Fate.OPEN, Fate.CONFLICT, "a fate", failure)
    for witness, incarnation in _rows(witnesses, 2, limits.ITEM_WITNESSES_MAX, "witnesses", failure):
        _text(witness, 1, limits.NAME_BYTES_MAX, "a witness", failure)
        _integer(incarnation, 0, INTEGER_MAX, "an incarnation", failure)
    for node, count in _rows(tries, 2, limits.ITEM_NODES_MAX, "tries", failure):
        _text(node, 1, _NODE_BYTES_MAX, "a node", failure)
        _integer(count, 1, _COUNT_MAX, "a count", failure)
    for request, holder, at, by, final in _rows(claims, 5, limits.ITEM_CLAIMS_MAX, "claims", failure):
        _octets(request, 1, limits.HASH_BYTES_MAX, "a request", failure)
        _text(holder, 0, limits.ITEM_HOLDER_BYTES_MAX, "a holder", failure)
        _integer(at, 0, limits.TIME_MS_MAX, "a time", failure)
        _text(by, 1, _NODE_BYTES_MAX, "a node", failure)
        if type(final) is not bool:
            raise failure("a claim that is neither final nor not")
    if len({each[0] for each in claims}) < len(claims) or len({each[0] for each in tries}) < len(tries):
        raise failure("one request or node twice in an item")


def _rows(value: Any, width: int, most: int, what: str, failure: Failure) -> tuple[tuple[Any, ...], ...]:
    """An array of arrays, each cut to the width that is known here."""
    if type(value) is not tuple or len(value) > most:
        raise failure(f"{what} that are no array, or too many")
    if any(type(each) is not tuple or len(each) < width for each in value):
        raise failure(f"{what} with too few fields")
    return tuple(each[:width] for each in value)


def _text(value: Any, least: int, most: int, what: str, failure: Failure) -> None:
    if type(value) is not str or not text_fits(value, least, most):
        raise failure(f"{what} is no printable text of {least} to {most} bytes")


def _octets(value: Any, least: int, most: int, what: str, failure: Failure) -> None:
    if type(value) is not bytes or not least <= len(value) <= most:
        raise failure(f"{what} of no {least} to {most} bytes")


def _integer(value: Any, least: int, most: int, what: str, failure: Failure) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise failure(f"{what} out of bounds")
