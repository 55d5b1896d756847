"""Tests of protocol.stamp: cluster time never steps, and measured offsets survive hostile networks and clocks."""

from hypothesis import given
from hypothesis import strategies as st

from protocol.messages import Heartbeat, Role
from protocol.stamp import ClusterClock, Now, Offset, OffsetEstimator, WallWatch

WALL_MS = 1_700_000_000_000


def at(boot_ms: int, wall_ms: int | None = None) -> Now:
    """A reading `boot_ms` after boot; the wall clock goes with it unless told."""
    return Now(boot_ms / 1000, boot_ms, WALL_MS + boot_ms if wall_ms is None else wall_ms)


def sample(cluster_ms: int | None, trip_ms: int = 0) -> Offset:
    return Offset(trip_ms, cluster_ms, 0, 0)


def heartbeat(
    *, wall_ms: int, cluster_ms: int | None = None, sent_ms: int = 0, echo_ms: int | None = None, held_ms: int = 0
) -> Heartbeat:
    return Heartbeat(
        Role.MASTER, 1, False, 7, 0, 0, None, b"", cluster_ms, wall_ms, sent_ms, echo_ms, held_ms, pending=0, sessions=0
    )


class Distant:
    """A peer whose clocks are ahead of ours by a fixed amount, behind a path with a delay each way."""

    def __init__(self, ahead_ms: int) -> None:
        self.ahead_ms = ahead_ms

    def answer(self, sent_ms: int, there_ms: int, back_ms: int, held_ms: int = 0) -> tuple[Heartbeat, Now]:
        """The heartbeat that echoes ours of `sent_ms`, and when it is read here."""
        leaves_ms = sent_ms + there_ms + held_ms
        beat = heartbeat(
            wall_ms=WALL_MS + leaves_ms + self.ahead_ms,
            cluster_ms=WALL_MS + leaves_ms + 2 * self.ahead_ms,
            sent_ms=leaves_ms,
            echo_ms=sent_ms,
            held_ms=held_ms,
        )
        return beat, at(leaves_ms + back_ms)


# -- cluster time ------------------------------------------------------------------------------------------------


def test_an_unset_clock_carries_its_first_wall_reading_on_by_the_boot_clock() -> None:
    """Provisional time is not moved by a wall clock that jumps after the first reading."""
    clock = ClusterClock()
    assert clock.now_ms(at(10)) == WALL_MS + 10
    assert clock.now_ms(at(1_010, wall_ms=5)) == WALL_MS + 1_010
    assert not clock.is_set


def test_the_first_sample_steps_and_tells_the_shift() -> None:
    """A proxy never linked learns by how much the stamps it gave out so far were wrong."""
    clock = ClusterClock()
    clock.now_ms(at(0))
    assert clock.follow(sample(WALL_MS - 90_000), at(1_000)) == -90_000
    assert clock.is_set
    assert clock.now_ms(at(1_000)) == WALL_MS + 1_000 - 90_000


def test_later_samples_only_slew() -> None:
    """A clock that is set moves by 5 ms in each second towards what it is told, and by no more."""
    clock = ClusterClock()
    clock.follow(sample(WALL_MS), at(0))
    assert clock.follow(sample(WALL_MS + 100), at(0)) == 0
    assert clock.now_ms(at(0)) == WALL_MS
    assert clock.now_ms(at(1_000)) == WALL_MS + 1_000 + 5
    assert clock.now_ms(at(20_000)) == WALL_MS + 20_000 + 100
    assert clock.now_ms(at(90_000)) == WALL_MS + 90_000 + 100


def test_short_steps_slew_as_far_as_long_ones() -> None:
    """Slewing at each of many heartbeats loses nothing to rounding."""
    clock = ClusterClock()
    clock.follow(sample(WALL_MS), at(0))
    for boot_ms in range(0, 10_001, 7):
        clock.follow(sample(WALL_MS + 1_000), at(boot_ms))
    assert clock.now_ms(at(10_000)) == WALL_MS + 10_000 + 50


