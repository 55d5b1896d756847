"""Numbers and durations as people say them."""

from protocol.io.http import words


def test_durations() -> None:
    """Never more than two units."""
    told = {0: "0 s", 59: "59 s", 60: "1 min", 1799.9: "29 min", 3600: "1 h 0 min", 43199: "11 h 59 min"}
    assert {seconds: words.duration(seconds) for seconds in told} == told


def test_counts_and_amounts() -> None:
    """One of it, many of it, and rates with one digit where that says something."""
    assert (words.counted(1, "session"), words.counted(1234, "session")) == ("1 session", "1,234 sessions")
    assert [words.amount(each) for each in (0, 0.04, 0.25, 4, 9.96, 12.3, 1234.5)] == [
        "0", "0.0", "0.2", "4", "10.0", "12", "1,234",
    ]  # fmt: skip
