"""The ledger: summaries add up in the page, each once, and the page keeps everything else."""

import json
from pathlib import Path

from tests.simulation import ledger
from tests.simulation.campaign import Summary
from tests.simulation.run import play


def test_summaries_are_added_once_each(tmp_path: Path) -> None:
    """Two campaigns make two lines and a sum; a summary given again takes the place of its line."""
    page = tmp_path / "page.md"
    found = ledger.PAGE.read_text(encoding="utf-8")
    page.write_text(found, encoding="utf-8")
    before = ledger.rows_of(page)
    for name, seeds in (("first", range(2)), ("second", range(2, 5))):
        summary = Summary(seeds=[(seeds.start, seeds.stop - 1)])
        for seed in seeds:
            summary.add(play(seed, 5.0))
        (tmp_path / f"{name}.json").write_text(json.dumps(summary.as_json()), encoding="utf-8")
    ledger.update(page, [tmp_path / "first.json", tmp_path / "second.json"])
    ledger.update(page, [tmp_path / "second.json"])

    rows = ledger.rows_of(page)
    assert [row[:3] for row in rows[len(before) :]] == [["first", "0-1", "2"], ["second", "2-4", "3"]]
    text = page.read_text(encoding="utf-8")
    runs = sum(int(row[2].replace(",", "")) for row in rows)
    assert f"| all |  | {runs:,} |" in text
    assert text.partition(ledger.BEGINS)[0] == found.partition(ledger.BEGINS)[0]
    assert text.partition(ledger.ENDS)[1:] == found.partition(ledger.ENDS)[1:]