def test_a_promoted_slave_keeps_its_time() -> None:
    """Failover shifts nothing: the new master begins at the old offset, then pulls towards its own wall clock."""
    clock = ClusterClock()
    clock.follow(sample(WALL_MS - 1_500), at(0))
    clock.lead(at(1_000))
    assert clock.now_ms(at(1_000)) == WALL_MS + 1_000 - 1_500
    assert clock.now_ms(at(3_000)) == WALL_MS + 3_000 - 1_490


def test_time_asleep_is_not_slewed_towards_a_target_learnt_afterwards() -> None:
    """What was passed under suspend ran towards the old target; waking up beside a moved wall clock steps nothing."""
    clock = ClusterClock()
    clock.lead(at(0))
    hour_ms = 3_600_000
    clock.lead(at(hour_ms, wall_ms=WALL_MS + hour_ms + 60_000))
    assert clock.now_ms(at(hour_ms)) == WALL_MS + hour_ms


def test_a_first_lead_keeps_the_provisional_time() -> None:
    """An agent that elects itself does not shift the stamps it has already given out."""
    clock = ClusterClock()
    clock.now_ms(at(0))
    clock.lead(at(100, wall_ms=WALL_MS + 500_000))
    assert clock.is_set
    assert clock.now_ms(at(100)) == WALL_MS + 100


def test_a_sample_without_cluster_time_changes_nothing() -> None:
    """A peer that keeps no cluster time yet sets no clock."""
    clock = ClusterClock()
    assert clock.follow(sample(None), at(0)) == 0
    assert not clock.is_set
    assert clock.distance_ms(sample(None), at(0)) == 0


def test_distance_is_against_the_time_kept() -> None:
    """A proxy sees how far a master's time is from its own before it follows; by hand it accepts it, backwards too."""
    clock = ClusterClock()
    assert clock.distance_ms(sample(5), at(0)) == 0
    clock.follow(sample(WALL_MS), at(0))
    far = sample(WALL_MS - 7_000)
    assert clock.distance_ms(far, at(1_000)) == 7_000
    assert clock.accept(far, at(1_000)) == -7_000
    assert clock.now_ms(at(1_000)) == WALL_MS + 1_000 - 7_000
    assert clock.distance_ms(far, at(2_000)) == 0


def test_offset_is_what_to_add_to_the_boot_clock() -> None:
    """A hot path may keep the offset and read the boot clock alone."""
    clock = ClusterClock()
    clock.follow(sample(WALL_MS + 3), at(0))
    assert clock.offset_ms(at(123)) + 123 == clock.now_ms(at(123))


@given(
    st.lists(
        st.tuples(
            st.integers(0, 5_000),
            st.sampled_from(["lead", "follow", "read"]),
            st.integers(-(10**7), 10**7),
        ),
        max_size=30,
    )
)
def test_a_set_clock_never_steps_and_never_goes_back(steps: list[tuple[int, str, int]]) -> None:
    """Whatever it is told, between two readings a set clock advances by the time passed, give or take 5 ms a second."""
    clock = ClusterClock()
    clock.follow(sample(WALL_MS), at(0))
    boot_ms, last_ms = 0, clock.now_ms(at(0))
    for passed_ms, what, moved_ms in steps:
        boot_ms += passed_ms
        now = at(boot_ms, wall_ms=WALL_MS + boot_ms + moved_ms)
        if what == "lead":
            clock.lead(now)
        elif what == "follow":
            clock.follow(sample(WALL_MS + moved_ms), now)
        shown_ms = clock.now_ms(now)
        assert shown_ms >= last_ms
        assert abs(shown_ms - last_ms - passed_ms) <= passed_ms * 5 // 1000 + 1
        last_ms = shown_ms


# -- offsets -----------------------------------------------------------------------------------------------------


