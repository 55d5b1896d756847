"""What each field of each message may hold, computed once from messages.py.

Rules of this file:

- Exact types: True is no integer, a float is nothing, a list is no tuple.
- Every integer is within 0 and 2^64-1, every text is printable, everything has a bound of length from limits.py.
- A field's bound goes by its name and type; so one name of one type means one thing in all messages.
- Only `check` decides. It says what is wrong and never quotes a value: a text of the peer may hold anything.

Theory. The types of all fields are compared at once, as one tuple against the few that are possible (more than one
only where a field may be None). So a right message costs one set look-up and one short test a field.
"""

import itertools
import operator
import types
import typing
from collections.abc import Callable
from typing import Any

import attrs

from protocol import limits, messages
from protocol.messages import Message, Role

INTEGER_MAX = (1 << 64) - 1

_PATH_NIBBLES_MAX = 3
_NODE_CHILDREN_BYTES = 16 * 8
_PACKED_STATES_BYTES = 96
_PAGE_MASK_BYTES = 32
_LEAVES = 4_096
_ORIGIN_PAGES = (limits.SEQUENCE_MAX >> 8) + 1
_SCRAM_BYTES_MAX = 2 * 1024

Test = Callable[[Any], bool]


def _integer(most: int) -> Test:
    return lambda value: 0 <= value <= most


def text_fits(value: str, least: int, most: int) -> bool:
    """Whether the value is printable (so it cannot forge a log line) and has `least` to `most` bytes."""
    if not value.isprintable() or len(value) < least:
        return False
    return len(value) <= most and (value.isascii() or len(value.encode()) <= most)


def _text(least: int, most: int) -> Test:
    return lambda value: text_fits(value, least, most)


def _octets(least: int, most: int) -> Test:
    return lambda value: least <= len(value) <= most


def _each(kind: type, test: Test) -> Test:
    return lambda values: len(values) <= limits.FRAME_CHANGES_MAX and all(type(v) is kind and test(v) for v in values)


_name = _text(1, limits.NAME_BYTES_MAX)

_BY_NAME: dict[str, Test] = {
    "kind": _name,
    "item": _text(0, limits.ITEM_ID_BYTES_MAX),
    "user": _text(0, limits.USER_BYTES_MAX),
    "holder": _text(0, limits.ITEM_HOLDER_BYTES_MAX),
    "key_ids": _each(bytes, _octets(1, limits.HASH_BYTES_MAX)),
    "proofs": _each(bytes, _octets(1, limits.HASH_BYTES_MAX)),
    "site": _name,
    "id": _name,
    "role": _integer(max(Role)),
    "text": _text(0, limits.TEXT_BYTES_MAX),
    "proof": _octets(0, _SCRAM_BYTES_MAX),
    "payload": _octets(0, limits.BULK_FRAME_BYTES_MAX),  # an empty Report is a fence: only its answer counts
    "body": _octets(0, limits.BULK_FRAME_BYTES_MAX),
    "children": _octets(0, limits.BULK_FRAME_BYTES_MAX),
    "wall_ms": _integer(limits.TIME_MS_MAX),
    "sent_ms": _integer(limits.TIME_MS_MAX),
    "held_ms": _integer(limits.TIME_MS_MAX),
    "since_ms": _integer(limits.TIME_MS_MAX),
    "paths": _each(bytes, _octets(0, _PATH_NIBBLES_MAX)),
    "leaves": _each(int, _integer(_LEAVES - 1)),
    "proxies": _each(str, _name),
    "counted": _each(str, _name),
    "sites": _each(str, _name),
    "epochs": _each(int, _integer(INTEGER_MAX)),
    "pages": _each(int, _integer(_ORIGIN_PAGES - 1)),
    "sequences": _each(int, _integer(limits.SEQUENCE_MAX)),
    "active_at": _each(int, _integer(limits.TIME_MS_MAX)),
    "origins": _each(int, _integer(limits.FRAME_CHANGES_MAX - 1)),
    "states": _each(bytes, _octets(0, _PACKED_STATES_BYTES)),
    "masks": _each(bytes, _octets(0, _PAGE_MASK_BYTES)),
    "end_masks": _each(bytes, _octets(0, _PAGE_MASK_BYTES)),
}
"""The bounds of fields that have their own; all others have that of their type."""

