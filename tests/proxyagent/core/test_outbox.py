"""What waits for the master: order, numbers, levels, bounds."""

from typing import Any

from protocol import codec, limits
from protocol.changes import Barrier, Changes, Mark
from protocol.session import Login, Origin
from proxyagent.core.columns import shifted
from proxyagent.core.outbox import Outbox

ORIGIN = Origin("p1", 5)


def login(number: int, at: int = 1_000, **more: Any) -> Login:
    return Login(f"10.0.0.{number}", "alice", "lan1", at, at + 1_000, 60, more.get("attributes", ()))


def opened(events_max: int = 1_000) -> Outbox:
    """An outbox that may send."""
    outbox = Outbox(codec.encode_payloads, events_max)
    outbox.release(lambda changes: changes)
    return outbox


def keys(outbox: Outbox) -> list[list[str]]:
    reports = [codec.decode_changes(report.payload) for report in outbox.take()]
    return [[key for run in changes.logins for key in run.keys] for changes in reports]


def test_one_tick_is_one_report() -> None:
    """Logins of one tick leave in one Report, with the numbers beginning at 1."""
    outbox = opened()
    outbox.link()
    for number in range(3):
        outbox.put_login(ORIGIN, number, login(number))
    (report,) = outbox.take()
    assert report.report == 1
    assert list(codec.decode_changes(report.payload).logins[0].sequences) == [0, 1, 2]
    assert outbox.take() == []


def test_everything_waiting_is_sent_again_on_a_new_link() -> None:
    """What has no level site yet is sent in order, from 1, on the next link; what has it is not."""
    outbox = opened()
    outbox.link()
    for number in range(3):
        outbox.put_login(ORIGIN, number, login(number))
        outbox.take()
    assert outbox.acknowledge(3, 1)
    outbox.unlink()
    outbox.link()
    assert keys(outbox) == [["10.0.0.1"], ["10.0.0.2"]]


def test_levels_rise_with_acknowledgements() -> None:
    """A serial is local, then master, then site; a lost link takes level master back."""
    outbox = opened()
    outbox.link()
    serial = outbox.put_login(ORIGIN, 1, login(1))
    assert outbox.reached(serial) == "local"
    outbox.take()
    assert outbox.unacknowledged
    outbox.acknowledge(1, 0)
    assert outbox.reached(serial) == "master"
    assert not outbox.unacknowledged
    outbox.unlink()
    assert outbox.reached(serial) == "local"
    outbox.link()
    outbox.take()
    outbox.acknowledge(1, 1)
    assert outbox.reached(serial) == "site"
    assert outbox.events == 0


def test_an_acknowledgement_of_what_was_not_sent_is_refused() -> None:
    """A peer may acknowledge only what it was sent."""
    outbox = opened()
    outbox.link()
    assert not outbox.acknowledge(1, 0)
    outbox.put_login(ORIGIN, 1, login(1))
    outbox.take()
    assert not outbox.acknowledge(1, 2)


def test_a_full_outbox_without_a_link_is_emptied() -> None:
    """Beyond its bound the content goes, `lost` says so, and nobody is told that it arrived."""
    outbox = opened(events_max=2)
    serials = []
    for number in range(3):
        serials.append(outbox.put_login(ORIGIN, number, login(number)))
        outbox.close()
    assert outbox.lost
    assert outbox.events == 0
    assert outbox.reached(serials[0]) is None
    outbox.link()
    assert outbox.take() == []


def test_what_was_lost_is_not_acknowledged_by_what_came_later() -> None:
    """After a full outbox was emptied, the acknowledgement of a later batch says nothing of those that were in it."""
    outbox = opened(events_max=2)
    outbox.link()
    early = outbox.put_login(ORIGIN, 0, login(0))
    outbox.take()
    outbox.acknowledge(1, 1)
    outbox.unlink()
    lost = []
    for number in range(1, 4):
        lost.append(outbox.put_login(ORIGIN, number, login(number)))
        outbox.close()
    outbox.link()
    late = outbox.put_login(ORIGIN, 4, login(4))
    outbox.take()
    outbox.acknowledge(1, 1)
    assert (outbox.reached(early), outbox.reached(late)) == ("site", "site")
    assert [outbox.reached(serial) for serial in lost] == [None] * 3


def test_a_full_outbox_on_a_link_still_hears_its_acknowledgements() -> None:
    """What was sent before the outbox was emptied may be acknowledged on this link, but not be sent on another."""
    outbox = opened(events_max=2)
    outbox.link()
    serials = [outbox.put_login(ORIGIN, number, login(number)) for number in range(3)]
    outbox.take()
    assert outbox.lost
    outbox.acknowledge(1, 1)
    assert outbox.reached(serials[0]) == "site"
    late = [outbox.put_login(ORIGIN, number, login(number)) for number in range(3, 6)]
    outbox.take()
    outbox.unlink()
    outbox.link()
    assert outbox.take() == []
    assert outbox.reached(late[0]) is None


def test_nothing_leaves_before_the_times_are_fixed() -> None:
    """Until release, not even a link makes it send; release moves every time."""
    outbox = Outbox(codec.encode_payloads)
    outbox.put_login(ORIGIN, 1, login(1, at=5_000))
    outbox.put(Changes(barriers=(Barrier("bob", 7_000),), marks=(Mark("10.9.9.9", 8_000),)))
    outbox.put_touch(ORIGIN, 1, 6_000)
    outbox.link()
    assert outbox.take() == []
    outbox.release(lambda changes: shifted(changes, 100, {ORIGIN}))
    (report,) = outbox.take()
    changes = codec.decode_changes(report.payload)
    assert (changes.logins[0].login_at, changes.logins[0].expires_at) == ([5_100], [6_100])
    assert changes.touches[0].active_at == [6_100]
    assert (changes.barriers[0].at, changes.marks[0].at) == (7_100, 8_100)


def test_the_latest_touch_of_a_tick_counts() -> None:
    """Several touches of one session in one tick are one change."""
    outbox = opened()
    outbox.link()
    outbox.put_touch(ORIGIN, 1, 10)
    outbox.put_touch(ORIGIN, 1, 30)
    outbox.put_touch(ORIGIN, 2, 20)
    (report,) = outbox.take()
    (run,) = codec.decode_changes(report.payload).touches
    assert dict(zip(run.sequences, run.active_at, strict=True)) == {1: 30, 2: 20}


def test_a_batch_is_never_too_large_for_a_frame() -> None:
    """Long attributes split a tick into several Reports, each within an ordinary frame, all under one serial."""
    outbox = opened()
    outbox.link()
    for number in range(100):
        attributes = (("note", f"{number:03}" * 1_000),)
        serial = outbox.put_login(ORIGIN, number, login(number, attributes=attributes))
    reports = outbox.take()
    assert len(reports) > 1
    assert all(len(report.payload) <= limits.FRAME_BYTES_MAX for report in reports)
    outbox.acknowledge(len(reports) - 1, len(reports) - 1)
    assert outbox.reached(serial) == "local"
    outbox.acknowledge(len(reports), len(reports))
    assert outbox.reached(serial) == "site"
