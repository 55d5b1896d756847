"""The queue of one receiver: in order, within its bound, only what is wanted."""

import pytest

from authagent.webhook import queue as queues
from authagent.webhook.queue import Queue
from authagent.webhook.told import Batch
from protocol.changes import Barrier, Changes


def batch(*users: str) -> Batch:
    return Batch("p1", Changes(barriers=tuple(Barrier(user, 0) for user in users)), 0)


def test_events_come_in_order_and_in_pieces() -> None:
    """Batches are taken apart, and what is not taken stays."""
    queue = Queue()
    assert queue.put_batch(batch("a", "b", "c")) and queue.put({"event": "role.master"})
    assert queue.waiting == 4
    assert [each["user"] for each in queue.take(2)] == ["a", "b"]
    assert [each.get("user", each["event"]) for each in queue.take(9)] == ["c", "role.master"]
    assert queue.waiting == 0 and queue.take(1) == []


def test_only_what_is_wanted_is_kept() -> None:
    """Patterns choose names; what a batch holds besides is forgotten when it is looked at."""
    queue = Queue(("role.*", "session.opened"))
    assert queue.wants("role.slave") and queue.wants("session.opened") and not queue.wants("session.ended")
    assert queue.put({"event": "problem.began"}) and queue.waiting == 0
    queue.put_batch(batch("a", "b"))
    queue.put({"event": "role.slave"})
    assert [each["event"] for each in queue.take(5)] == ["role.slave"]
    assert queue.waiting == 0


def test_beyond_the_bound_the_newest_is_left_out_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits stays; room that was made is used again."""
    monkeypatch.setattr(queues, "EVENTS_MAX", 3)
    queue = Queue()
    assert queue.put_batch(batch("a", "b")) and not queue.put_batch(batch("c", "d"))
    assert queue.put({"event": "role.master"}) and not queue.put({"event": "role.slave"})
    assert (queue.waiting, queue.dropped_total) == (3, 3)
    assert len(queue.take(3)) == 3 and queue.put_batch(batch("e", "f", "g"))
