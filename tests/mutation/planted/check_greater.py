"""What is tested of greater.py. The name keeps this file out of an ordinary run."""

import pytest

from tests.mutation.planted.greater import greater


def test_greater() -> None:
    """Two numbers that differ."""
    assert greater(2, 1) is True and greater(1, 2) is False


def test_limit() -> None:
    """The limit itself is within it."""
    assert greater(10, 1) is True
    with pytest.raises(ValueError, match="beyond"):
        greater(11, 1)
