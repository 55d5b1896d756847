"""Writes the pages of docs/reference that are made from the code: `python docs/generate.py`.

Rules of this file:

- A page here is a function without arguments that returns the whole text; PAGES says where it belongs.
- What can be read from the code is read from there; only what the code cannot say is written here.
- tests/repository/test_generated_docs.py fails when a page on disk is not what its function returns.
"""

import ast
import functools
import importlib
import itertools
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs

DOCS = Path(__file__).resolve().parent

sys.path[:0] = [str(DOCS.parent), str(DOCS)]

import manual  # noqa: E402 - beside this file

from authagent.http import metrics as agent_metrics  # noqa: E402 - the folder of the packages is added above
from protocol import limits, settings  # noqa: E402
from protocol.configuration import Configuration  # noqa: E402
from protocol.io.http.metrics import process_families  # noqa: E402
from protocol.sections import LISTS, SECTIONS  # noqa: E402
from proxyagent.http import metrics as proxy_metrics  # noqa: E402

_HEAD = """\
# Configuration

<!-- made by docs/generate.py from protocol/sections.py: change it there -->

One TOML file, the same on every machine: agents and proxies read the same one. `authagent init` writes it,
`authagent check` checks it. All mistakes are reported at once, each with its key and what would be right, and the
command ends with exit code 2.

**Which file**: `--config FILE`, else `$AUTHAGENT_CONFIG` (for `proxyagent` first `$PROXYAGENT_CONFIG`), else
`./authagent.toml`, else `/etc/authagent/authagent.toml`. Without any file everything runs on loopback: agent 1 on port
9023, agent 2 on 9024, any proxy id, site `local`, and a secret made at first start in the state directory.

**What counts**: a flag before the environment, the environment before the file, the file before the default. Every
flag is also a variable: `--state-dir` is `AUTHAGENT_STATE_DIR`, `--id` of a proxy is `PROXYAGENT_ID`. The secret has
neither flag nor variable.

**Which entry a machine is**: the number (`authagent 1`) with `--site`; else `AUTHAGENT_ID` and `AUTHAGENT_SITE`; else
the one entry whose `host` is an address of this machine. A proxy: `--id` or `open_proxy_agent(id=...)`, else
`PROXYAGENT_ID`, else the one entry without a pattern whose `host` is this machine's. None or several end with exit
code 2 and the candidates. An agent whose `host` is no address of its machine does not start, unless `listen` says
where it listens; a proxy whose entry has another machine's `host` does not start.

**What must be equal everywhere**: `[session]` and `[[authagent]]`. Their hash is compared on every link; `authagent
check` and `status` name who differs.

**Durations** are written with their unit: `"500ms"`, `"90s"`, `"30m"`, `"12h"`, `"7d"`. **Paths** that are relative are
relative to the file. **Names** of sites and ids are 1 to {name_bytes} letters, digits and `. _ -`.
"""

_TAIL = """\
## Files and folders

| what | where |
| --- | --- |
| state | `--state-dir`, `$AUTHAGENT_STATE_DIR`, `state_dir`, `$STATE_DIRECTORY`, `/var/lib/authagent` (root), \
`~/.local/state/authagent` |
| of one agent | `SITE-agent-1` in the state folder |
| control sockets | `[control] folder`, `$RUNTIME_DIRECTORY`, `/run/authagent` (root), the state folder |
| their names | `SITE-agent-1.sock`, `SITE-proxyagent-ID.sock`; a path may have 107 bytes |
| secret | `[security] secret_file`, beside the file; mode 0600 or 0640, any mode under `$CREDENTIALS_DIRECTORY` or \
`/run/secrets` |
"""


def config_page() -> str:
    """docs/reference/config.md."""
    parts = [_HEAD.format(name_bytes=limits.NAME_BYTES_MAX), "## At the top of the file\n", *_table(_top())]
    for name, kind in SECTIONS.items():
        parts += [f"\n## [{name}]\n", _purpose(kind), *_table(attrs.fields(kind))]
    for name, kind in LISTS.items():
        parts += [f"\n## [[{name}]]\n", _purpose(kind), *_table(attrs.fields(kind))]
    return "\n".join([*parts, "", _TAIL])


def _top() -> list["attrs.Attribute[Any]"]:
    return [field for field in attrs.fields(Configuration) if "form" in field.metadata]


def _purpose(kind: type[Any]) -> str:
    """What a table is for: its docstring after the name."""
    sentence = (kind.__doc__ or "").partition(": ")[2]
    return f"{sentence[0].upper()}{sentence[1:]}\n"


def _table(fields: "list[attrs.Attribute[Any]] | tuple[attrs.Attribute[Any], ...]") -> Iterator[str]:
    yield "| key | default | accepted | |"
    yield "| --- | --- | --- | --- |"
    for field in fields:
        default = settings.toml(field)
        written = f"`{default}`" if default else "must be given"
        bounds = field.metadata["bounds"]
        yield f"| `{settings.key_of(field)}` | {written} | {bounds} | {field.metadata['doc']} |"


