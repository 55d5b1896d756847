"""The house rules of STYLE.md that a machine can check. A failure names the file and what the rule wants."""

import ast
import getpass
import re
from collections.abc import Iterable

import pytest

from tests.repository import tree

FILE_LINES_MAX = 400
FUNCTION_LINES_MAX = 60
COLUMNS_MAX = 120
PRAGMA = re.compile(r"\s+# (type: ignore|noqa|fmt: ).*")

FORBIDDEN_IN_PURE_ROOMS = frozenset(
    {"asyncio", "datetime", "h11", "logging", "os", "pathlib", "random", "secrets"}
    | {"select", "socket", "ssl", "subprocess", "threading", "time", "trio"}
)
FORBIDDEN_CALLS_IN_PURE_ROOMS = frozenset({"breakpoint", "exec", "input", "open", "print"})

TESTED_ELSEWHERE = {
    "authagent/demo": "tests/system/test_demo.py",  # real processes, all of it
}
"""Folders whose files have no twin, each with the test that stands for them."""

LEFT_BEHIND = ("TO" + "DO", "FIX" + "ME", "XX" + "X")
INDEX_WORDS = ("py" + "pi.org", "python" + "hosted", "index" + "-url", "find" + "-links", "registry" + "=")
MACHINE_WORDS = ("/wo" + "rk/", "/ro" + "ot/", f"/home/{getpass.getuser()}/")


def complain(complaints: Iterable[str]) -> None:
    """Fail with every complaint on a line of its own."""
    found = list(complaints)
    assert not found, "\n" + "\n".join(found)


def test_files_and_lines_are_short() -> None:
    """No source file is over 400 lines, and no line of Python over 120 columns."""
    complain(
        f"{tree.name(path)}: {len(lines)} lines, at most {FILE_LINES_MAX}"
        for path in tree.sources()
        if len(lines := path.read_text(encoding="utf-8").splitlines()) > FILE_LINES_MAX
    )
    complain(
        f"{tree.name(path)}:{number}: {len(line)} columns, at most {COLUMNS_MAX}"
        for path in [*tree.sources(), *tree.tests()]
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if len(PRAGMA.sub("", line)) > COLUMNS_MAX
    )


def test_functions_are_short() -> None:
    """No function of the packages and examples is over 60 lines."""
    paths = [*tree.sources(), *sorted((tree.ROOT / "examples").rglob("*.py"))]
    complain(
        f"{tree.name(path)}:{function.lineno}: {function.name} has {lines} lines, at most {FUNCTION_LINES_MAX}"
        for path in paths
        for function in tree.functions(path)
        if (lines := (function.end_lineno or 0) - function.lineno + 1) > FUNCTION_LINES_MAX
    )


def test_every_file_opens_with_a_docstring() -> None:
    """Every source file, and every test file that is not empty, says at its head what it is for."""
    complain(
        f"{tree.name(path)}: no docstring at its head"
        for path in [*tree.sources(), *tree.tests()]
        if tree.parsed(path).body and not ast.get_docstring(tree.parsed(path))
    )


def test_every_test_says_what_it_proves() -> None:
    """Every test function has a docstring."""
    complain(
        f"{tree.name(path)}:{function.lineno}: {function.name} does not say what it proves"
        for path in tree.tests()
        for function in tree.functions(path)
        if function.name.startswith("test_") and path.name.startswith("test_") and not ast.get_docstring(function)
    )


def _imports(path: tree.Path) -> Iterable[tuple[int, str]]:
    for node in ast.walk(tree.parsed(path)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.lineno, node.module or "."


def test_pure_rooms_import_nothing_that_touches_the_world() -> None:
    """Files in pure rooms import no socket, file, clock, chance, thread or log, not even inside a function."""
    complain(
        f"{tree.name(path)}:{line}: imports {module}; take it as an argument, or move it to the shell"
        for path in tree.sources()
        if tree.pure(path)
        for line, module in _imports(path)
        if module.partition(".")[0] in FORBIDDEN_IN_PURE_ROOMS
        or module.startswith(("protocol.io", "authagent.store", "proxyagent.agent"))
    )


def test_pure_rooms_neither_wait_nor_open_nor_print() -> None:
    """Files in pure rooms have no `async def`, open no file, print nothing."""
    for path in filter(tree.pure, tree.sources()):
        for node in ast.walk(tree.parsed(path)):
            assert not isinstance(node, ast.AsyncFunctionDef), f"{tree.name(path)}:{node.lineno}: async in a pure room"
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                called = node.func.id
                assert called not in FORBIDDEN_CALLS_IN_PURE_ROOMS, f"{tree.name(path)}:{node.lineno}: {called}()"


def test_imports_are_absolute_and_name_what_they_take() -> None:
    """No file takes `*` from another, and none imports relative to itself."""
    for path in [*tree.sources(), *tree.tests()]:
        for node in ast.walk(tree.parsed(path)):
            if isinstance(node, ast.ImportFrom):
                where = f"{tree.name(path)}:{node.lineno}"
                assert node.level == 0, f"{where}: a relative import"
                assert all(alias.name != "*" for alias in node.names), f"{where}: takes `*`"


def test_every_source_file_has_its_test_file() -> None:
    """protocol/io/link.py has tests/protocol/io/test_link.py, and so on; files without a function need none."""
    complain(
        f"{tree.name(path)}: its twin {twin} is missing"
        for path in tree.sources()
        if path.name not in {"__init__.py", "__main__.py"}
        and any(tree.functions(path))
        and not any(tree.name(path).startswith(f"{folder}/") for folder in TESTED_ELSEWHERE)
        and not (tree.ROOT / (twin := f"tests/{tree.name(path.parent)}/test_{path.name}")).exists()
    )
    complain(f"{test} is missing" for test in TESTED_ELSEWHERE.values() if not (tree.ROOT / test).exists())


def test_every_test_folder_is_a_package() -> None:
    """Each folder with tests has its __init__.py: without it tests/protocol would stand for `protocol`."""
    folders = {path.parent for path in tree.tests()}
    complain(f"{tree.name(folder)}: no __init__.py" for folder in folders if not (folder / "__init__.py").exists())


def test_packages_tell_type_checkers_that_they_are_typed() -> None:
    """Each package has its py.typed and its __init__.py."""
    for package in tree.PACKAGES:
        assert (tree.ROOT / package / "py.typed").exists(), package
        assert (tree.ROOT / package / "__init__.py").exists(), package


def test_nothing_is_left_behind() -> None:
    """No file has a reminder instead of the work, a path of the machine it was written on, or a package host."""
    words = re.compile("|".join(rf"\b{word}\b" for word in LEFT_BEHIND))
    fixed = re.compile("|".join(re.escape(word) for word in (*INDEX_WORDS, *MACHINE_WORDS)))
    complain(
        f"{tree.name(path)}:{number}: {(words.search(line) or fixed.search(line)).group()}"  # type: ignore[union-attr]
        for path in tree.tracked()
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if words.search(line) or fixed.search(line)
    )


@pytest.mark.parametrize("lock", ["requirements.lock", "tests/programs/requirements.lock"])
def test_the_locks_name_every_hash_and_no_place(lock: str) -> None:
    """Every package of a lock is pinned with hashes, and no address of an index stands in it."""
    lines = (tree.ROOT / lock).read_text().splitlines()
    packages = [line for line in lines if line and not line.startswith((" ", "#"))]
    assert len(packages) > 20
    complain(f"{lock}: {line}" for line in packages if not re.fullmatch(r"[a-z0-9-]+==\S+ \\", line))
    complain(f"{lock}: {line}" for line in lines if "://" in line or line.startswith("-"))
