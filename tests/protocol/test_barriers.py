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
