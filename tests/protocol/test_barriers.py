"""Barriers and their checksum."""

from protocol import limits
from protocol.barriers import NONE, Barriers
from protocol.changes import Barrier

KEPT_MS = limits.BARRIER_KEPT_MS


def with_barriers(*barriers: tuple[str, int]) -> Barriers:
    made = Barriers(b"k" * 32)
    for user, at in barriers:
        made.rise(user, at)
    return made


def test_barriers_only_rise() -> None:
    """The later time counts, whatever the order; what is no news says so."""
    barriers = Barriers(b"k" * 32)
    assert barriers.get("alice") == NONE
    assert barriers.rise("alice", 10)
    assert not barriers.rise("alice", 10)
    assert not barriers.rise("alice", 9)
    assert barriers.rise("alice", 11)
    assert list(barriers) == [Barrier("alice", 11)] and "alice" in barriers and len(barriers) == 1


def test_the_checksum_does_not_depend_on_the_way() -> None:
    """Order and earlier barriers leave no trace; user, time and key each count."""
    one = with_barriers(("alice", 5), ("bob", 7), ("alice", 9)).checksum(0)
    assert one == with_barriers(("bob", 7), ("alice", 9)).checksum(0)
    assert one != with_barriers(("bob", 9), ("alice", 7)).checksum(0)
    assert one != with_barriers(("bob", 7)).checksum(0)
    assert with_barriers().checksum(0) == 0
    other = Barriers(b"q" * 32)
    other.rise("alice", 9)
    assert other.checksum(0) != with_barriers(("alice", 9)).checksum(0)


def test_a_barrier_counts_as_long_as_it_can_kill() -> None:
    """At a cut only barriers younger than seven days count, forgotten or not, cuts asked for in any order."""
    barriers = with_barriers(("alice", 1_000), ("bob", 2_000), ("carol", 3_000))
    cuts_ms = [1_000 + KEPT_MS, 999 + KEPT_MS, 2_500 + KEPT_MS, 0, 3_000 + KEPT_MS]
    expected = [
        with_barriers(("bob", 2_000), ("carol", 3_000)),
        with_barriers(("alice", 1_000), ("bob", 2_000), ("carol", 3_000)),
        with_barriers(("carol", 3_000)),
        with_barriers(("alice", 1_000), ("bob", 2_000), ("carol", 3_000)),
        with_barriers(),
    ]
    for cut_ms, same in zip(cuts_ms, expected, strict=True):
        assert barriers.checksum(cut_ms) == same.checksum(0)
    barriers.forget(2_000)
    assert [barrier.user for barrier in barriers] == ["carol"]
    assert barriers.checksum(2_500 + KEPT_MS) == with_barriers(("carol", 3_000)).checksum(0)
    barriers.rise("alice", 2_400)
    assert barriers.checksum(2_500 + KEPT_MS) == with_barriers(("carol", 3_000)).checksum(0)
    assert barriers.checksum(2_300 + KEPT_MS) == with_barriers(("carol", 3_000), ("alice", 2_400)).checksum(0)


def test_a_late_barrier_counts_at_a_cut_that_was_asked_for() -> None:
    """What was found for a cut does not outlive a barrier that rises, or that is forgotten."""
    cut_ms = 2_500 + KEPT_MS
    barriers = with_barriers(("alice", 1_000), ("bob", 2_000), ("carol", 3_000))
    barriers.checksum(cut_ms)
    barriers.rise("dave", 1_500)
    barriers.rise("bob", 4_000)
    expected = with_barriers(("bob", 4_000), ("carol", 3_000)).checksum(0)
    assert barriers.checksum(cut_ms) == expected
    barriers.forget(1_000)
    assert barriers.checksum(cut_ms) == expected and "alice" not in barriers
    barriers.forget(1_500)
    assert barriers.checksum(cut_ms) == expected and "dave" not in barriers


def test_forgetting_leaves_the_next_oldest_to_be_forgotten() -> None:
    """After one has gone, the others still stop counting when their time is over."""
    barriers = with_barriers(("alice", 1_000), ("bob", 2_000), ("carol", 3_000))
    barriers.forget(1_000)
    assert barriers.checksum(2_000 + KEPT_MS) == with_barriers(("carol", 3_000)).checksum(0)
    barriers.forget(2_000)
    assert list(barriers) == [Barrier("carol", 3_000)]


def test_another_key_makes_another_checksum() -> None:
    """After `rekey` all is as if it had been under that key from the beginning, at every cut."""
    fresh = Barriers(b"q" * 32)
    barriers = with_barriers(("alice", 1_000), ("bob", 2_000))
    for user, at in barriers:
        fresh.rise(user, at)
    barriers.checksum(1_500 + KEPT_MS)
    barriers.rekey(b"q" * 32)
    for cut_ms in (0, 1_500 + KEPT_MS):
        assert barriers.checksum(cut_ms) == fresh.checksum(cut_ms) != 0
