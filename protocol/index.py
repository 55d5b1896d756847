"""An index of a table: which records bear a name (a key, or a user).

Rules of this file:

- A name with nobody under it is not kept.
- Handles come and go in O(1) whatever stands under one name: a hundred thousand guests may share a user name.

Theory. Most names bear one record, so that one handle stands for itself; a second makes a dict of handles (an ordered
set that the garbage collector leaves alone, as it would not leave a set or a list). Nearly all the time of a large
index goes into waiting for memory: so a batch looks each name up once.
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

    def __contains__(self, name: str) -> bool:
        return name in self._held

    def get(self, name: str) -> Collection[int]:
        """The handles under a name, oldest first; to be read before the index changes."""
        held = self._held.get(name)
        if held is None:
            return ()
        return held if isinstance(held, dict) else (held,)

    def add(self, name: str, handle: int) -> None:
        held = self._held.setdefault(name, handle)
        if held is handle:
            return
        if isinstance(held, dict):
            held[handle] = None
        elif held != handle:
            self._held[name] = {held: None, handle: None}

    def add_all(self, names: list[str], handles: list[int]) -> None:
        """Add columns of equal length; as `add` in a loop, but with one look-up a name, in C, where names are new."""
        found = list(map(self._held.setdefault, names, handles))
        if found == handles:
            return
        for name, handle, held in zip(names, handles, found, strict=True):
            if held.__class__ is dict:
                held[handle] = None
            elif held is not handle:
                self.add(name, handle)

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
