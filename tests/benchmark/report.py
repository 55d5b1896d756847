"""The one table, as text for the terminal, as Markdown and as JSON.

Rules of this file:

- A budget that is not met is shown as missed, in words; a row that could not be measured as not measured, with why.
"""

import json
from collections.abc import Mapping, Sequence

import attrs

from tests.benchmark.figures import Figure

_COLUMNS = ("what", "ours", "peer", "ratio", "budget", "met")

_PAGE = """\
# Benchmark

Written by `make bench`; do not edit. Each budget (DESIGN section 10) is measured beside its peer in the same run: a
real Redis with one replica and three Sentinels, used through redis-py with hiredis, doing the same job on the same
machine. A ratio is ours divided by the peer's. How each row is measured stands in `tests/benchmark/rows/`.
Rows may come from several runs (`--update`), each figure and its peer's from the same.

{machine}

{table}

{notes}"""


def text(figures: Sequence[Figure]) -> str:
    """The table for a terminal."""
    rows = [_COLUMNS, *map(_cells, figures)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_COLUMNS))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:]])


def markdown(figures: Sequence[Figure], machine: Mapping[str, str]) -> str:
    """The page docs/benchmark.md."""
    head = [f"| {' | '.join(_COLUMNS)} |", "| --- | ---: | ---: | ---: | --- | --- |"]
    body = [f"| {' | '.join(_cells(figure))} |" for figure in figures]
    notes = [f"- {figure.what}: {figure.note}" for figure in figures if figure.note]
    notes += sorted({f"- Peer of {figure.what}: {figure.peer_name}" for figure in figures if figure.peer_name})
    machine_lines = "\n".join(f"- {name}: {value}" for name, value in machine.items())
    return _PAGE.format(machine=machine_lines, table="\n".join(head + body), notes="\n".join(notes) + "\n")


def as_json(figures: Sequence[Figure], machine: Mapping[str, str]) -> str:
    """The same for programs."""
    rows = [{**attrs.asdict(figure), "ratio": figure.ratio} for figure in figures]
    return json.dumps({"machine": dict(machine), "figures": rows}, indent=2) + "\n"


def from_json(page: str) -> list[Figure]:
    """The figures of a page, back from as_json."""
    rows = json.loads(page)["figures"]
    return [Figure(**{name: value for name, value in row.items() if name != "ratio"}) for row in rows]


def updated(before: Sequence[Figure], later: Sequence[Figure]) -> list[Figure]:
    """The figures of a page with those measured later in their places, new ones behind."""
    found = {(figure.what, figure.unit): figure for figure in before}
    found.update({(figure.what, figure.unit): figure for figure in later})
    return list(found.values())


def _cells(figure: Figure) -> tuple[str, ...]:
    met = "met" if figure.met else "not measured" if figure.ours is None else "MISSED"
    ratio = "-" if figure.ratio is None else f"{figure.ratio:.3g} x"
    return figure.what, _amount(figure.ours, figure.unit), _amount(figure.peer, figure.unit), ratio, figure.budget, met


def _amount(value: float | None, unit: str) -> str:
    if value is None:
        return "-"
    shown = f"{value:,.0f}" if abs(value) >= 1_000 else f"{value:.3g}"
    return f"{shown} {unit}"
