"""The file with the hash of the page's password, and the check of a guess."""

from pathlib import Path

import pytest

from authagent import admin_password
from protocol.mistakes import MistakesFound

PASSWORD = "correct horse battery"


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with a password."""
    path = tmp_path_factory.mktemp("admin") / "folder" / "admin"
    admin_password.write(str(path), PASSWORD)
    return path


def test_only_the_password_is_right(written: Path) -> None:
    """Not its beginning, not more of it, nothing, nor something endless."""
    password_hash = admin_password.read(str(written))
    assert admin_password.is_right(password_hash, PASSWORD)
    for wrong in ("", PASSWORD[:-1], PASSWORD + " ", "x" * 100_000, "\udc80"):
        assert not admin_password.is_right(password_hash, wrong)


def test_the_file_is_its_owners_alone_and_has_no_password(written: Path) -> None:
    """An argon2id hash, mode 0600, nothing left beside it."""
    assert written.stat().st_mode & 0o777 == 0o600
    text = written.read_text()
    assert text.startswith("$argon2id$") and PASSWORD not in text
    assert [each.name for each in written.parent.iterdir()] == ["admin"]


def test_a_new_password_replaces_the_old_one(tmp_path: Path) -> None:
    """Wholly."""
    path = str(tmp_path / "admin")
    for password in (PASSWORD, "another long one"):
        admin_password.write(path, password)
    assert admin_password.is_right(admin_password.read(path), "another long one")
    assert not admin_password.is_right(admin_password.read(path), PASSWORD)


def test_where_there_is_no_file_there_is_no_password(tmp_path: Path) -> None:
    """Which is no mistake; and no guess is right."""
    assert admin_password.read(str(tmp_path / "admin")) == ""
    assert not admin_password.is_right("", "")


@pytest.mark.parametrize(
    "content",
    [
        b"", b"hunter2\n", b"\xff" * 90, b"$argon2id$" + b"x" * 600,
        b"$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$\xff", b"$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$a\n\n$argon2id$",
        b"$argon2id$v=19$m=4294967295,t=1,p=1$c2FsdHNhbHQ$a", b"$argon2id$v=19$m=8,t=4294967295,p=1$c2FsdHNhbHQ$a",
        b"$argon2id$v=19$m=8388608,t=1,p=1048576$c2FsdHNhbHQ$a",
    ],
    ids=range(9),
)  # fmt: skip
def test_a_file_with_something_else_is_refused(tmp_path: Path, content: bytes) -> None:
    """In one line that does not quote it."""
    path = tmp_path / "admin"
    path.touch(mode=0o600)
    path.write_bytes(content)
    with pytest.raises(MistakesFound, match="run that again") as raised:
        admin_password.read(str(path))
    assert "hunter2" not in str(raised.value)


def test_a_file_that_others_may_read_is_refused(written: Path, tmp_path: Path) -> None:
    """With what to do; a folder is refused too."""
    path = tmp_path / "admin"
    path.write_bytes(written.read_bytes())
    path.chmod(0o604)
    with pytest.raises(MistakesFound, match="chmod 0600"):
        admin_password.read(str(path))
    with pytest.raises(MistakesFound, match="directory"):
        admin_password.read(str(tmp_path))


def test_what_cannot_be_written_changes_nothing(tmp_path: Path) -> None:
    """A folder in the way: one line, and nothing left behind."""
    (tmp_path / "admin" / "x").mkdir(parents=True)
    with pytest.raises(MistakesFound, match="admin file"):
        admin_password.write(str(tmp_path / "admin"), PASSWORD)
    assert [each.name for each in tmp_path.iterdir()] == ["admin"]


@pytest.mark.parametrize("password", ["", "short", "x" * 2_000, "with\x00 a zero in it"], ids=repr)
def test_passwords_that_would_not_do(password: str) -> None:
    """Too short, too long, not to be typed."""
    with pytest.raises(ValueError, match="a password has"):
        admin_password.check(password)
