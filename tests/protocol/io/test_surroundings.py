"""What a process finds around itself."""

import os
from pathlib import Path

import pytest

from protocol.io import surroundings
from protocol.mistakes import MistakesFound
from protocol.places import Surroundings


def around(folder: Path, **environment: str) -> Surroundings:
    """A user in `folder`."""
    return Surroundings(environment, False, str(folder), str(folder))


def test_the_process_is_described(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Environment, user, home and folder are those of this process."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/ann/")
    found = surroundings.surroundings()
    assert found.folder == str(tmp_path) and found.home == "/home/ann"
    assert found.root == (os.geteuid() == 0) and found.environment["HOME"] == "/home/ann/"


def test_a_removed_folder_is_no_crash(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Who starts a verb in a folder that is gone still gets an answer."""
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert surroundings.surroundings().folder == "/"
    monkeypatch.chdir(tmp_path)


def test_the_file_in_the_current_folder_is_found(tmp_path: Path) -> None:
    """./authagent.toml counts when nothing was named, and a named file counts before it."""
    (tmp_path / "authagent.toml").write_text("")
    assert surroundings.find_config(None, "authagent", around(tmp_path)) == str(tmp_path / "authagent.toml")
    assert surroundings.find_config(None, "authagent", around(tmp_path, AUTHAGENT_CONFIG="/x")) == "/x"


def test_a_file_is_read_with_or_without_a_byte_order_mark(tmp_path: Path) -> None:
    """An editor's mark at the start is no part of the text."""
    path = tmp_path / "a.toml"
    path.write_bytes(b"\xef\xbb\xbfsite = 'x'")
    assert surroundings.read_config(str(path)) == "site = 'x'"


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda path: None, "there is no such file; make one with: authagent init"),
        (lambda path: path.mkdir(), "cannot be read: Is a directory"),
        (lambda path: path.write_bytes(b"\xff\xfe\x00"), "not UTF-8 text at byte 0"),
        (lambda path: path.write_bytes(b"#" * (4 * 1024 * 1024 + 1)), "larger than 4 MiB"),
    ],
)
def test_a_file_that_cannot_be_read_is_one_line(tmp_path: Path, make: object, says: str) -> None:
    """Missing, a folder, not text, far too large: one line that names the file."""
    path = tmp_path / "a.toml"
    make(path)  # type: ignore[operator]
    with pytest.raises(MistakesFound, match=says) as caught:
        surroundings.read_config(str(path))
    assert str(caught.value).startswith(f"{path}: ") and "\n" not in str(caught.value)