def test_an_offset_needs_an_echo() -> None:
    """A heartbeat that echoes nothing measures nothing, but is echoed with the time it was held."""
    estimator = OffsetEstimator()
    assert estimator.echo(at(0)) == (None, 0)
    estimator.heard(heartbeat(wall_ms=0, sent_ms=42), at(100))
    assert estimator.best is None
    assert (estimator.round_trip_ms, estimator.wall_offset_ms, estimator.cluster_offset_ms) == (None, None, None)
    assert estimator.echo(at(130)) == (42, 30)


def test_a_symmetric_path_is_measured_exactly() -> None:
    """Half of the round trip is taken off, and the time that the peer held our stamp does not count as trip."""
    estimator = OffsetEstimator()
    estimator.heard(*Distant(500).answer(1_000, there_ms=20, back_ms=20, held_ms=150))
    assert estimator.round_trip_ms == 40
    assert estimator.wall_offset_ms == 500
    assert estimator.cluster_offset_ms == WALL_MS + 1_000


@given(
    st.integers(-5_000, 5_000),
    st.lists(st.tuples(st.integers(0, 250), st.integers(0, 250), st.integers(0, 300)), min_size=1, max_size=40),
)
def test_the_error_is_at_most_half_of_the_shortest_trip(ahead_ms: int, trips: list[tuple[int, int, int]]) -> None:
    """However delays are spread over both ways, the estimate is as good as the best trip of the last minute allows."""
    estimator, peer = OffsetEstimator(), Distant(ahead_ms)
    for number, (there_ms, back_ms, held_ms) in enumerate(trips):
        estimator.heard(*peer.answer(1_000 * number, there_ms, back_ms, held_ms))
    shortest_ms = min(there_ms + back_ms for there_ms, back_ms, _ in trips)
    assert estimator.round_trip_ms == shortest_ms
    assert estimator.wall_offset_ms is not None
    assert abs(estimator.wall_offset_ms - ahead_ms) <= shortest_ms / 2 + 1


def test_the_shortest_trip_counts_for_a_minute() -> None:
    """A quiet moment is believed over noisy ones after it, and forgotten after 60 s."""
    estimator, peer = OffsetEstimator(), Distant(0)
    estimator.heard(*peer.answer(0, 1, 1))
    estimator.heard(*peer.answer(59_000, 200, 0))
    assert estimator.round_trip_ms == 2
    estimator.heard(*peer.answer(61_000, 150, 150))
    assert estimator.round_trip_ms == 200
    assert estimator.wall_offset_ms == 100


def test_a_half_trip_above_a_quarter_second_does_not_count() -> None:
    """A path so slow says nothing about clocks."""
    estimator, peer = OffsetEstimator(), Distant(0)
    estimator.heard(*peer.answer(0, 501, 0))
    assert estimator.best is None
    estimator.heard(*peer.answer(1_000, 500, 0))
    assert estimator.round_trip_ms == 500


def test_an_echo_from_the_future_does_not_count() -> None:
    """A peer that echoes what was never sent, or says it held it for longer than it can have, measures nothing."""
    estimator = OffsetEstimator()
    estimator.heard(heartbeat(wall_ms=0, echo_ms=10_000, held_ms=0), at(100))
    estimator.heard(heartbeat(wall_ms=0, echo_ms=50, held_ms=10_000), at(100))
    assert estimator.best is None


def test_suspend_between_echo_and_reading_is_no_short_trip() -> None:
    """A heartbeat that lay in the buffer while the machine slept must not put the peer's clock an hour back."""
    estimator = OffsetEstimator()
    beat, _ = Distant(0).answer(1_000, 5, 5)
    hour_ms = 3_600_000
    estimator.heard(beat, Now(1.010, 1_010 + hour_ms, WALL_MS + 1_010 + hour_ms))
    assert estimator.best is None


