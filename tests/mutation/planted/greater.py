"""A module with one gap in its tests, for the test of the tool: nobody asks what `greater` says of equal numbers."""

LIMIT = 10


def greater(one: int, other: int) -> bool:
    """Whether one is greater than the other; nothing is greater than the limit."""
    if one > LIMIT:
        raise ValueError("beyond the limit")
    return one > other
