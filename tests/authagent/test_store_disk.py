"""The state folder in the writer's hands, step by step, without its thread."""

import sqlite3
from pathlib import Path
from typing import cast

import pytest

from authagent.store_disk import Disk
from authagent.store_file import MAIN, NEVER_MS, REBUILDING, Identity, StoreFile, StoreUnusable
from authagent.store_writer import Writer

AGENT = Identity("lan1", "1")


class Hands:
    """Stands for a writer: only what it holds."""

    def __init__(self) -> None:
        self.file: StoreFile | None = None


def hands() -> Writer:
    return cast(Writer, Hands())


def disk_of(folder: Path) -> Disk:
    return Disk(folder, AGENT, lambda: 1_767_225_600_000)


def stored(folder: Path, *payloads: bytes) -> None:
    folder.mkdir(exist_ok=True)
    file = StoreFile(folder / MAIN, AGENT)
    file.append(payloads, NEVER_MS)
    file.write_term(5)
    file.close()


def test_opening_tells_the_term(tmp_path: Path) -> None:
    """An ordinary file is opened for writing, with its term, and nothing is set aside."""
    stored(tmp_path, b"x")
    disk, writer = disk_of(tmp_path), hands()
    opened = disk.open(writer)
    assert (opened.term, opened.error, disk.take_set_aside()) == (5, None, [])
    assert disk.read(0, 0, writer).payloads == [b"x"]
    disk.drop(writer)
    disk.unlock()


def test_a_file_that_cannot_be_opened_is_read_from_a_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the original cannot be opened for writing, its content and term are known, and no copy stays behind."""
    stored(tmp_path / "state", b"x")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "copies"))
    (tmp_path / "copies").mkdir()
    open_file = StoreFile.__init__

    def refuse(self: StoreFile, path: Path, identity: Identity) -> None:
        if path.parent == tmp_path / "state":
            raise PermissionError(13, "Permission denied")
        open_file(self, path, identity)

    monkeypatch.setattr(StoreFile, "__init__", refuse)
    disk, writer = disk_of(tmp_path / "state"), hands()
    opened = disk.open(writer)
    assert opened.term == 5 and isinstance(opened.error, PermissionError) and writer.file is None
    assert disk.newest_id(writer) == 1
    assert disk.read(0, 0, writer).payloads == [b"x"]
    assert list((tmp_path / "copies").iterdir()) == []
    disk.end_load(writer)
    assert disk.newest_id(writer) == 0
    assert not disk.distrusted, "what was read whole need not be set aside"
    disk.unlock()


def test_mending_a_sound_file_goes_on_with_it(tmp_path: Path) -> None:
    """After a full disk the same file is opened again; the rows in it are superfluous once a snapshot is written."""
    stored(tmp_path, b"x")
    disk, writer = disk_of(tmp_path), hands()
    disk.open(writer)
    assert disk.begin_mending(writer, term=8) == 1
    assert writer.file is not None and writer.file.path.name == MAIN and writer.file.term() == 8
    disk.finish_mending(writer)
    assert disk.take_set_aside() == []
    disk.drop(writer)
    disk.unlock()


def test_mending_a_distrusted_file_replaces_it(tmp_path: Path) -> None:
    """The new file is built beside the old one, takes its place when it is complete, and the old one is kept."""
    stored(tmp_path, b"x")
    disk, writer = disk_of(tmp_path), hands()
    disk.open(writer)
    disk.distrusted = "row 1 does not match its checksum"
    assert disk.begin_mending(writer, term=5) == 0
    assert writer.file is not None and writer.file.path.name == REBUILDING
    writer.file.append([b"y"], NEVER_MS)
    disk.finish_mending(writer)
    assert writer.file is not None and writer.file.path.name == MAIN
    assert writer.file.read(0).payloads == [b"y"] and writer.file.term() == 5
    (aside,) = disk.take_set_aside()
    assert aside.why == "row 1 does not match its checksum" and (tmp_path / aside.name).exists()
    assert not disk.distrusted
    disk.drop(writer)
    disk.unlock()


def test_a_file_with_broken_settings_is_set_aside_at_start(tmp_path: Path) -> None:
    """Settings that do not match their checksums cannot be trusted with whose file it is: set aside, start empty."""
    stored(tmp_path, b"x")
    with sqlite3.connect(tmp_path / MAIN) as database:
        database.execute("UPDATE settings SET value = 'lan9' WHERE name = 'site'")
    database.close()
    disk, writer = disk_of(tmp_path), hands()
    assert disk.open(writer).error is None
    assert len(disk.take_set_aside()) == 1
    assert disk.newest_id(writer) == 0
    disk.drop(writer)
    disk.unlock()


def test_a_folder_in_use_is_refused(tmp_path: Path) -> None:
    """Only the reasons of another agent are raised, none of the disk's."""
    disk, other = disk_of(tmp_path), disk_of(tmp_path)
    writer = hands()
    disk.open(writer)
    with pytest.raises(StoreUnusable, match="in use"):
        other.open(hands())
    disk.drop(writer)
    disk.unlock()
