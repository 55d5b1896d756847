"""An index of a table: which records bear a name (a key, or a user).

Rules of this file:

- A name with nobody under it is not kept.
- Handles come and go in O(1) whatever stands under one name: a hundred thousand guests may share a user name.

Theory. Most names bear one record, so that one handle stands for itself; a second makes a dict of handles (an ordered
set that the garbage collector leaves alone, as it would not leave a set or a list). A whole batch of names that are
new and distinct is taken by two dict operations in C.
"""

from collections.abc import Collection, Iterator


class Index:
    """Handles by name."""

    __slots__ = ("_held",)

    def __init__(self) -> None:
        self._held: dict[str, int | dict[int, None]] = {}

    def __len__(self) -> int:
        return len(self._held)

    def __iter__(self) -> Iterator[str]:
        return iter(self._held)

    def get(self, name: str) -> Collection[int]:
        """The handles under a name, oldest first; to be read before the index changes."""
        held = self._held.get(name)
        if held is None:
            return ()
        return held if isinstance(held, dict) else (held,)

    def add(self, name: str, handle: int) -> None:
        held = self._held.get(name)
        if held is None:
            self._held[name] = handle
        elif isinstance(held, dict):
            held[handle] = None
        elif held != handle:
            self._held[name] = {held: None, handle: None}

    def add_all(self, names: list[str], handles: list[int]) -> None:
        """Add columns of equal length."""
        fresh = dict(zip(names, handles, strict=True))
        if len(fresh) == len(names) and self._held.keys().isdisjoint(fresh):
            self._held.update(fresh)
        else:
            self.add_each(names, handles)

    def add_each(self, names: list[str], handles: list[int]) -> None:
        """Add columns of equal length when most names are known already; the same as `add` in a loop, but faster."""
        held_by_name = self._held
        get = held_by_name.get
        for name, handle in zip(names, handles, strict=True):
            held = get(name)
            if held is None:
                held_by_name[name] = handle
            elif held.__class__ is dict:
                held[handle] = None
            elif held != handle:
                held_by_name[name] = {held: None, handle: None}  # type: ignore[dict-item]

    def remove(self, name: str, handle: int) -> None:
        """Take a handle away; nothing happens where it does not stand."""
        held = self._held.get(name)
        if isinstance(held, dict):
            held.pop(handle, None)
            if held:
                return
        elif held != handle:
            return
        del self._held[name]
