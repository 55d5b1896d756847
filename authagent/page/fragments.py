"""The parts of the page that change: the sentence, the picture, the numbers. Pure.

Rules of this file:

- Each part is made once for everybody who watches, and reads the same with and without JavaScript.
- A part that has not changed is the same text: whoever watches is sent nothing then.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from authagent.admin.view import View, in_words
from authagent.page.history import Curve
from authagent.page.picture import pictures
from protocol.io.http import words
from protocol.io.http.markup import Markup, element

CURVE_WIDTH, CURVE_HEIGHT = 120.0, 34.0
CURVE_POINTS_MIN = 12
"""A minute: the first points after a start are no curve yet."""

PROBLEMS_MAX = 20
"""Listed below the sentence; the others are counted."""


def parts(status: Mapping[str, Any], view: View, curves: Sequence[Curve]) -> dict[str, str]:
    """The HTML of each part, by the id of the element that holds it."""
    return {
        "headline": headline(status).text,
        "picture": picture(view).text,
        "numbers": numbers(curves).text,
        "about": about(status).text,
    }


def headline(status: Mapping[str, Any]) -> Markup:
    """The sentence with which `authagent status` opens too, and what is wrong one by one where that is more."""
    state = "well" if status["healthy"] else "ill"
    light = element("span.light", {"aria-hidden": "true"})
    sentence = element("h1", {"id": "sentence"}, light, element("span", None, status["sentence"]))
    return element(f"div.headline-{state}", {"data-id": "headline"}, sentence, _problems(status["problems"]))


def _problems(problems: Sequence[Mapping[str, Any]]) -> Markup | None:
    """Since when; of several the words too, which the sentence has no room for, in a drawer so that nothing moves."""
    if len(problems) < 2:
        return element("p.since", None, _since(problems[0])) if problems else None
    items = [
        element("li", {"data-id": each["code"] + each["text"]}, each["text"], " ", _since(each))
        for each in problems[:PROBLEMS_MAX]
    ]
    if len(problems) > PROBLEMS_MAX:
        items.append(element("li", None, f"and {len(problems) - PROBLEMS_MAX} more"))
    summary = element("summary", None, f"{len(problems)} problems, one by one")
    return element("details.problems", {"data-id": "problems"}, summary, element("ul", None, items))


def _since(problem: Mapping[str, Any]) -> Markup:
    return element("time", None, f"since {_time_of_day(problem['since'])}")


def _time_of_day(moment: str) -> str:
    """Of a time of RFC 3339 in UTC, to the second."""
    return f"{moment[11:19]} UTC" if len(moment) > 19 and moment[10] == "T" else moment


def picture(view: View) -> Markup:
    """Both forms of the drawing, and the same in sentences for those who hear the page."""
    sentences = [element("li", None, each) for each in in_words(view)]
    heard = element("div.heard", None, element("h2", None, f"Site {view.site}"), element("ul", None, sentences))
    return element("div", {"data-id": "picture"}, pictures(view), heard)


def numbers(curves: Sequence[Curve]) -> Markup:
    """A tile for each number."""
    tiles = [
        element(
            "div.number",
            {"data-id": curve.name},
            element("dt", None, curve.name),
            element("dd", None, element("span.now", None, words.amount(curve.now)), " ",
                    element("span.unit", None, curve.unit)),
            _drawn(curve.points),
        )
        for curve in curves
    ]  # fmt: skip
    return element("dl.tiles", {"data-id": "numbers"}, tiles)


def _drawn(points: Sequence[float]) -> Markup:
    """A curve that ends now, of five minutes at most; its top is the greatest value, at least 1."""
    most = max([*points, 1.0])
    step = CURVE_WIDTH / max(CURVE_POINTS_MIN, len(points) - 1)
    first = CURVE_WIDTH - step * max(0, len(points) - 1)
    places = [
        f"{first + step * index:.1f},{CURVE_HEIGHT - 2 - value / most * (CURVE_HEIGHT - 6):.1f}"
        for index, value in enumerate(points)
    ]
    line = " ".join(places)
    area = f"{first:.1f},{CURVE_HEIGHT:g} {line} {CURVE_WIDTH:g},{CURVE_HEIGHT:g}" if places else ""
    given = {"viewBox": f"0 0 {CURVE_WIDTH:g} {CURVE_HEIGHT:g}", "preserveAspectRatio": "none", "aria-hidden": "true"}
    return element(
        "svg.curve", given, element("polygon", {"points": area}), element("polyline", {"points": line})
    )


def about(status: Mapping[str, Any]) -> Markup:
    """Who shows this page."""
    store = "stored on disk" if status["store"]["ok"] else "nothing is stored on disk"
    minutes = status["uptime_s"] // 60
    told = [
        f"agent {status['id']} of {status['site']}",
        f"version {status['version']}",
        f"up for {words.duration(minutes * 60)}" if minutes else "has just started",
        words.counted(status["tombstones"], "tombstone"),
        store,
    ]
    return element("p", {"data-id": "about"}, " · ".join(told))
