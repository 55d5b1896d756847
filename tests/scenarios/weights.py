"""What a machine weighs: how many things hang on it, counted through all its attributes and containers.

Rules of this file: atoms weigh nothing, and what is reached twice counts once. The world of a process is no part of it.
"""

import array
import types
from collections import Counter, deque
from collections.abc import Iterator
from typing import Any

_CONTAINERS = (dict, list, set, tuple, frozenset, deque, bytearray, array.array)
_ATOMS = (int, str, bytes, float, type, types.FunctionType, types.MethodType, types.BuiltinFunctionType, type(None))


def weights(root: object) -> Counter[str]:
    """How many elements the containers hold that hang on `root`, by the attributes that lead there."""
    found: Counter[str] = Counter()
    seen: set[int] = set()
    waiting: list[tuple[str, object]] = [("", root)]
    while waiting:
        path, thing = waiting.pop()
        if id(thing) in seen or isinstance(thing, _ATOMS):
            continue
        seen.add(id(thing))
        if isinstance(thing, _CONTAINERS):
            found[path] += len(thing)
            waiting += [(path, each) for each in _elements(thing)]
        else:
            waiting += [(f"{path}.{name}", value) for name, value in _attributes(thing)]
    return found


def _elements(container: Any) -> Iterator[object]:
    if isinstance(container, dict):
        yield from container.keys()
        yield from container.values()
    elif not isinstance(container, bytearray | array.array):
        yield from container


def _attributes(thing: object) -> Iterator[tuple[str, object]]:
    names = set(getattr(thing, "__dict__", ()))
    for kind in type(thing).__mro__:
        slots = getattr(kind, "__slots__", ())
        names.update((slots,) if isinstance(slots, str) else slots)
    for name in sorted(names - {"__weakref__"}):
        if hasattr(thing, name):
            yield name, getattr(thing, name)
