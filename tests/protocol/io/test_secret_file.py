"""The secret file: modes, atomic changes, and errors that never show the content."""

import os
import threading
from pathlib import Path

import pytest

from protocol import secret
from protocol.io import secret_file
from protocol.mistakes import MistakesFound


def mode(path: Path) -> int:
    """The permission bits of a file."""
    return path.stat().st_mode & 0o777


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A fresh secret file."""
    made = tmp_path / "secret"
    secret_file.create(str(made), secret_file.generate())
    return made


def test_a_made_secret_is_strong_private_and_alone(path: Path) -> None:
    """What create() wrote is accepted, closed to others, and leaves no temporary file."""
    assert mode(path) == 0o600
    assert len(secret_file.read(str(path)).lines) == 1
    assert secret.advice(secret_file.read(str(path)).newest) is None
    assert os.listdir(path.parent) == ["secret"]


def test_generated_secrets_differ() -> None:
    """Each call draws anew, and every draw is accepted."""
    drawn = {secret_file.generate() for _ in range(200)}
    assert len(drawn) == 200
    assert all(secret.weakness(line.encode()) is None for line in drawn)


def test_nothing_is_overwritten(path: Path) -> None:
    """create() refuses where a file, or even a dangling link, is."""
    before = path.read_bytes()
    with pytest.raises(FileExistsError):
        secret_file.create(str(path), secret_file.generate())
    assert path.read_bytes() == before
    dangling = path.parent / "link"
    dangling.symlink_to("nowhere")
    with pytest.raises(FileExistsError):
        secret_file.create(str(dangling), secret_file.generate())


@pytest.mark.parametrize("bits", [0o600, 0o640, 0o400, 0o440])
def test_modes_that_keep_others_out_are_accepted(path: Path, bits: int) -> None:
    """Owner and group may read."""
    path.chmod(bits)
    assert secret_file.read(str(path)).lines


@pytest.mark.parametrize("bits", [0o644, 0o604, 0o660, 0o602, 0o777, 0o700])
def test_modes_that_let_others_in_are_refused(path: Path, bits: int) -> None:
    """The error names the mode and the cure."""
    path.chmod(bits)
    with pytest.raises(MistakesFound, match=f"mode {bits:04o} opens it to others; run: chmod 0600"):
        secret_file.read(str(path))


def test_any_mode_will_do_where_the_service_manager_keeps_others_away(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under $CREDENTIALS_DIRECTORY the mode does not matter, beside it it does."""
    path.chmod(0o644)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(path.parent))
    assert secret_file.read(str(path)).lines
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(path.parent) + "-other")
    with pytest.raises(MistakesFound):
        secret_file.read(str(path))


def test_a_link_into_the_credentials_counts_as_there(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """/etc/authagent/secret may be a link to a mounted secret."""
    mounted = path.parent / "mounted"
    mounted.mkdir()
    path.rename(mounted / "secret")
    (mounted / "secret").chmod(0o444)
    path.symlink_to(mounted / "secret")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(mounted))
    assert secret_file.read(str(path)).lines


def test_what_the_service_manager_hands_over_is_read_where_the_file_cannot_be(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """systemd's LoadCredential: the file itself counts while it can be read, then the copy, then the error is of it."""
    credentials = path.parent / "credentials"
    credentials.mkdir()
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(credentials))
    own = secret_file.read(str(path)).lines
    (credentials / path.name).write_text(secret_file.generate() + "\n")
    assert secret_file.read(str(path)).lines == own
    path.unlink()
    assert secret_file.read(str(path)).lines not in (own, ())
    (credentials / path.name).unlink()
    with pytest.raises(MistakesFound, match=str(path)):
        secret_file.read(str(path))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "one or two lines"),
        (b"hunter2\n", "line 1 is weak: it is shorter than 20 characters"),
        (b"\xff\xfe\n", "it is not text"),
        (b"x" * 5000, "larger than 4 KiB"),
    ],
)
def test_bad_content_is_one_line_that_does_not_quote_it(path: Path, content: bytes, says: str) -> None:
    """Empty, weak, binary and huge files are refused by name, not by content."""
    path.write_bytes(content)
    with pytest.raises(MistakesFound, match=says) as caught:
        secret_file.read(str(path))
    assert str(caught.value).startswith(f"secret file {path}: ") and "\n" not in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    """One line each, with what to do."""
    with pytest.raises(MistakesFound, match="there is no such file; copy it from a machine that has it"):
        secret_file.read(str(tmp_path / "none"))
    with pytest.raises(MistakesFound, match="it is a folder"):
        secret_file.read(str(tmp_path))


