"""What waits to cross, and in which order. That it makes tables equal is a law: tests/laws/test_crossing.py."""

import attrs

from authagent.core.gathering import Gathering
from protocol.changes import Barrier, Changes, Mark, TouchRun
from protocol.crossing import Batch
from protocol.session import LoginId, State
from tests.authagent.core.machine import NOW_MS, ORIGIN, ends, logins, make_table


def gathered(*batches: Changes) -> Gathering:
    """What arose, merged and waiting; the first batch is only merged."""
    table = make_table()
    for place, changes in enumerate(batches):
        table.merge(changes, NOW_MS)
        if place == 0:
            gathering = Gathering(table)
        else:
            gathering.add(changes)
    return gathering


def whole(gathering: Gathering, *, vouched: bool = True) -> list[Batch]:
    return list(gathering.batches(lambda record: vouched))


def test_much_that_happens_to_one_login_is_one_change() -> None:
    """A login, activity and its end cross as a login that has ended."""
    gathering = gathered(Changes(), logins("10.0.0.1"), ends("10.0.0.1"))
    gathering.touch(LoginId(*ORIGIN, 0))
    (batch,) = whole(gathering)
    (run,) = batch.changes.logins
    assert (run.states, len(batch), len(gathering)) == (bytes([State.LOGGED_OUT]), 1, 3)


def test_an_end_that_is_vouched_for_is_an_out_and_its_mark_goes_with_it() -> None:
    """Else it crosses whole; a mark of a key under which nothing ended here crosses as it is."""
    said = attrs.evolve(ends("10.0.0.1"), marks=(Mark("10.0.0.1", NOW_MS), Mark("10.9.9.9", NOW_MS + 1)))
    gathering = gathered(logins("10.0.0.1", "10.0.0.2"), said, ends("10.0.0.2", first=1))
    (batch,) = whole(gathering)
    assert [(out.sequences, out.states) for out in batch.marked] == [([0], bytes([State.LOGGED_OUT]))]
    assert [out.sequences for out in batch.outs] == [[1]]
    assert (batch.marked_at, batch.changes.marks, batch.changes.ends) == (NOW_MS, (Mark("10.9.9.9", NOW_MS + 1),), ())
    (batch,) = whole(gathering, vouched=False)
    assert not batch.outs and not batch.marked
    assert {mark.key for mark in batch.changes.marks} == {"10.0.0.1", "10.9.9.9"}
    assert sum(len(run.sequences) for run in batch.changes.ends) == 2


def test_what_is_too_much_for_one_batch_goes_in_order() -> None:
    """Logouts, barriers and marks; new logins; whom they superseded; activity."""
    keys = [f"10.0.{n // 256}.{n % 256}" for n in range(700)]
    before = logins(*keys)
    out = attrs.evolve(ends(*keys[:10]), barriers=(Barrier("bob", NOW_MS),), marks=(Mark(keys[0], NOW_MS),))
    superseded = ends(*keys[10:20], first=10, state=State.SUPERSEDED)
    new = logins(*keys, first=1000)
    gathering = gathered(before, out, superseded, new)
    touch = TouchRun(ORIGIN, [500], [NOW_MS + 1])
    gathering.table.merge(Changes(touches=(touch,)), NOW_MS)
    gathering.touch(LoginId(*ORIGIN, 500))
    order = []
    for batch in whole(gathering):
        order += ["marked"] * bool(batch.marked) + ["outs"] * bool(batch.outs)
        order += [name for name in ("barriers", "logins", "touches") if getattr(batch.changes, name)]
    assert order == ["barriers", "outs", "marked", "logins", "logins", "outs", "touches"]
    assert all(len(batch) <= 500 for batch in whole(gathering))


def test_sites_and_conflicts_keep_their_whole_content() -> None:
    """Logins of two sites are two runs; one in conflict crosses with its content, vouched for or not."""
    gathering = gathered(Changes(), logins("10.0.0.1"), logins("10.0.0.2", first=1, site="lan2"))
    (batch,) = whole(gathering)
    assert sorted(run.site for run in batch.changes.logins) == ["lan1", "lan2"]
    gathering = gathered(logins("10.0.0.1"), ends("10.0.0.1", user="mallory"))
    (batch,) = whole(gathering)
    assert [run.states for run in batch.changes.logins] == [bytes([State.CONFLICT])] and not batch.outs


def test_what_the_table_refused_crosses_not() -> None:
    """Nothing that does not hold here is told elsewhere."""
    late = logins("10.0.0.1", at_ms=NOW_MS - 10 * 24 * 3_600_000)
    assert whole(gathered(Changes(), late)) == []