_LIMITS_HEAD = """\
# Limits

<!-- made by docs/generate.py from protocol/limits.py: change it there -->

Everything has a bound, and every bound has a reason. An operator may raise those that the reason says so of; all others
are fixed, because both ends of a link must agree on them, or because they are all that a stranger can cost.
"""


def limits_page() -> str:
    """docs/reference/limits.md, from the source: names, values and the reasons below them."""
    lines = (DOCS.parent / "protocol" / "limits.py").read_text(encoding="utf-8").splitlines()
    headings = {number: line.strip("#- ") for number, line in enumerate(lines, 1) if line.startswith("# -- ")}
    body = ast.parse("\n".join(lines)).body
    parts = [_LIMITS_HEAD]
    for assignment, reason in itertools.pairwise(body):
        if not isinstance(assignment, ast.Assign) or not isinstance(reason, ast.Expr):
            continue
        for number in [number for number in headings if number < assignment.lineno]:
            heading = headings.pop(number)
            parts += [f"## {heading[0].upper()}{heading[1:]}\n", "| name | value | reason |\n| --- | --- | --- |"]
        name = ast.unparse(assignment.targets[0])
        words = re.sub(r" \(DESIGN [^)]*\)", "", " ".join(str(ast.literal_eval(reason.value)).split()))
        parts.append(f"| `{name}` | {getattr(limits, name):,} | {words} |")
    return "\n".join(parts).replace("|\n##", "|\n\n##") + "\n"


_MAP_BEGINS = "<!-- the map is made by docs/generate.py from the first line of each file -->\n"
_MAP_ENDS = "<!-- the end of the map -->\n"


def architecture_page() -> str:
    """ARCHITECTURE.md with its map of the code as the files describe themselves; the rest is as it stands there."""
    root = DOCS.parent
    before, _, rest = (root / "ARCHITECTURE.md").read_text(encoding="utf-8").partition(_MAP_BEGINS)
    folders: dict[str, list[str]] = {}
    for package in ("protocol", "authagent", "proxyagent"):
        for path in sorted(root.glob(f"{package}/**/*.py"), key=lambda path: (path.parent, path.name)):
            if path.name != "__init__.py":
                docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
                folder = path.parent.relative_to(root).as_posix()
                folders.setdefault(folder, []).append(f"- `{path.name}`: {docstring.partition(chr(10))[0]}")
    written = "\n".join(f"### {folder}/\n\n" + "\n".join(lines) + "\n" for folder, lines in folders.items())
    return f"{before}{_MAP_BEGINS}\n{written}\n{_MAP_ENDS}{rest.partition(_MAP_ENDS)[2]}"


def manual_page(program: str) -> str:
    """docs/man: what the command line of a program says of itself."""
    group = importlib.import_module(f"{program}.cli").cli
    return manual.page(program, group)


_METRICS_HEAD = """\
# Metrics

<!-- made by docs/generate.py from authagent/http/metrics.py and proxyagent/http/metrics.py: change it there -->

What `GET /metrics` tells Prometheus, at an agent (`[http] listen`) and at `proxyagent run` (`[http] proxy_listen`).
How to set it up, with alerts and a dashboard: [monitor](../howto/monitor.md).
Counters count since the start of the process.
No label names a user or a key; a peer is named by `kind` (`agent` or `proxy`) and its id.
What cannot be told at a moment has no series then.
"""


def metrics_page() -> str:
    """docs/reference/metrics.md."""
    parts = [_METRICS_HEAD]
    for program, metrics in (("authagent", agent_metrics.METRICS), ("proxyagent", proxy_metrics.METRICS)):
        parts.append(f"## {program}\n\n| name | kind | labels | |\n| --- | --- | --- | --- |")
        for metric in metrics:
            labels = ", ".join(f"`{label}`" for label in metric.labels)
            parts.append(f"| `{metric.name}` | {metric.kind} | {labels} | {metric.doc} |")
        for family in process_families(program):
            suffix = "_total" if family.type == "counter" else ""
            parts.append(f"| `{family.name}{suffix}` | {family.type} |  | {family.documentation} |")
        parts.append("")
    return "\n".join(parts)


PAGES = {
    "../ARCHITECTURE.md": architecture_page,
    "man/authagent.1": functools.partial(manual_page, "authagent"),
    "man/proxyagent.1": functools.partial(manual_page, "proxyagent"),
    "reference/config.md": config_page,
    "reference/limits.md": limits_page,
    "reference/metrics.md": metrics_page,
}
"""Every page that is made here, by its path below docs/."""


def main() -> None:
    """Writes every page."""
    for name, page in PAGES.items():
        (DOCS / name).write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
