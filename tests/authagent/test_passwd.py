"""`authagent passwd`."""

import io
from pathlib import Path

import pytest

from authagent import admin_password, passwd
from authagent.config import Flags
from protocol.mistakes import MistakesFound
from protocol.places import Surroundings

PASSWORD = "correct horse battery"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def around(folder: Path) -> Surroundings:
    (folder / "authagent.toml").write_text('[[authagent]]\nid = 1\nsite = "lan1"\nhost = "10.1.0.11"\n')
    return Surroundings({}, False, str(folder), str(folder))


def test_one_line_of_standard_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The hash lies beside the configuration; what is told names the file and who needs it, and no password."""
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{PASSWORD}\nmore\n"))
    told = passwd.run(Flags(), around(tmp_path))
    assert admin_password.is_right(admin_password.read(str(tmp_path / "admin")), PASSWORD)
    assert str(tmp_path / "admin") in told and "10.1.0.11" in told and PASSWORD not in told


def test_without_a_configuration_it_lies_in_the_state_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the secret is then."""
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{PASSWORD}\n"))
    passwd.run(Flags(state_dir=str(tmp_path / "state")), Surroundings({}, False, str(tmp_path), str(tmp_path)))
    assert admin_password.read(str(tmp_path / "state" / "admin"))


def test_at_a_terminal_it_is_typed_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And must be the same."""
    monkeypatch.setattr("sys.stdin", Terminal())
    typed = [PASSWORD, "another", PASSWORD, PASSWORD]
    monkeypatch.setattr("getpass.getpass", lambda prompt: typed.pop(0))
    with pytest.raises(MistakesFound, match="not the same"):
        passwd.run(Flags(), around(tmp_path))
    assert not (tmp_path / "admin").exists()
    passwd.run(Flags(), around(tmp_path))
    assert (tmp_path / "admin").exists()


def test_the_file_is_the_agents_where_root_sets_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """That of the owner of the state folder; before there is one, and for anybody else, it is one's own."""
    given: list[tuple[int, int]] = []
    monkeypatch.setattr("os.fchown", lambda descriptor, *owner: given.append(owner))
    for uid, state in ((0, "state"), (0, "none"), (1_000, "state")):
        monkeypatch.setattr("os.geteuid", lambda uid=uid: uid)
        monkeypatch.setattr("sys.stdin", io.StringIO(f"{PASSWORD}\n"))
        (tmp_path / "state").mkdir(exist_ok=True)
        passwd.run(Flags(state_dir=str(tmp_path / state)), around(tmp_path))
    status = (tmp_path / "state").stat()
    assert given == [(status.st_uid, status.st_gid)]


def test_a_short_one_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One line that says what would do, and nothing is written."""
    monkeypatch.setattr("sys.stdin", io.StringIO("secret\n"))
    with pytest.raises(MistakesFound, match="12 to 1,024 letters") as raised:
        passwd.run(Flags(), around(tmp_path))
    assert "secret" not in str(raised.value)
    assert not (tmp_path / "admin").exists()
