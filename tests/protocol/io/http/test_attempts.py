"""Wrong passwords under names: what locks, what forgets, and that a flood of names takes no memory."""

from protocol.io.http.attempts import FORGOTTEN_AFTER_S, LOCKED_S, WRONG_MAX, Counts


def test_each_name_has_ten_of_its_own() -> None:
    """The tenth locks for a minute; another name is not touched by it."""
    counts = Counts(5)
    assert [counts.wrong("a", 1.0) for _ in range(WRONG_MAX)] == [False] * (WRONG_MAX - 1) + [True]
    assert counts.locked_s("a", 31.0) == LOCKED_S - 30.0
    assert counts.locked_s("a", 61.0) == counts.locked_s("b", 1.0) == 0.0


def test_wrong_ones_are_forgotten_with_a_right_one_and_with_time() -> None:
    """Nine, a right one, nine more: no lock; nor by one a day."""
    counts = Counts(5)
    for _ in range(3):
        assert not any(counts.wrong("a", 1.0) for _ in range(WRONG_MAX - 1))
        counts.right("a")
    assert not any(counts.wrong("b", day * FORGOTTEN_AFTER_S * 2) for day in range(1, 50))


def test_names_are_bounded() -> None:
    """Beyond the bound the name that was wrong least lately makes room."""
    counts = Counts(3)
    for _ in range(WRONG_MAX):
        counts.wrong("first", 1.0)
    for number in range(3):
        counts.wrong(f"name {number}", 1.0)
    assert len(counts) == 3 and counts.locked_s("first", 1.0) == 0.0
