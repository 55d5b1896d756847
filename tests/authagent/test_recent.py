"""The bounded memory of what changed: what is kept, in which order, and what is forgotten."""

from authagent.core.commands import Tell
from authagent.recent import Act, Recent
from protocol.changes import Barrier, Changes, Mark, TouchRun
from tests.authagent.core.machine import ORIGIN, ends, logins


def told(changes: Changes, *payloads: bytes, source: str = "p1", message: str = "Report") -> Tell:
    return Tell(source, changes, message, payloads or (b"payload",))


def test_logins_ends_and_barriers_are_kept_as_they_came() -> None:
    """With when, who and in which message; a batch of two payloads is two."""
    recent = Recent()
    recent.note(5, told(logins("10.0.0.1")))
    recent.note(6, told(ends("10.0.0.1"), b"a", b"b", source="operator", message=""))
    recent.note(7, told(Changes(barriers=(Barrier("alice", 7),))))

    assert list(recent) == [
        Act(5, "p1", "Report", b"payload"), Act(6, "operator", "", b"a"), Act(6, "operator", "", b"b"),
        Act(7, "p1", "Report", b"payload"),
    ]  # fmt: skip


def test_touches_are_not_kept() -> None:
    """Nor what marks alone say."""
    recent = Recent()
    recent.note(5, told(Changes(touches=(TouchRun(ORIGIN, range(1), [5]),))))
    recent.note(5, told(Changes(marks=(Mark("10.0.0.1", 5),))))

    assert len(recent) == 0


def test_the_oldest_is_forgotten_when_there_are_too_many() -> None:
    """By number, and by bytes."""
    few = Recent(acts_max=3)
    for number in range(10):
        few.note(number, told(logins("10.0.0.1")))
    assert [act.wall_ms for act in few] == [7, 8, 9]

    small = Recent(bytes_max=100)
    for number in range(10):
        small.note(number, told(logins("10.0.0.1"), b"x" * 40))
    assert [act.wall_ms for act in small] == [8, 9]
