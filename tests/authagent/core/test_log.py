"""Log: numbered entries, bounded, and what a cursor in it is good for."""

from authagent.core.log import ENTRY_COST_BYTES, Log
from protocol import codec, framing
from protocol.messages import Update


def _filled(count: int, log: Log | None = None) -> Log:
    log = log or Log(7)
    for number in range(count):
        log.append("lan1", b"payload %d" % number, None)
    return log


def test_entries_are_numbered_from_one_and_kept_as_frames() -> None:
    """An entry is the framed Update that every follower gets, with the site where it arose."""
    entry = Log(7).append("lan2", b"changes", 4)

    (body,) = framing.FrameReader(1 << 16).feed(entry.frame)
    assert (entry.sequence, entry.source) == (1, 4)
    assert codec.decode(body) == Update(1, "lan2", b"changes")


def test_a_cursor_is_held_from_the_start_to_the_end() -> None:
    """Every position of an undropped log can be brought up to date; a later one, or another log's, cannot."""
    log = _filled(3)

    assert [log.holds(7, sequence) for sequence in range(5)] == [True, True, True, True, False]
    assert not log.holds(8, 1)


def test_an_empty_log_holds_its_own_start_only() -> None:
    """A new mastership holds no cursor of the last one."""
    assert Log(7).holds(7, 0)
    assert not Log(7).holds(0, 0)
    assert not Log(7).holds(7, 1)


def test_after_gives_what_is_behind_a_cursor() -> None:
    """The entries after a cursor, none at the end, all at the start."""
    log = _filled(3)

    assert [entry.sequence for entry in log.after(1)] == [2, 3]
    assert log.after(3) == []
    assert len(log.after(0)) == 3


def test_the_oldest_make_room() -> None:
    """Beyond its bytes the log drops the oldest with their cursors, and keeps the newest whatever its size."""
    frame_bytes = len(Log(7).append("lan1", b"payload 0", None).frame)
    log = _filled(10, Log(7, bytes_max=3 * (frame_bytes + ENTRY_COST_BYTES)))

    assert (log.first, log.sequence) == (8, 10)
    assert not log.holds(7, 6)
    assert log.holds(7, 7)
    assert [entry.sequence for entry in log.after(7)] == [8, 9, 10]
    assert [entry.sequence for entry in _filled(2, Log(7, bytes_max=1)).after(1)] == [2]
