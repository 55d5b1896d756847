"""`authagent import`: a file that can be used at once, or nothing."""

import stat
from pathlib import Path

import pytest

from authagent import import_verb
from authagent.cli import cli
from protocol import configuration
from protocol.mistakes import MistakesFound
from tests.authagent.test_auth_cfg import WHOLE


@pytest.fixture
def old(tmp_path: Path) -> Path:
    path = tmp_path / "auth.cfg"
    path.write_bytes(WHOLE)
    return path


def test_what_is_made_is_a_configuration(old: Path) -> None:
    """The parser that the programs use finds agents, proxies and settings in it."""
    made = import_verb.run(str(old), site="bonn")
    found = configuration.parse(made.text, "authagent.toml")

    assert [(each.id, each.site, each.host, each.port) for each in found.authagents] == [
        (1, "bonn", "10.1.0.11", 9023), (2, "bonn", "10.1.0.12", 9023),
    ]  # fmt: skip
    assert [(each.id, each.host) for each in found.proxyagents] == [("proxy1", "10.1.0.21"), ("proxy2", "10.1.0.22")]
    assert (found.logging.level, found.logging.path) == (1, "/var/log/auth.log")
    assert made.told == ""


def test_what_could_not_be_carried_over_stands_in_the_file(old: Path) -> None:
    """As comments, so that whoever reads it next knows."""
    made = import_verb.run(str(old))
    comments = " ".join(line.removeprefix("# ") for line in made.text.splitlines() if line.startswith("# "))

    assert all(remark in comments for remark in made.remarks) and made.remarks


def test_the_file_and_a_secret_are_written_and_checked(
    old: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`authagent check --offline` has nothing to say, once the log is somewhere."""
    output = tmp_path / "new" / "authagent.toml"
    words = ["import", str(old), "--output", str(output), "--site", "bonn"]
    assert cli(words, prog_name="authagent", standalone_mode=False) is None
    said = capsys.readouterr()
    assert "scp -p" in said.out and "not carried over: The secret" in said.err
    assert stat.S_IMODE((output.parent / "secret").stat().st_mode) == 0o600
    words = ["check", "--offline", "--config", str(output), "--id", "1", "--site", "bonn"]
    assert cli(words, prog_name="authagent", standalone_mode=False) == 0
    assert "all is well" in capsys.readouterr().out


def test_nothing_is_overwritten(old: Path, tmp_path: Path) -> None:
    """Neither a file nor a secret; then neither of the two is written."""
    (tmp_path / "secret").write_text("mine")
    with pytest.raises(MistakesFound, match="exists already"):
        import_verb.run(str(old), output=str(tmp_path / "authagent.toml"))
    assert (tmp_path / "secret").read_text() == "mine" and not (tmp_path / "authagent.toml").exists()


def test_a_bad_file_makes_nothing(old: Path, tmp_path: Path) -> None:
    """Its mistakes name the file and the lines; a missing one is one line."""
    old.write_bytes(b"[auth]\nipport1=:::\nipport2=10.0.0.1:0\n")
    with pytest.raises(MistakesFound) as raised:
        import_verb.run(str(old), output=str(tmp_path / "authagent.toml"))
    assert [line.startswith(f"{old}: line ") for line in str(raised.value).splitlines()] == [True, True]
    assert not (tmp_path / "authagent.toml").exists()
    with pytest.raises(MistakesFound, match="No such file"):
        import_verb.run(str(tmp_path / "none"))