_BY_TYPE: dict[type, Test] = {
    int: _integer(INTEGER_MAX),
    str: _text(0, limits.NAME_BYTES_MAX),
    bytes: _octets(0, limits.HASH_BYTES_MAX),
    bool: lambda value: True,
}

_OPTIONAL_TIMES = ("cluster_ms", "echo_ms")

_COLUMNS: dict[type[Message], tuple[tuple[str, ...], ...]] = {
    messages.Pages: (("proxies", "epochs"), ("origins", "pages", "states")),
    messages.Want: (("proxies", "epochs"), ("origins", "pages", "masks", "end_masks")),
    messages.Redemption: (("key_ids", "proofs"),),
    messages.IdleQuestion: (("proxies", "epochs", "sequences", "active_at"),),
}
"""Groups of fields that are columns of one table, and so have one length."""


@attrs.frozen
class Schema:
    """One message class as the codec needs it: `least` fields must be there, the others have `defaults`."""

    message: type[Message]
    names: tuple[str, ...]
    least: int
    defaults: tuple[Any, ...]
    shapes: frozenset[tuple[type, ...]]
    tests: tuple[Test, ...]
    columns: tuple[tuple[int, ...], ...]
    values_of: Callable[[Message], tuple[Any, ...]]

    def complaint(self, values: tuple[Any, ...]) -> str | None:
        """What is wrong with the values of all fields, in the order of `names`; None when nothing is."""
        if tuple(map(type, values)) not in self.shapes:
            return f"{self.message.__name__} has a field of the wrong type"
        for name, test, value in zip(self.names, self.tests, values, strict=True):
            if not test(value):
                return f"{self.message.__name__}.{name} is out of bounds"
        if any(len({len(values[place]) for place in group}) != 1 for group in self.columns):
            return f"{self.message.__name__} has columns of unequal length"
        if self.message is messages.Nodes and len(values[2]) != _NODE_CHILDREN_BYTES * len(values[1]):
            return "Nodes.children does not fit its paths"
        return None


def _types_of(annotation: Any) -> tuple[type, ...]:
    """The exact types that a field may have."""
    if isinstance(annotation, types.UnionType):
        return tuple(itertools.chain.from_iterable(_types_of(part) for part in typing.get_args(annotation)))
    return (typing.get_origin(annotation) or annotation,)


def _test_of(name: str, kinds: tuple[type, ...]) -> Test:
    test = _integer(limits.TIME_MS_MAX) if name in _OPTIONAL_TIMES else _BY_NAME.get(name)
    if test is _name and kinds != (str,):  # Acknowledgement.site is a level, not the name of a site
        test = None
    if test is None:
        test = _BY_TYPE[kinds[0]]  # KeyError at import: a new field of a type without a bound
    if types.NoneType in kinds:
        return lambda value, bound=test: value is None or bound(value)  # type: ignore[misc]
    return test


def _getter(names: tuple[str, ...]) -> Callable[[Message], tuple[Any, ...]]:
    """All fields of a message as a tuple. attrgetter gives a bare value for one name, so that case differs."""
    get = operator.attrgetter(*names)
    if len(names) > 1:
        return typing.cast(Callable[[Message], tuple[Any, ...]], get)
    return lambda message: (get(message),)


def _schema_of(message: type[Message]) -> Schema:
    fields = attrs.fields(message)
    names = tuple(field.name for field in fields)
    kinds = [_types_of(field.type) for field in fields]
    defaults = tuple(field.default for field in fields if field.default is not attrs.NOTHING)
    return Schema(
        message=message,
        names=names,
        least=len(fields) - len(defaults),
        defaults=defaults,
        shapes=frozenset(itertools.product(*kinds)),
        tests=tuple(_test_of(name, kind) for name, kind in zip(names, kinds, strict=True)),
        columns=tuple(tuple(map(names.index, group)) for group in _COLUMNS.get(message, ())),
        values_of=_getter(names),
    )


BY_NUMBER: dict[int, Schema] = {message.number: _schema_of(message) for message in messages.ALL}
"""The schema of each message by its number on the wire."""