def test_an_own_wall_jump_shows_at_the_next_heartbeat() -> None:
    """The wall offset follows the own wall clock at once; cluster time is measured on the boot clock and does not."""
    estimator, peer = OffsetEstimator(), Distant(0)
    estimator.heard(*peer.answer(0, 1, 1))
    before = estimator.cluster_offset_ms
    beat, now = peer.answer(200, 5, 5)
    estimator.heard(beat, now._replace(wall_ms=now.wall_ms + 8_000))
    assert estimator.round_trip_ms == 2
    assert estimator.wall_offset_ms == -8_000
    assert estimator.cluster_offset_ms == before


def test_a_jump_of_the_peer_shows_at_the_next_heartbeat() -> None:
    """A short trip from before the peer's clock was moved does not hide the move for a minute."""
    estimator = OffsetEstimator()
    estimator.heard(*Distant(0).answer(0, 1, 1))
    estimator.heard(*Distant(1_900).answer(200, 100, 100))
    assert estimator.wall_offset_ms == 1_900


def test_cluster_time_that_appears_or_goes_is_seen_at_once() -> None:
    """A peer that begins to keep cluster time is not hidden behind a shorter trip from before."""
    estimator = OffsetEstimator()
    estimator.heard(heartbeat(wall_ms=WALL_MS, echo_ms=0), at(1))
    assert estimator.round_trip_ms == 1
    assert estimator.cluster_offset_ms is None
    estimator.heard(*Distant(0).answer(200, 50, 50))
    assert estimator.cluster_offset_ms == WALL_MS


def test_two_estimators_agree_across_one_path() -> None:
    """Each side, fed by the other's echoes, finds the same distance with opposite signs."""
    here, there = OffsetEstimator(), OffsetEstimator()
    ahead_ms, delay_ms = 700, 10

    def reading(true_ms: int, ahead: int) -> Now:
        return at(true_ms + ahead * 3, wall_ms=WALL_MS + true_ms + ahead)

    for sent_at_ms in range(0, 2_000, 100):  # they take turns
        here_sends = sent_at_ms % 200 == 0
        sender, receiver = (here, there) if here_sends else (there, here)
        sent = reading(sent_at_ms, 0 if here_sends else ahead_ms)
        echo_ms, held_ms = sender.echo(sent)
        beat = heartbeat(wall_ms=sent.wall_ms, sent_ms=sent.boot_ms, echo_ms=echo_ms, held_ms=held_ms)
        receiver.heard(beat, reading(sent_at_ms + delay_ms, ahead_ms if here_sends else 0))
    assert here.wall_offset_ms == ahead_ms
    assert there.wall_offset_ms == -ahead_ms
    assert here.round_trip_ms == there.round_trip_ms == 20


def test_a_flood_of_heartbeats_costs_bounded_memory() -> None:
    """Trips that grow by the smallest step are the worst case, and they end at half a second."""
    estimator, peer = OffsetEstimator(), Distant(0)
    for number in range(2_000):
        estimator.heard(*peer.answer(number, number % 600, 0))
    assert len(estimator._samples) <= 501


# -- the own wall clock ------------------------------------------------------------------------------------------


def test_a_wall_jump_is_noticed_once_in_both_directions() -> None:
    """A wall clock moved by more than a second is told once, with its sign."""
    watch = WallWatch()
    assert watch.jumped_ms(at(0)) == 0
    assert watch.jumped_ms(at(200, wall_ms=WALL_MS + 200 + 1_001)) == 1_001
    assert watch.jumped_ms(at(400, wall_ms=WALL_MS + 400 + 1_001)) == 0
    assert watch.jumped_ms(at(600, wall_ms=WALL_MS + 600 - 3_000)) == -4_001


def test_drift_and_small_steps_are_no_jump() -> None:
    """A second at a time is what NTP may do; only what passes it at once is a jump, and suspend is none."""
    watch = WallWatch()
    for number in range(100):
        assert watch.jumped_ms(at(number * 200, wall_ms=WALL_MS + number * 200 + number * 900)) == 0
    assert watch.jumped_ms(at(10**8, wall_ms=WALL_MS + 10**8 + 99 * 900)) == 0
