"""The tool for mutation testing finds what is planted: one gap, and neither more nor less."""

import sys
import textwrap
from pathlib import Path

import pytest

from tests.mutation import runner, survivors
from tests.mutation.__main__ import LIST, ROOT, mutate
from tests.mutation.mutants import mutants
from tests.mutation.plan import PLAN

PLANTED = "tests/mutation/planted/greater.py"
TESTS = ("tests/mutation/planted/check_greater.py", "-c", "/dev/null", "--rootdir", str(ROOT), "-p", "no:trio")
GAP = "greater: one > other  =>  one >= other"


def changes_of(source: str, folder: Path) -> set[str]:
    path = folder / "module.py"
    path.write_text(textwrap.dedent(source))
    return {mutant.change for mutant in mutants(path)}


def test_each_kind_of_mistake_is_made(tmp_path: Path) -> None:
    """Boundaries, directions, operators, constants, statements, returned values, conditions; also under decorators."""
    source = """
        @property
        def f(self):
            '''Words.'''
            assert self.a < 1
            if self.flag:
                self.x = 5
            self.total += 1
            return max(self.a, self.b) + 2 if self.a <= 3 and not self.b else None
    """
    assert changes_of(source, tmp_path) >= {
        "if self.flag  =>  if not self.flag",
        "self.x = 5  =>  pass",
        "self.x = 5  =>  self.x = 6",
        "self.total += 1  =>  pass",
        "self.a <= 3  =>  self.a < 3",
        "self.a <= 3  =>  self.a > 3",
        "self.a <= 3 and (not self.b)  =>  self.a <= 3 or not self.b",
        "max(self.a, self.b)  =>  min(self.a, self.b)",
        "max(self.a, self.b) + 2  =>  max(self.a, self.b) - 2",
    }


def test_words_annotations_and_asserts_are_left_alone(tmp_path: Path) -> None:
    """They are for people, for the type checker, and tests themselves."""
    source = """
        '''Words.'''
        from typing import TYPE_CHECKING
        if TYPE_CHECKING:
            from x import y
        def f(a: "int | None") -> "int | None":
            '''More words.'''
            assert a != 1, "words"
    """
    assert changes_of(source, tmp_path) == set()


def test_every_mutant_has_its_own_name_and_compiles() -> None:
    """For every file of the plan, whose tests and source exist."""
    for file, tests in PLAN.items():
        names = [mutant.name for mutant in mutants(ROOT / file, compiled=False)]
        assert len(names) == len(set(names)) > 20, file
        assert all((ROOT / test).exists() for test in tests if test.startswith("tests/"))
    assert all(mutant.code for mutant in mutants(ROOT / "protocol/session.py"))


@pytest.fixture
def _warm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the tool is before its first child; afterwards as it was."""
    monkeypatch.setenv("HYPOTHESIS_PROFILE", "fast")
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.setattr(sys, "pycache_prefix", str(tmp_path / "bytecode"))
    runner.warm_up()


@pytest.mark.usefixtures("_warm")
def test_a_planted_gap_is_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The one mutant that survives makes the tool fail, unless it is listed with a reason."""
    listed = tmp_path / "survivors.txt"
    listed.write_text("# none\n")
    assert mutate(ROOT, PLANTED, TESTS, listed, jobs=2) == 1
    assert f"not explained in survivors.txt: {GAP}" in capsys.readouterr().out
    listed.write_text(f"{PLANTED} | {GAP} | planted\n")
    assert mutate(ROOT, PLANTED, TESTS, listed) == 0


@pytest.mark.usefixtures("_warm")
@pytest.mark.parametrize("hang", ["import time\ntime.sleep(60)", "while True: pass"], ids=["asleep", "busy"])
def test_a_hang_is_noticed(hang: str) -> None:
    """A mutant that does not end, idle or busy, is ended with all that it started."""
    outcome = runner.run(ROOT, ROOT / PLANTED, compile(hang, PLANTED, "exec"), TESTS, 1.0)
    assert outcome.killed and outcome.seconds >= 1.0


def test_a_listed_mutant_that_does_not_survive_is_told() -> None:
    """The list says what is so now, and survivors count as what they are."""
    listed = [survivors.Survivor("a.py", "x", "why"), survivors.Survivor("a.py", "y", "why")]
    score = survivors.judge("a.py", ["x", "y", "z", "w"], ["x"], listed)
    assert (score.stale, score.unexplained, score.passed, score.percent_of_all) == (("y",), (), False, 75.0)
    both = survivors.judge("a.py", ["x", "y", "z", "w"], ["x", "y"], listed)
    assert (both.passed, both.percent, both.percent_of_all) == (True, 100.0, 50.0)
    assert survivors.judge("a.py", ["x", "z"], ["z"], listed[:0]).percent == 50.0


def test_the_list_of_survivors_can_be_read() -> None:
    """Each line names a file of the plan and one of its mutants as they are now, and gives a reason."""
    listed = survivors.read(LIST)
    names = {file: {mutant.name for mutant in mutants(ROOT / file, compiled=False)} for file in PLAN}
    for survivor in listed:
        assert survivor.name in names[survivor.source], f"{survivor.source}: there is no mutant {survivor.name}"


@pytest.mark.parametrize("line", ["a.py | x  =>  y", "a.py", "a.py | x  =>  y | ", "a.py | m | r\na.py | m | r"])
def test_a_list_without_reasons_is_refused(line: str, tmp_path: Path) -> None:
    """A survivor without a reason, or one that stands there twice."""
    path = tmp_path / "survivors.txt"
    path.write_text(line + "\n")
    with pytest.raises(survivors.BadList):
        survivors.read(path)
