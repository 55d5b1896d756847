"""What campaigns found, as JSON and as the section "Real faults, side by side" of docs/reliability.md.

Rules of this file:

- The section is written from the JSON alone, between its two marks; the rest of the page is not touched.
- A result replaces the earlier one of the same contender and seed. Nothing that broke is left out.
- A percentile is a value that was measured.
"""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.benchmark import machine
from tests.benchmark.figures import percentile
from tests.campaign.round import AT_ONCE, Findings
from tests.campaign.run import Contender
from tests.system.processes import ROOT

PAGE = ROOT / "docs" / "reliability.md"
BEGIN = "<!-- real faults: written by tests/campaign/report.py from docs/reliability/real-faults.json -->"
OURS = "authagent"
END = "<!-- the end of the real faults -->"

_SECTION = """\
{begin}

## Real faults, side by side

Written by `make campaign JSON=docs/reliability/real-faults.json`; do not edit. Real processes, each node in a network
namespace of its own, on one machine. Every contender was given the same script: three proxies log in and out, as many
logins a second together as the table says, as far as the machine and the contender let them; servers and proxies are
killed with -9 (disks stay) and stopped, links fall silent, are reset, lose, delay and throttle packets, servers are cut
off from everybody, disks fill up, clocks jump; first one at a time, then {at_once} at once; then all is mended, and
what every proxy shows is compared with what was acknowledged. One round lasts two minutes and starts empty.

{remark}

The pair in this table: {pair_faults} real faults, {pair_logins} logins acknowledged, {pair_lost:,} lost,
{pair_back:,} back.

{table}

- **Lost**: acknowledged, not logged out, and not shown once all was mended. **Back**: logged out, acknowledged, and
  shown then. **Back meanwhile**: shown again, while faults went on, by a process that had shown it gone. **Forgotten
  meanwhile**: not shown any more by a process that had shown it, though nobody had logged it out.
- **Served**: from a fault of the server that takes logins, one at a time, until a proxy has a login, begun after it,
  acknowledged. **Equal**: from mending everything until all tables are equal.
- A login that was not acknowledged within 8 s binds nobody; it is counted, and may be there or not.

The contenders:

{contenders}

What is fair to know: the pair was built with this script, the others were not. Redis and HAProxy were spared clocks
that jump, and HAProxy, which has no disk, full disks. What a failed attempt of their clients left in the network was
thrown away. With HAProxy "acknowledged" means that one server has it: there is nothing stronger to ask for; a stick
table is in memory only, so servers that are killed soon after each other, or start while they are cut off, lose it.

Faults by kind:

{faults}

{machine}

Again, as root: `make campaign MINUTES=15 AGAINST=all RATE=2000`. One seed breaks the same things in the same order;
the processes are real, so the outcome is not the same.

{end}
"""

_COLUMNS: tuple[tuple[str, str], ...] = (
    ("logins asked for a second", "rate"),
    ("faults", "faults"),
    ("logins acknowledged", "logins"),
    ("logouts acknowledged", "logouts"),
    ("not acknowledged in time", "unacknowledged"),
    ("**lost**", "lost"),
    ("**back**", "back"),
    ("back meanwhile", "resurrected"),
    ("forgotten meanwhile", "forgotten"),
    ("served, p50", "served_p50_s"),
    ("served, p99", "served_p99_s"),
    ("equal, median of rounds", "mended_p50_s"),
    ("rounds not equal within 60 s", "not_mended"),
    ("load average of the machine", "load_average"),
)