def test_a_file_of_somebody_else_names_the_user(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system says no, the line says who may not."""

    def denied(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("builtins.open", denied)
    with pytest.raises(MistakesFound, match=f"user {os.geteuid()} may not use it"):
        secret_file.read(str(path))


def test_add_and_drop_change_the_secret_without_a_break(path: Path) -> None:
    """After add both lines count, newest first; after drop only the new one; mode and folder are as before."""
    path.chmod(0o640)
    first = secret_file.read(str(path)).newest
    secret_file.add(str(path))
    both = secret_file.read(str(path))
    assert both.lines[1] == first and both.newest != first
    secret_file.drop(str(path))
    assert secret_file.read(str(path)).lines == (both.newest,)
    assert mode(path) == 0o640 and os.listdir(path.parent) == ["secret"]


def test_a_third_line_and_dropping_the_only_one_are_refused(path: Path) -> None:
    """Nothing is changed, and the line says what to do first."""
    with pytest.raises(MistakesFound, match="one line only"):
        secret_file.drop(str(path))
    secret_file.add(str(path))
    before = path.read_bytes()
    with pytest.raises(MistakesFound, match="two lines already; drop the older one first"):
        secret_file.add(str(path))
    assert path.read_bytes() == before


def test_a_change_that_cannot_be_finished_changes_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the disk refuses the last step, the old file stands and no temporary one is left."""
    before = path.read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(MistakesFound, match="No space left on device"):
        secret_file.add(str(path))
    assert path.read_bytes() == before and os.listdir(path.parent) == ["secret"]


def test_a_linked_file_is_changed_where_it_is(path: Path) -> None:
    """add() through a symbolic link keeps the link."""
    link = path.parent / "link"
    link.symlink_to(path)
    secret_file.add(str(link))
    assert link.is_symlink() and len(secret_file.read(str(path)).lines) == 2


def test_at_first_start_both_agents_end_with_one_secret(tmp_path: Path) -> None:
    """Made by several at once, the secret is one, and its folder is private."""
    path = tmp_path / "state" / "secret"
    found: list[secret.Secrets] = []
    threads = [threading.Thread(target=lambda: found.append(secret_file.read_or_make(str(path)))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=10)
    assert len(found) == 8 and len(set(found)) == 1
    assert mode(path.parent) == 0o700 and os.listdir(path.parent) == ["secret"]


def test_a_state_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    """A file in the way is named, without a traceback."""
    (tmp_path / "state").write_text("")
    with pytest.raises(MistakesFound, match="secret file"):
        secret_file.read_or_make(str(tmp_path / "state" / "secret"))


def test_somebody_elses_secret_is_one_line_under_the_same_rules(tmp_path: Path) -> None:
    """A password is not judged, but its file must be closed to others and hold nothing else."""
    path = tmp_path / "word"
    path.touch(0o600)
    path.write_text("pw\n")
    assert secret_file.read_line(str(path)) == "pw"
    for content in ("", "\n", "one\ntwo\n"):
        path.write_text(content)
        with pytest.raises(MistakesFound, match="one line"):
            secret_file.read_line(str(path))
    path.chmod(0o644)
    with pytest.raises(MistakesFound, match="opens it to others"):
        secret_file.read_line(str(path))
