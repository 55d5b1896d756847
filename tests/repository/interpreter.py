"""A fresh Python, to see what an import or a command really loads."""

import os
import subprocess
import sys
from pathlib import Path

from tests.repository import tree

TIMEOUT_S = 60


def run(*arguments: str, path: tuple[Path, ...] = (tree.ROOT,), folder: Path | None = None, **environment: str) -> (
    "subprocess.CompletedProcess[str]"
):
    """Run `python ARGUMENTS` with `path` in front of the module search path, elsewhere than in the repository."""
    return subprocess.run(
        [sys.executable, "-P", *arguments],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, path)), **environment},
        cwd=folder or Path(os.sep),
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )


def loaded_by(code: str) -> set[str]:
    """The top-level modules that are there after `code` has run, less those of a bare Python."""
    show = "import sys; print(' '.join(sorted({name.partition('.')[0] for name in sys.modules})))"
    runs = [run("-c", f"{each}\n{show}") for each in ("pass", code)]
    for each in runs:
        assert each.returncode == 0, each.stderr
    bare, with_code = (set(each.stdout.split()) for each in runs)
    return with_code - bare


def loaded_by_command(*arguments: str, **environment: str) -> set[str]:
    """The top-level modules that `python -m ARGUMENTS` loads, whatever its exit code."""
    lines = run("-X", "importtime", "-m", *arguments, **environment).stderr.splitlines()
    names = [line.rpartition("|")[2].strip() for line in lines if line.startswith("import time:")]
    assert len(names) > 10, lines
    return {name.partition(".")[0] for name in names}
