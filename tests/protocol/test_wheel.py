"""Deadlines in whole seconds."""

from hypothesis import given
from hypothesis import strategies as st

from protocol.wheel import Wheel


def test_nothing_comes_round_early_and_all_comes_round_once() -> None:
    """Items come round in their second, or at the next turn after it."""
    wheel: Wheel[str] = Wheel()
    wheel.put(10.5, "a")
    wheel.put(12.0, "b")
    assert wheel.turn(10.6) == []
    assert wheel.turn(11.0) == ["a"]
    assert wheel.turn(30.0) == ["b"]
    assert wheel.turn(31.0) == []
    assert len(wheel) == 0


def test_what_is_put_on_late_still_comes_round() -> None:
    """A time that is past comes round at the next turn, even within the second that was turned to."""
    wheel: Wheel[str] = Wheel()
    wheel.turn(100.0)
    wheel.put(50.0, "late")
    wheel.put(100.0, "now")
    assert sorted(wheel.turn(101.5)) == ["late", "now"]


@given(st.lists(st.floats(0, 200), max_size=30), st.lists(st.floats(0, 250), min_size=1, max_size=30))
def test_against_a_list(times: list[float], turns: list[float]) -> None:
    """Whatever is put on and however it is turned: never early, never twice, at most a second late."""
    wheel: Wheel[float] = Wheel()
    for at_s in times:
        wheel.put(at_s, at_s)
    seen: list[float] = []
    for now_s in sorted(turns):
        came = wheel.turn(now_s)
        assert all(at_s <= now_s for at_s in came)
        seen += came
        assert all(at_s in seen for at_s in times if at_s + 1 <= int(now_s))
    assert sorted(seen + wheel.turn(1_000.0)) == sorted(times)
