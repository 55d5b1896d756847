"""Logouts that a proxy missed: kept only while somebody is away, and only those that matter."""

from authagent import missed
from authagent.missed import Missed
from protocol.session import State
from tests.authagent.core.machine import NOW_MS, ends


def test_what_is_ended_while_a_proxy_is_away_is_kept() -> None:
    """Logouts and an operator's, not sessions that another login displaced; from its leaving on."""
    away = Missed()
    assert not away.watching
    away.left("p1", 10.0)
    assert away.watching
    away.note(ends("10.0.0.1", user="early"), 9.0)
    away.note(ends("10.0.0.1", user="alice"), 11.0)
    away.note(ends("10.0.0.2", user="bob", state=State.ADMINISTRATOR), 12.0)
    away.note(ends("10.0.0.3", user="carol", state=State.SUPERSEDED), 13.0)
    away.left("p1", 99.0)

    assert away.by("p1", NOW_MS) == {"alice": 3_600.0, "bob": 3_600.0}
    assert away.by("p1", NOW_MS + 3_599_000) == {"alice": 1.0, "bob": 1.0}
    assert away.by("p1", NOW_MS + 3_600_000) == {}


def test_each_proxy_missed_what_came_after_it_left() -> None:
    """One that is linked missed nothing."""
    away = Missed()
    away.left("p1", 10.0)
    away.note(ends("10.0.0.1", user="alice"), 11.0)
    away.left("p2", 12.0)
    away.note(ends("10.0.0.1", user="bob"), 13.0)

    assert away.by("p1", NOW_MS).keys() == {"alice", "bob"}
    assert away.by("p2", NOW_MS).keys() == {"bob"}
    assert away.by("p3", NOW_MS) == {}


def test_whoever_is_back_is_forgotten() -> None:
    """And with the last of them everything."""
    away = Missed()
    away.only({"p1", "p2"}, 10.0)
    away.note(ends("10.0.0.1", user="alice"), 11.0)
    away.only({"p2"}, 12.0)
    assert (away.by("p1", NOW_MS), away.by("p2", NOW_MS).keys()) == ({}, {"alice"})
    away.only(set(), 13.0)
    away.only({"p2"}, 14.0)
    assert away.by("p2", NOW_MS) == {}


def test_only_the_last_are_kept() -> None:
    """However many log out."""
    away = Missed()
    away.left("p1", 0.0)
    for number in range(missed.LOGOUTS_MAX + 10):
        away.note(ends("10.0.0.1", user=f"u{number}"), 1.0)

    assert len(away.by("p1", NOW_MS)) == missed.LOGOUTS_MAX
    assert "u9" not in away.by("p1", NOW_MS)
