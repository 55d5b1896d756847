"""How both programs end: exit codes, and what is said to whoever made a mistake."""

from typing import Any

import click
import pytest
from click.testing import CliRunner

from protocol.io import program
from protocol.io.control_client import ControlError
from protocol.io.program import Seconds
from protocol.io.sockets import NobodyThere
from protocol.mistakes import Mistake, MistakesFound


def ended(function: Any, monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    """The exit code of a program `one` with one verb `two`, which does `function`."""

    @click.group()
    def one() -> None:
        pass

    one.command("two")(function)
    hidden = click.Command("run", callback=function, params=[click.Option(["--at"], type=int)], hidden=True)
    one.add_command(hidden)
    monkeypatch.setattr("sys.argv", ["one", *(words or ("two",))])
    with pytest.raises(SystemExit) as caught:
        program.end("one", one)
    assert isinstance(caught.value.code, int)
    return caught.value.code


@pytest.mark.parametrize(("answer", "code"), [(None, 0), (0, 0), (1, 1), (4, 4)])
def test_what_a_verb_returns_is_the_exit_code(answer: int | None, code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is done."""
    assert ended(lambda: answer, monkeypatch) == code


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (MistakesFound("f", [Mistake("a", "x"), Mistake("b", "y")]), 2, "one: f: a: x\none: f: b: y\n"),
        (NobodyThere("nobody"), 3, "one: nobody\n"),
        (ControlError("late", 4), 4, "one: late\n"),
        (ControlError("\x1b[2Jno\x07", 1), 1, "one: ?[2Jno?\n"),
        (KeyboardInterrupt(), 130, "\n"),
        (click.UsageError("No such thing."), 2, "one: No such thing; see: one two --help\n"),
    ],
    ids=["mistakes", "nobody", "late", "letters that steer", "interrupted", "usage"],
)
def test_what_goes_wrong_has_its_exit_code(
    error: BaseException, code: int, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A line for each mistake, no letter of which can steer a terminal, and nothing else."""

    def fail() -> None:
        raise error

    assert ended(fail, monkeypatch) == code
    assert capsys.readouterr().err == said


def test_a_mistake_of_ours_never_says_no(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """70, and not 1, which a script would take for an answer; with what a report needs."""

    def fail() -> None:
        raise ZeroDivisionError("a bug")

    assert ended(fail, monkeypatch) == 70
    said = capsys.readouterr().err
    assert "test_program.py" in said
    assert said.splitlines()[-1].startswith("one: internal error, please report it with the lines above: ZeroDivision")


def test_who_reads_may_have_enough(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    """`one two | head`: exit code 0, and not a word."""

    def fail() -> None:
        raise BrokenPipeError

    assert ended(fail, monkeypatch) == 0
    assert capfd.readouterr().err == ""


def test_a_hidden_command_is_not_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Help is read at the command above it, as it is called."""
    assert ended(lambda at: None, monkeypatch, "run", "--at", "x") == 2
    assert capsys.readouterr().err.endswith("; see: one --help\n")


@pytest.mark.parametrize(("given", "right"), [("0.5", True), ("3", True), ("nan", False), ("inf", False), ("9", False)])
def test_seconds_are_a_number_within_bounds(given: str, right: bool) -> None:
    """To click alone, nan is."""

    @click.command()
    @click.option("--wait", type=Seconds(0, 3))
    def one(wait: float) -> None:
        assert 0 <= wait <= 3

    done = CliRunner().invoke(one, ["--wait", given])
    assert done.exit_code == (0 if right else 2)
    assert right or "nan" in done.output or "range" in done.output
