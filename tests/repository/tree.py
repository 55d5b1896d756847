"""The files of this repository, as the tests of the repository see them."""

import ast
import functools
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("authagent", "protocol", "proxyagent")
NEVER = {".git", ".programs", ".venv", "build", "dist", "__pycache__"}


def pure(path: Path) -> bool:
    """Whether a source file is in a room that knows no socket, file, clock or chance."""
    parts = path.relative_to(ROOT).parts
    if parts[0] == "protocol":
        return parts[1] != "io"
    return parts[1] == "core"


def sources() -> list[Path]:
    """Every source file of the three packages."""
    return sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


def tests() -> list[Path]:
    """Every Python file under tests/."""
    return sorted((ROOT / "tests").rglob("*.py"))


def tracked() -> list[Path]:
    """Every text file that belongs to the repository: what git lists, or everything where there is no git."""
    if (ROOT / ".git").exists():
        command = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        names = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split("\0")
        found = [ROOT / name for name in names if name]
    else:
        found = list(_walk(ROOT))
    return sorted(path for path in found if path.is_file() and path.suffix not in {".png", ".ico", ".gz", ".bin"})


def _walk(folder: Path) -> Iterator[Path]:
    for root, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if name not in NEVER and not name.endswith("_cache")]
        yield from (Path(root) / name for name in files)


@functools.cache
def parsed(path: Path) -> ast.Module:
    """The syntax tree of a file."""
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def name(path: Path) -> str:
    """A file's path inside the repository."""
    return path.relative_to(ROOT).as_posix()


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Every function of a file, nested ones too."""
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node
