"""The test-only switchboard of seeded bugs: one place where a shipping machine is made wrong, and right again.

Rules of this file:

- A bug is a function that patches; its docstring says what is wrong. The shipping code knows nothing of it.
- While a bug is on, everything that runs in this process has it; on leaving, all is as it was.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias


class Patch:
    """Attributes put in the place of others, for a while."""

    def __init__(self) -> None:
        self._undone: list[tuple[Any, str, Any]] = []

    def set(self, owner: Any, name: str, value: object) -> Any:
        """Put `value` there; returns what was there."""
        before = owner.__dict__[name]
        self._undone.append((owner, name, before))
        setattr(owner, name, value)
        return before

    def undo(self) -> None:
        """All as it was, the last first."""
        while self._undone:
            owner, name, before = self._undone.pop()
            setattr(owner, name, before)


Bug: TypeAlias = Callable[[Patch], None]
BUGS: dict[str, Bug] = {}


def bug(seed: Bug) -> Bug:
    """Put a bug on the switchboard."""
    assert seed.__name__ not in BUGS and seed.__doc__, "each bug has a name of its own, and says what is wrong"
    BUGS[seed.__name__] = seed
    return seed


@contextmanager
def seeded(name: str) -> Iterator[None]:
    """While this lasts, the machines have this bug."""
    patch = Patch()
    try:
        BUGS[name](patch)
        yield
    finally:
        patch.undo()
