"""What a campaign found stands on the page, whatever it was, and nothing else of the page is touched."""

from pathlib import Path

from tests.campaign.contenders import CONTENDERS, PAIR
from tests.campaign.report import BEGIN, END, keep, result, write_page
from tests.campaign.round import Findings

FOUND = Findings(
    seconds=120.0,
    faults={"server killed": 3, "link reset": 2},
    logins=1_000,
    logouts=400,
    unacknowledged=7,
    lost=1,
    acknowledged_s=(0.01, 0.02, 0.5),
    served_s=(0.2, 0.3),
    unserved_s=(9.0,),
    mended_s=(1.5,),
)


def test_findings_add_up() -> None:
    """Two rounds together have the sum of their counts and all of their times."""
    both = FOUND.plus(Findings(faults={"link reset": 1, "disk full": 1}, logins=5, served_s=(0.1,)))
    assert both.faults == {"server killed": 3, "link reset": 3, "disk full": 1}
    assert (both.logins, both.served_s, both.broken) == (1_005, (0.2, 0.3, 0.1), 1)


def test_who_was_not_served_counts_as_waiting() -> None:
    """A proxy that was never served is not left out of the percentiles."""
    kept = result(PAIR, FOUND, 1, 2_000.0, 42, [])
    assert (kept["served_p50_s"], kept["served_p99_s"], kept["unserved"]) == (0.3, 9.0, 1)


def test_the_section_replaces_the_earlier_one_and_nothing_else(tmp_path: Path) -> None:
    """Contenders stand side by side, the newest result of each seed; the page around the section stays."""
    figures, page = tmp_path / "figures.json", tmp_path / "page.md"
    page.write_text("# Reliability\n\nBefore.\n")
    keep(figures, result(PAIR, FOUND, 1, 2_000.0, 42, []))
    write_page(figures, page)
    page.write_text(page.read_text() + "\nAfter.\n")
    keep(figures, result(CONTENDERS["redis-3"], FOUND.plus(FOUND), 2, 2_000.0, 42, []))
    keep(figures, result(PAIR, FOUND.plus(FOUND).plus(FOUND), 3, 2_000.0, 42, []))
    write_page(figures, page)
    keep(figures, result(PAIR, FOUND, 1, 2_000.0, 43, []))
    write_page(figures, page)
    text = page.read_text()
    assert text.startswith("# Reliability\n\nBefore.\n")
    assert text.endswith("\nAfter.\n")
    assert (text.count(BEGIN), text.count(END)) == (1, 1)
    assert "| **lost** | 3 | 2 | 1 |" in text
    assert "| logins acknowledged | 3,000 | 2,000 | 1,000 |" in text
    assert "| server killed | 9 | 6 | 3 |" in text
    assert "20 real faults, 4,000 logins acknowledged, 4 lost" in text
