"""The parts that change: the sentence, the numbers, who shows the page."""

from typing import Any

from authagent.admin.view import view_of
from authagent.page import fragments
from authagent.page.history import Curve
from tests.authagent.admin.test_view import status
from tests.protocol.io.http.test_markup import read


def told(**more: Any) -> dict[str, Any]:
    """A status with what the parts are made of."""
    own = {"sentence": "Everything equal.", "healthy": True, "problems": [], "version": "1.0", "uptime_s": 10.0}
    return {**status(), **own, "tombstones": 3, "store": {"ok": True, "error": ""}, **more}


def problem(number: int) -> dict[str, str]:
    return {"code": "proxy_missing", "text": f"proxy <{number}> is away", "since": "2026-01-31T12:00:00.123Z"}


def test_every_part_is_there() -> None:
    """By the id of the element that holds it."""
    parts = fragments.parts(told(), view_of(told()), [])
    assert list(parts) == ["headline", "picture", "numbers", "about"]
    assert all(parts.values())


def test_the_sentence_is_the_one_of_status() -> None:
    """Well or ill, in a class and a mark as well."""
    assert "Everything equal." in read(fragments.headline(told()).text).text
    assert "headline-well" in fragments.headline(told()).text
    ill = fragments.headline(told(healthy=False, sentence="a; b", problems=[problem(1), problem(2)])).text
    assert "headline-ill" in ill
    assert read(ill).text.count("proxy <1> is away") == 1
    assert "2 problems" in ill and "since 12:00:00 UTC" in ill


def test_one_problem_is_told_once() -> None:
    """The sentence has its words; below it stands since when."""
    ill = read(fragments.headline(told(healthy=False, sentence="proxy <1> is away", problems=[problem(1)])).text).text
    assert ill == "proxy <1> is awaysince 12:00:00 UTC"


def test_many_problems_are_counted() -> None:
    """A farm that is cut off makes no page of a thousand lines."""
    problems = [problem(number) for number in range(1_000)]
    made = fragments.headline(told(healthy=False, sentence="x", problems=problems)).text
    assert made.count("<li") == fragments.PROBLEMS_MAX + 1
    assert "and 980 more" in made


def test_numbers_have_their_curve() -> None:
    """Inside its box, whatever the values are."""
    curve = Curve("Logins", 12.5, "a second", (0.0, 1e9, 12.5))
    made = fragments.numbers([curve]).text
    assert "Logins" in made and "a second" in made
    points = made.partition('polyline points="')[2].partition('"')[0].split()
    assert len(points) == 3
    for point in points:
        x, y = map(float, point.split(","))
        assert 0 <= x <= fragments.CURVE_WIDTH and 0 <= y <= fragments.CURVE_HEIGHT


def test_about_says_who_shows_the_page() -> None:
    """And that nothing is stored, when that is so."""
    assert "agent 1 of lan1 · version 1.0 · has just started" in fragments.about(told()).text
    broken = fragments.about(told(uptime_s=7_300, store={"ok": False, "error": "full"})).text
    assert "up for 2 h 1 min" in broken and "nothing is stored" in broken
