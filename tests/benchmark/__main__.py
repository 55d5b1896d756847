"""`python -m tests.benchmark [--quick] [--keep] [--update] [ROW]...`: measure, print the table, write the page."""

import argparse
import importlib
import shutil
import sys
import tempfile
import time
from pathlib import Path

from tests.benchmark import machine, report
from tests.benchmark.children import ROOT, RowFailed
from tests.benchmark.figures import Figure, failed
from tests.benchmark.job import Bench
from tests.benchmark.rows import ROWS

PAGE, NUMBERS = ROOT / "docs" / "benchmark.md", ROOT / "docs" / "benchmark.json"


def measure(row: str, bench: Bench) -> list[Figure]:
    """All figures of one row; a row that fails is one figure that says why."""
    module = importlib.import_module(f"tests.benchmark.rows.{row}")
    began = time.monotonic()
    try:
        figures: list[Figure] = module.measure(bench)
    except (RowFailed, OSError) as error:
        figures = [failed(row, "", str(error))]
    print(f"{row}: {time.monotonic() - began:.0f} s", file=sys.stderr)
    for figure in figures:
        if figure.ours is None:
            print(f"{row}: {figure.note}", file=sys.stderr)
    return figures


def _write(figures: list[Figure], named: dict[str, str]) -> None:
    PAGE.write_text(report.markdown(figures, named), encoding="utf-8")
    NUMBERS.write_text(report.as_json(figures, named), encoding="utf-8")


def main() -> int:
    """0 when every row could be measured, budgets met or not; 1 otherwise."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmark", description=__doc__)
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"only these of: {', '.join(ROWS)}")
    parser.add_argument("--quick", action="store_true", help="small numbers, to see that every row runs")
    parser.add_argument("--update", action="store_true", help="put the rows named into the page, and leave the others")
    parser.add_argument("--keep", action="store_true", help="leave logs and state behind")
    options = parser.parse_args()
    unknown = set(options.rows) - set(ROWS)
    if unknown:
        parser.error(f"no such row: {', '.join(sorted(unknown))}")
    if options.update and options.quick:
        parser.error("small numbers have no place on the page: --update without --quick")
    folder = Path(tempfile.mkdtemp(prefix="bench-"))
    bench = Bench(folder, options.quick)
    try:
        figures = [figure for row in options.rows or ROWS for figure in measure(row, bench)]
    finally:
        if options.keep:
            print(f"logs and state are in {folder}", file=sys.stderr)
        else:
            shutil.rmtree(folder, ignore_errors=True)
    named = machine.describe()
    print("\n".join(f"{name}: {value}" for name, value in named.items()), report.text(figures), sep="\n\n")
    if options.update:
        _write(report.updated(report.from_json(NUMBERS.read_text(encoding="utf-8")), figures), named)
    elif not options.rows and not options.quick:
        _write(figures, named)
    return 0 if all(figure.ours is not None for figure in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
