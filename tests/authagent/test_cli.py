"""The command line: where options may stand, what mistakes end with, and what a verb imports."""

import inspect
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest

from authagent import cli, verbs

SHARED = {"config": "/f", "site": "lan7", "id": "2", "state_dir": "/s", "control": "/c.sock"}


class Ran(Exception):
    """The verb was reached."""


def run(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    """What the program ends with."""
    monkeypatch.setattr(sys, "argv", ["authagent", *words])
    with pytest.raises(SystemExit) as raised:
        cli.main()
    assert isinstance(raised.value.code, int)
    return raised.value.code


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict[str, Any], dict[str, Any]]]:
    """Which control verbs were called, with the shared options and the question."""
    made: list[tuple[str, dict[str, Any], dict[str, Any]]] = []

    def recorder(name: str) -> Any:
        def record(options: dict[str, Any], question: dict[str, Any] | str | None = None, **more: Any) -> int:
            asked = {"asked": question} if isinstance(question, str) else question or {}
            made.append((name, {shared: options[shared] for shared in SHARED}, {**asked, **more}))
            return 0

        return record

    for name in ("status", "sessions", "logout", "switch", "explain", "reload"):
        monkeypatch.setattr(verbs, name, recorder(name))
    return made


# -- shared options -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "verb",
    [("status",), ("sessions", "10.0.0.1"), ("logout", "--all"), ("switch",), ("explain", "alice"), ("reload",)],
    ids=" ".join,
)
def test_shared_options_stand_before_or_after_the_verb(
    verb: tuple[str, ...], calls: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same either way; the one after the verb counts."""
    for name, value in SHARED.items():
        if name == "site" and verb[0] in ("sessions", "logout"):
            continue  # there it is another option, see below
        flag = f"--{name.replace('_', '-')}"
        assert run(monkeypatch, flag, value, *verb) == 0
        assert run(monkeypatch, *verb, flag, value) == 0
        assert run(monkeypatch, flag, "other", *verb, flag, value) == 0
        assert [options[name] for _, options, _ in calls] == [value] * 3
        calls.clear()


def test_every_verb_takes_the_shared_options() -> None:
    """Those of groups too."""

    def check(command: click.Command) -> None:
        flags = {flag for parameter in command.params for flag in parameter.opts}
        assert {f"--{name.replace('_', '-')}" for name in SHARED} <= flags, command.name
        for each in getattr(command, "commands", {}).values():
            check(each)

    check(cli.cli)


def test_options_of_running_stand_before_or_after_the_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """`authagent 1 --config X` and `authagent --config X 1` are one; without a number, too."""
    from authagent import wiring

    flags: list[Any] = []
    monkeypatch.setattr(wiring, "main", flags.append)
    monkeypatch.setattr("signal.signal", lambda *arguments: None)
    given = ("--config", "/f", "--site", "lan7", "--listen", "h:1", "--listen", "h:2", "--log-level", "2")
    for words in (("1", *given), (*given, "1"), (*given[:4], "1", *given[4:])):
        assert run(monkeypatch, *words) == 0
    assert flags[0] == flags[1] == flags[2]
    assert (flags[0].number, flags[0].config, flags[0].listen) == ("1", "/f", ("h:1", "h:2"))
    run(monkeypatch, *given)
    assert flags[3].number is None
    run(monkeypatch, "--id", "2", *given)
    assert flags[4].number == "2"


def test_site_behind_sessions_and_logout_is_whose(calls: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the verb it says which agent to ask."""
    run(monkeypatch, "--site", "lan7", "sessions", "--site", "lan9")
    run(monkeypatch, "logout", "--site", "lan9")
    assert [(options["site"], question["site"]) for _, options, question in calls] == [("lan7", "lan9"), (None, "lan9")]


def test_a_key_is_an_argument_or_an_option(calls: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Not both."""
    run(monkeypatch, "logout", "10.0.0.1", "--timeout", "2")
    run(monkeypatch, "logout", "--key", "10.0.0.1")
    assert [question["key"] for _, _, question in calls] == ["10.0.0.1"] * 2
    assert [question["within_s"] for _, _, question in calls] == [2.0, 5.0]
    assert run(monkeypatch, "logout", "10.0.0.1", "--key", "10.0.0.2") == 2


# -- mistakes -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("foo",), "No such command 'foo'"),
        (("statsu",), "No such command 'statsu'"),
        (("--foo",), "No such option '--foo'"),
        (("-5",), "No such option '-5'"),
        (("1", "status"), "unexpected extra argument (status)"),
        (("3",), "agent ids are 1 and 2"),
        (("1", "--log-level", "9"), "levels are 0, 1 and 2"),
        (("--log-level", "loud"), "levels are 0, 1 and 2"),
        (("--config", "/nowhere/x.toml", "1"), "/nowhere/x.toml: there is no such file"),
        (("1", "--control", "/x.sock"), "[control] folder"),
        (("1", "--listen", "nonsense"), "--listen"),
        (("logout",), "say exactly one of"),
        (("logout", "k", "--all"), "say exactly one of"),
        (("logout", "--all", "--timeout", "0"), "--timeout"),
        (("sessions", "--limit", "0"), "--limit"),
        (("switch", "--timeout", "-1"), "--timeout"),
        (("status", "--wait", "soon"), "--wait"),
        (("secret",), "Missing command"),
        (("secret", "burn"), "No such command 'burn'"),
        (("secret", "add", "--config", "/nowhere/x.toml"), "there is no such file"),
    ],
    ids=lambda words: " ".join(words) if isinstance(words, tuple) else None,
)
def test_a_mistake_is_one_line_and_ends_with_2(
    words: tuple[str, ...],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    """It names what is wrong, and where to read more."""
    monkeypatch.setattr("signal.signal", lambda *arguments: None)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert run(monkeypatch, *words) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("authagent: ")
    assert said in line


# -- help ---------------------------------------------------------------------------------------------------------


def test_help_has_an_example_everywhere(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """For each verb; and every option says what it is for."""

    def check(*path: str) -> None:
        assert run(monkeypatch, *path, "--help") == 0
        assert "Example" in capsys.readouterr().out
        command: Any = cli.cli
        for word in path:
            command = command.commands[word]
        for parameter in command.params:
            assert isinstance(parameter, click.Argument) or parameter.help, (path, parameter.name)
        for name in getattr(command, "commands", {}):
            check(*path, name)

    check()


def test_the_version_is_told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """With the name."""
    assert run(monkeypatch, "--version") == 0
    assert capsys.readouterr().out.startswith("authagent")


# -- a fresh interpreter ------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_asking_imports_nothing_heavy(tmp_path: Path) -> None:
    """Each verb that asks a control socket brings in neither trio, structlog, rich, attrs nor the like."""
    code = f"""
        import json, sys
        from authagent import cli
        loaded = {{}}
        for words in (["status"], ["sessions"], ["logout", "--all"], ["reload"]):
            sys.argv = ["authagent", *words, "--control", {str(tmp_path / "none.sock")!r}]
            try:
                cli.main()
            except SystemExit as end:
                assert end.code == 3, end.code
        print(json.dumps(sorted({{name.partition(".")[0] for name in sys.modules}})))
    """
    done = subprocess.run([sys.executable, "-c", inspect.cleandoc(code)], capture_output=True, text=True, check=True)
    heavy = {"trio", "structlog", "rich", "attr", "attrs", "cattrs", "cryptography", "asyncio", "msgpack", "ssl"}
    assert set(json.loads(done.stdout)) & heavy == set()
