"""The ledger of docs/reliability.md: what all campaigns came to, added up, and one line for each.

Rules of this file: the numbers live in the page itself, in a table between two marks; a campaign's summary is added to
it once, by its own words. Nothing else of the page is touched.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parents[2] / "docs" / "reliability.md"
BEGINS = "<!-- the ledger is written by python -m tests.simulation ledger -->"
ENDS = "<!-- the end of the ledger -->"
COLUMNS = ("campaign", "seeds", "runs", "simulated days", "faults", "acts", "promises checked", "broken")


def update(page: Path, summaries: Iterable[Path]) -> None:
    """Add one line for each summary, named by its file, and the sum of all."""
    text = page.read_text(encoding="utf-8")
    head, rest = text.split(BEGINS)
    _, tail = rest.split(ENDS)
    rows = {row[0]: row for row in rows_of(page)}
    for summary in summaries:
        row = _row(summary.stem, json.loads(summary.read_text(encoding="utf-8")))
        rows[row[0]] = row
    page.write_text(f"{head}{BEGINS}\n\n{_table([*rows.values()])}\n{ENDS}{tail}", encoding="utf-8")


def rows_of(page: Path) -> list[list[str]]:
    """The campaigns that stand in a page."""
    table = page.read_text(encoding="utf-8").split(BEGINS)[1].split(ENDS)[0]
    return [row for row in _rows(table) if row[0] != "all"]


def _rows(table: str) -> list[list[str]]:
    lines = [line for line in table.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def _row(name: str, summary: dict[str, Any]) -> list[str]:
    seeds = ", ".join(f"{first}-{last}" for first, last in summary["seeds"])
    return [
        name,
        seeds,
        f"{summary['runs']:,}",
        f"{summary['simulated_days']:,.1f}",
        f"{summary['faults_total']:,}",
        f"{summary['acts_total']:,}",
        f"{summary['checks_total']:,}",
        f"{len(summary['broken']):,}",
    ]


def _table(rows: list[list[str]]) -> str:
    """The rows, and the sum of all below them."""
    total = ["all", ""]
    for column in range(2, len(COLUMNS)):
        numbers = [float(row[column].replace(",", "")) for row in rows]
        total.append(f"{sum(numbers):,.1f}" if column == 3 else f"{sum(numbers):,.0f}")
    lines = [COLUMNS, ["---"] * len(COLUMNS), *rows, total]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
