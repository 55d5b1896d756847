"""What targets share when they take an input."""

from typing import Any


def hold(condition: bool, why: str) -> None:
    """Raise AssertionError unless this is so; for what must be so of an error that was caught."""
    assert condition, why


def finished(coroutine: Any) -> Any:
    """What comes of a coroutine that waits for nobody, without a loop."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value
    raise AssertionError("it waits for somebody")
