"""Which activity crosses between sites, and when."""

import itertools

import pytest

from authagent.core.activity import SHARE, Activity
from protocol.changes import Changes, TouchRun
from protocol.session import LoginId
from tests.authagent.core.machine import NOW_MS, ORIGIN, ends, logins, make_table

INTERVAL_S = 1_800 / SHARE
LOGIN_ID = LoginId(*ORIGIN, 0)


@pytest.fixture
def activity() -> Activity:
    table = make_table()
    table.merge(logins("10.0.0.1"), NOW_MS)
    return Activity(table)


def seen(activity: Activity, at_s: float) -> list[LoginId]:
    """Activity at a moment; what of it crosses then, what was held back included."""
    run = TouchRun(ORIGIN, [0], [NOW_MS + int(at_s * 1000)])
    activity.table.merge(Changes(touches=(run,)), NOW_MS + int(at_s * 1000))
    return [*activity.due(at_s), *activity.seen(run, at_s)]


def test_at_once_then_once_an_interval_the_last_one_always(activity: Activity) -> None:
    """[P-79] Of activity every 10 s for an hour one in an interval crosses, and none is later than an interval."""
    crossed = [at_s for at_s in range(0, 3_600, 10) if seen(activity, float(at_s))]
    assert crossed[0] == 0
    steps = [after - before for before, after in itertools.pairwise(crossed)]
    assert min(steps) >= INTERVAL_S and max(steps) <= INTERVAL_S + 20
    assert list(activity.due(3_600 + INTERVAL_S + 2)) == [LOGIN_ID]
    assert list(activity.due(3_600 + 3 * INTERVAL_S)) == []


def test_after_a_quiet_interval_it_crosses_at_once(activity: Activity) -> None:
    """Somebody who was nearly idle is not held back until they are."""
    assert seen(activity, 0.0) == [LOGIN_ID]
    assert list(activity.due(INTERVAL_S + 2)) == []
    assert seen(activity, 9 * INTERVAL_S) == [LOGIN_ID]


def test_ended_and_unknown_sessions_are_nobodys_news(activity: Activity) -> None:
    """An end crosses by itself; activity after it means nothing."""
    assert list(activity.seen(TouchRun(ORIGIN, [77], [NOW_MS]), 0.0)) == []
    assert seen(activity, 0.0) == [LOGIN_ID]
    seen(activity, 1.0)
    activity.table.merge(ends("10.0.0.1"), NOW_MS)
    assert list(activity.due(2 * INTERVAL_S)) == []


def test_what_is_forgotten_crosses_anew(activity: Activity) -> None:
    """When nobody follows nothing is kept: whoever follows next has compared tables."""
    assert seen(activity, 0.0) == [LOGIN_ID]
    seen(activity, 1.0)
    activity.forget()
    assert list(activity.due(2 * INTERVAL_S)) == []
    assert seen(activity, 2 * INTERVAL_S) == [LOGIN_ID]
