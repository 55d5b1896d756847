"""Tests of protocol.liveness: silence is noticed in time, and a sick observer doubts itself first."""

import math

from hypothesis import given
from hypothesis import strategies as st

from protocol.liveness import STRETCH_MAX, Liveness, Punctuality
from protocol.stamp import Now


def at(s: float, suspended_s: float = 0.0) -> Now:
    return Now(s, round((s + suspended_s) * 1000), 0)


def test_nobody_is_suspected_before_the_first_word() -> None:
    """A link that was never heard of has no deadline."""
    liveness = Liveness(1.0)
    assert liveness.deadline == math.inf
    assert not liveness.suspect(at(1e9))


def test_silence_is_suspect_exactly_from_the_deadline_on() -> None:
    """1.0 s after the last word, not a moment before."""
    liveness = Liveness(1.0)
    liveness.heard(at(10.0))
    assert liveness.deadline == 11.0
    assert not liveness.suspect(at(10.999))
    assert liveness.suspect(at(11.0))
    liveness.heard(at(11.5))
    assert not liveness.suspect(at(12.4))


def test_own_lateness_stretches_patience() -> None:
    """Each 100 ms of standing still adds one part, up to four times; less than 100 ms adds nothing."""
    for by_s, stretch in ((0.05, 1), (0.0999, 1), (0.1, 2), (0.25, 3), (0.3, 4), (60.0, 4)):
        liveness = Liveness(0.5)
        liveness.heard(at(10.0))
        liveness.late(by_s, at(10.0))
        assert liveness.punctuality.stretch(at(10.0)) == stretch
        assert liveness.deadline == 10.0 + 0.5 * stretch


def test_many_short_stalls_add_up() -> None:
    """A loop that is late again and again is as sick as one that is late once for long."""
    punctuality = Punctuality()
    for number in range(3):
        punctuality.late(0.11, at(10 + number / 5))
    assert punctuality.stretch(at(10.5)) == 4


def test_illness_passes() -> None:
    """2 s after the late moment the ordinary bound holds again, and the deadline says so in advance."""
    liveness = Liveness(1.0)
    liveness.late(0.3, at(10.0))
    liveness.heard(at(10.5))
    assert liveness.deadline == 12.0  # 10.5 + 1.0 has passed by then, 10.5 + 4.0 has not
    assert not liveness.suspect(at(11.9))
    assert liveness.suspect(at(12.0))
    assert liveness.punctuality.stretch(at(11.999)) == 4
    assert liveness.punctuality.stretch(at(12.0)) == 1


def test_links_share_the_health_of_their_process() -> None:
    """Lateness told once counts for every link that was given the same Punctuality."""
    punctuality = Punctuality()
    first, second = Liveness(1.0, punctuality), Liveness(1.0, punctuality)
    first.heard(at(0.0))
    second.heard(at(0.0))
    first.late(0.2, at(0.0))
    assert second.deadline == first.deadline == 2.0


@given(
    st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), max_size=30),
    st.floats(0.2, 5),
    st.floats(0, 20),
)
def test_suspicion_begins_at_the_deadline_and_never_takes_longer_than_four_times(
    lates: list[tuple[float, float]], suspect_after_s: float, heard_s: float
) -> None:
    """Whatever the stalls, the deadline is the first moment at which the stretched patience is used up."""
    liveness = Liveness(suspect_after_s)
    liveness.heard(at(heard_s))
    clock_s = 0.0
    for passed_s, by_s in lates:
        clock_s += passed_s
        liveness.late(by_s, at(clock_s))
    deadline = liveness.deadline
    assert heard_s + suspect_after_s <= deadline <= heard_s + suspect_after_s * STRETCH_MAX
    assert deadline - heard_s >= suspect_after_s * liveness.punctuality.stretch(at(deadline)) - 1e-6
    earlier_s = deadline - 1e-3
    if earlier_s > clock_s:  # before the last stall the past was another one
        assert earlier_s - heard_s < suspect_after_s * liveness.punctuality.stretch(at(earlier_s))


def test_a_punctual_loop_has_not_slept() -> None:
    """Waking in time, or a second late at most, makes nobody unsure."""
    punctuality = Punctuality()
    assert punctuality.woke(0.0, at(0.0)) == 0.0
    assert punctuality.woke(0.2, at(0.2)) == 0.0
    assert punctuality.woke(0.4, at(1.4)) == 0.0
    assert punctuality.stretch(at(1.4)) == 4


def test_waking_early_is_not_late() -> None:
    """A loop that is woken by a message before its timer is due has lost no time."""
    punctuality = Punctuality()
    punctuality.woke(100.0, at(0.0))
    assert punctuality.woke(100.0, at(50.0)) == 0.0
    assert punctuality.stretch(at(50.0)) == 1


def test_a_stopped_process_slept() -> None:
    """SIGSTOP shows as lateness on the monotonic clock."""
    punctuality = Punctuality()
    punctuality.woke(0.0, at(0.0))
    assert math.isclose(punctuality.woke(0.2, at(30.0)), 29.8)


def test_a_suspended_machine_slept_although_its_monotonic_clock_stood_still() -> None:
    """Suspend shows only on the boot clock."""
    punctuality = Punctuality()
    punctuality.woke(0.0, at(0.0))
    assert math.isclose(punctuality.woke(0.2, at(0.2, suspended_s=3_600.0)), 3_600.0)
    assert punctuality.woke(0.4, at(0.4, suspended_s=3_600.0)) == 0.0
