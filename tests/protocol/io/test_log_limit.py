"""The limit on session lines: pure arithmetic over seconds."""

from hypothesis import given
from hypothesis import strategies as st

from protocol.io.log_limit import LineLimit


def test_beyond_the_bound_lines_are_counted_and_told_once() -> None:
    """Of 500 lines in one second 200 pass; the count of the others is told once, when the second is over."""
    limit = LineLimit(200)
    assert sum(limit.admit(10.0 + number / 1000) for number in range(500)) == 200
    assert limit.settle(10.9) == 0
    assert limit.settle(11.0) == 300
    assert limit.settle(11.1) == 0
    assert limit.admit(11.2)


def test_a_quiet_log_is_never_held_back() -> None:
    """Lines at the allowed pace all pass, whatever the clock starts with."""
    limit = LineLimit(2)
    assert all(limit.admit(-5.0 + number / 2) for number in range(20))


def test_lines_that_were_never_made_count_too() -> None:
    """A caller that spares making lines adds their number to the count."""
    limit = LineLimit(1)
    assert limit.admit(1.0) and not limit.admit(1.1)
    limit.hold_back(7)
    assert limit.settle(2.5) == 8


@given(st.lists(st.floats(0, 0.6), max_size=200), st.integers(1, 5))
def test_no_line_is_lost_from_the_count(pauses: list[float], lines_max: int) -> None:
    """Lines written and lines counted add up, and no window of a second has more than the bound."""
    limit, now_s, told, written = LineLimit(lines_max), 0.0, 0, []
    for pause in pauses:
        now_s += pause
        told += limit.settle(now_s)
        if limit.admit(now_s):
            written.append(now_s)
    told += limit.settle(now_s + 2)
    assert len(written) + told == len(pauses)
    assert all(len([at for at in written if begin <= at < begin + 0.5]) <= 2 * lines_max for begin in written)
