"""The table says what was measured: met, missed, or not measured and why."""

import json

from tests.benchmark import report
from tests.benchmark.figures import Figure, failed, median, percentile

FIGURES = [
    Figure("look-up", "us", 0.25, "<= 0.5 us", True, 50.0, "Redis GET"),
    Figure("logins", "1/s", 90_000.0, ">= 150,000/s", False, note="two rounds"),
    failed("snapshot", "<= 3 s", "p1 ended: no room"),
]
MACHINE = {"processor": "a good one, 2 cores", "python": "CPython 3.11"}


def test_missed_and_unmeasured_budgets_are_shown_as_such() -> None:
    """Nothing is left out and nothing is made better than it is."""
    lines = report.text(FIGURES).splitlines()
    assert lines[2].endswith("met")
    assert lines[3].endswith("MISSED")
    assert lines[4].endswith("not measured")
    assert "0.005 x" in lines[2]
    assert "90,000 1/s" in lines[3]


def test_the_page_names_the_machine_and_the_notes() -> None:
    """The Markdown page holds every figure, the machine, and why a row is missing."""
    page = report.markdown(FIGURES, MACHINE)
    for text in ("a good one, 2 cores", "| look-up |", "two rounds", "p1 ended: no room", "Redis GET"):
        assert text in page


def test_the_json_holds_the_figures_as_numbers() -> None:
    """For programs: the same figures, unrounded, with the ratio."""
    read = json.loads(report.as_json(FIGURES, MACHINE))
    assert read["machine"] == MACHINE
    assert read["figures"][0]["ratio"] == 0.25 / 50.0
    assert [figure["met"] for figure in read["figures"]] == [True, False, False]


def test_rows_measured_later_take_their_places() -> None:
    """A figure is known by what it tells and its unit; the others stay, a new one comes behind."""
    bytes_too = Figure("look-up", "bytes", 12.0, "-", True)
    before = report.from_json(report.as_json([*FIGURES, bytes_too], MACHINE))
    again = Figure("look-up", "us", 0.75, "<= 0.5 us", False, 50.0, "Redis GET")
    new = Figure("cookie", "1/s", 9.0, "-", True)

    assert before == [*FIGURES, bytes_too]
    assert report.updated(before, [again, new]) == [again, *FIGURES[1:], bytes_too, new]


def test_percentiles_are_values_that_were_measured() -> None:
    """Nearest rank: p99 of a hundred values is the second greatest, p50 of two the lesser."""
    values = [float(value) for value in range(100, 0, -1)]
    assert percentile(values, 0.99) == 99.0
    assert percentile(values, 1.0) == 100.0
    assert median([3.0, 1.0]) == 1.0
