"""docs/reference/protocol.md is true: its tables equal the code's, and each numbered MUST has a test that bears it."""

import enum
import re

import pytest

from protocol.errors import Code
from protocol.item import Fate
from protocol.messages import Role, Ruling
from protocol.session import State
from tests.repository import tree
from tests.spec import tables

DOCUMENT = tree.ROOT / "docs" / "reference" / "protocol.md"
ITEMS = [("### Fates", Fate), ("### Rulings", Ruling)]
NUMBER = re.compile(r"\[(P-\d+)\]")


def _text() -> str:
    return DOCUMENT.read_text(encoding="utf-8")


def _section(heading: str) -> str:
    """What stands under a heading, up to the next one."""
    return re.split(r"^#+ ", _text().partition(f"\n{heading}\n")[2], maxsplit=1, flags=re.MULTILINE)[0]


def test_the_table_of_messages_is_that_of_the_code() -> None:
    """Numbers, names, fields, types and defaults: `python -m tests.spec.tables` prints what must stand there."""
    written = [line for line in _section("## 3. Messages").splitlines() if line.startswith("|")]

    assert written == tables.message_table()


@pytest.mark.parametrize(
    ("heading", "members"), [("### Codes", Code), ("### Roles", Role), ("### States", State), *ITEMS], ids=str
)
def test_tables_of_numbers_are_the_enums(heading: str, members: type[enum.IntEnum]) -> None:
    """Every member of an enum stands in its table with its number, in order, and nothing else does."""
    rows = re.findall(r"^\| (\d+) \| (\w+) \|", _section(heading), flags=re.MULTILINE)

    assert rows == [(str(int(member)), member.name) for member in members]


def test_musts_are_numbered_without_gaps() -> None:
    """[P-1], [P-2] and so on, each once at the head of its rule."""
    heads = re.findall(r"^- \[P-(\d+)\]", _text(), flags=re.MULTILINE)

    assert list(map(int, heads)) == list(range(1, len(heads) + 1))


def test_every_must_has_a_number() -> None:
    """No line of the document says MUST without a number, but for the one that explains the word."""
    lines = [line for line in _text().splitlines() if "MUST" in line and not line.startswith('"MUST"')]

    assert [line for line in lines if not line.startswith("- [P-")] == []


def test_every_must_has_a_test_that_bears_its_number() -> None:
    """Each number stands in the docstring of at least one test, and no test bears a number that is not there."""
    import ast

    borne: set[str] = set()
    for path in tree.tests():
        for function in tree.functions(path):
            if function.name.startswith("test_"):
                borne.update(NUMBER.findall(ast.get_docstring(function) or ""))
    written = set(NUMBER.findall(_text()))

    assert written - borne == set(), "without a test"
    assert borne - written == set(), "not in the document"


def test_payload_runs_are_those_of_the_code() -> None:
    """The columns of runs in the document are the fields of the run classes, in their order."""
    import attrs

    from protocol.changes import EndRun, LoginRun, TouchRun

    rows = dict(re.findall(r"^\| (logins|ends|touches) \| (.+) \|$", _text(), flags=re.MULTILINE))
    for name, run in (("logins", LoginRun), ("ends", EndRun), ("touches", TouchRun)):
        fields = [field.name for field in attrs.fields(run)]
        named = [cell.removesuffix(" or nil") for cell in rows[name].split(", ")]
        written = ["origin", *named[2:]]
        assert [{"lifetimes": "expires_at"}.get(cell, cell) for cell in written] == fields