def result(
    contender: Contender, found: Findings, rounds: int, rate: float, seed: int, limits: Sequence[str]
) -> dict[str, Any]:
    """What is kept of a campaign. A proxy that was not served in time counts with the time it was waited for."""
    served = [*found.served_s, *found.unserved_s]
    return {
        "contender": contender.name,
        "about": contender.about,
        "seed": seed,
        "rate": rate,
        "rounds": rounds,
        "minutes": round(found.seconds / 60, 1),
        "faults": sum(found.faults.values()),
        "faults_by_kind": dict(sorted(found.faults.items())),
        "logins": found.logins,
        "logouts": found.logouts,
        "unacknowledged": found.unacknowledged,
        "lost": found.lost,
        "back": found.back,
        "resurrected": found.resurrected,
        "forgotten": found.forgotten,
        "looked_up": found.looked_up,
        "examples": list(found.examples[:20]),
        "served_count": len(served),
        "unserved": len(found.unserved_s),
        "served_p50_s": _percentile(served, 0.5),
        "served_p99_s": _percentile(served, 0.99),
        "acknowledged_p50_s": _percentile(found.acknowledged_s, 0.5),
        "acknowledged_p99_s": _percentile(found.acknowledged_s, 0.99),
        "mended_p50_s": _percentile(found.mended_s, 0.5),
        "not_mended": found.not_mended,
        "left_out": list(limits),
        "load_average": round(os.getloadavg()[1], 1),
    }


def _percentile(values: Sequence[float], share: float) -> float | None:
    return round(percentile(values, share), 3) if values else None


def keep(path: Path, new: Mapping[str, Any]) -> None:
    """Put a result into the file, in the place of the earlier one of this contender and seed.

    `remark` of the file is written by hand: what was special about the machine at the time.
    """
    kept = json.loads(path.read_text()) if path.exists() else {"remark": "", "results": []}
    results = {(each["contender"], each["seed"]): each for each in [*kept["results"], dict(new)]}
    path.parent.mkdir(parents=True, exist_ok=True)
    everything = {"remark": kept["remark"], "machine": machine.describe(), "results": list(results.values())}
    path.write_text(json.dumps(everything, indent=2) + "\n")


def write_page(path: Path, page: Path = PAGE) -> None:
    """Put the section of the figures in `path` into the page, in the place of the earlier one."""
    section = markdown(json.loads(path.read_text()))
    text = page.read_text(encoding="utf-8") if page.exists() else "# Reliability\n\n"
    if BEGIN in text:
        before, _, rest = text.partition(BEGIN)
        after = rest.partition(END)[2].lstrip("\n")
    else:
        before, after = text.rstrip("\n") + "\n\n", ""
    page.write_text(before + section + ("\n" + after if after else ""), encoding="utf-8")


def markdown(kept: Mapping[str, Any]) -> str:
    """The section."""
    results = kept["results"]
    pair = [each for each in results if each["contender"] == OURS]
    return _SECTION.format(
        remark=kept["remark"],
        pair_faults=f"{sum(each['faults'] for each in pair):,}",
        pair_logins=f"{sum(each['logins'] for each in pair):,}",
        pair_lost=sum(each["lost"] for each in pair),
        pair_back=sum(each["back"] + each["resurrected"] for each in pair),
        begin=BEGIN,
        end=END,
        at_once=AT_ONCE,
        table=_table(["", *(_titled(each) for each in results)], _rows(results)),
        contenders="\n".join(dict.fromkeys(f"- **{each['contender']}**: {each['about']}." for each in results)),
        faults=_table(["", *(_titled(each) for each in results)], _fault_rows(results)),
        machine="\n".join(f"- {name}: {value}" for name, value in kept["machine"].items()),
    )


def _titled(one: Mapping[str, Any]) -> str:
    return f"{one['contender']}, seed {one['seed']}, {one['minutes']:.0f} min"


def _rows(results: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    return [[title, *(_amount(each[field], field) for each in results)] for title, field in _COLUMNS]


def _fault_rows(results: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    kinds = sorted({kind for each in results for kind in each["faults_by_kind"]})
    return [[kind, *(f"{each['faults_by_kind'].get(kind, 0):,}" for each in results)] for kind in kinds]


def _amount(value: float | None, field: str) -> str:
    if value is None:
        return "-"
    return f"{value:.2f} s" if field.endswith("_s") else f"{value:,.10g}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
