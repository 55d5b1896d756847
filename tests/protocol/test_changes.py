"""Batches of changes."""

from protocol.changes import Barrier, Changes, Mark
from tests.protocol.build import NOW_MS, all_logged_in, ended, login, touched


def test_a_batch_counts_single_changes() -> None:
    """Its length is the number of logins, ends, touches, barriers and marks, whatever runs they stand in."""
    batch = Changes(
        logins=all_logged_in(range(3), [login()] * 3).logins,
        ends=ended(1, login()).ends * 2,
        touches=touched(1, NOW_MS).touches,
        barriers=(Barrier("alice", NOW_MS),),
        marks=(Mark("10.0.0.1", NOW_MS), Mark("10.0.0.2", NOW_MS)),
    )
    assert len(batch) == 9


def test_only_the_empty_batch_is_false() -> None:
    """A batch of a single mark is worth sending."""
    assert not Changes()
    assert Changes(marks=(Mark("10.0.0.1", NOW_MS),))
    assert Changes(barriers=(Barrier("alice", NOW_MS),))
