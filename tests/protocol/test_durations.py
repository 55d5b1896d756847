"""Durations as text."""

import pytest

from protocol import durations


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("500ms", 0.5),
        ("90s", 90),
        ("30m", 1800),
        ("12h", 43_200),
        ("7d", 604_800),
        ("0s", 0),
        ("1.5s", 1.5),
        (" 2 h ", 7200),
    ],
)
def test_every_unit_is_read(text: str, seconds: float) -> None:
    """A number with a unit becomes seconds."""
    assert durations.parse(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "30", "m", "30 minutes", "-1s", "1h30m", "inf s", "1e3s", "٣s", "9" * 400 + "s"])
def test_anything_else_is_refused_with_what_would_be_right(text: str) -> None:
    """A bare number, a sign or a word is no duration, and the error shows how one looks."""
    with pytest.raises(ValueError, match='such as "500ms"'):
        durations.parse(text)


@pytest.mark.parametrize("text", ["500ms", "60s", "90s", "30m", "24h", "12h", "7d", "10ms"])
def test_what_is_written_is_read_back(text: str) -> None:
    """text() is the reverse of parse(), in the form that people use."""
    assert durations.text(durations.parse(text)) == text
