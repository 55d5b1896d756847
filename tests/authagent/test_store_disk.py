"""The state folder in the writer's hands, step by step, without its thread."""

import os
import sqlite3
from pathlib import Path
from typing import cast

import pytest

from authagent import store_disk
from authagent.store_disk import Disk
from authagent.store_errors import Damaged, StoreUnusable
from authagent.store_file import (
    MAIN,
    REBUILDING,
    REBUILT,
    Identity,
    StoreFile,
    lock_folder,
)
from authagent.store_reading import PART_BYTES
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
    file.append(payloads)
    file.write_term(5)
    file.write_clock("boot 7")
    file.close()


def read(disk: Disk, writer: Writer) -> list[bytes]:
    """Every payload that can be read; a file that is sound is not said to be damaged."""
    payloads: list[bytes] = []
    while (rows := disk.read(writer)) is not None:
        assert not rows.damage
        payloads += rows.payloads
    return payloads


def forge(folder: Path, name: str, value: str) -> None:
    """Write a setting behind the store's back, with the checksum that it had."""
    with sqlite3.connect(folder / MAIN) as database:
        database.execute("UPDATE settings SET value = ? WHERE name = ?", (value, name))
    database.close()


def test_opening_tells_the_term_and_the_clock(tmp_path: Path) -> None:
    """An ordinary file is opened for writing, and nothing is set aside."""
    stored(tmp_path, b"x")
    disk, writer = disk_of(tmp_path), hands()
    opened = disk.open(writer)
    assert (opened.term, opened.clock, opened.error, disk.take_set_aside()) == (5, "boot 7", None, [])
    assert read(disk, writer) == [b"x"]
    disk.drop(writer)
    disk.unlock()


def test_a_file_that_cannot_be_opened_is_read_from_a_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the original cannot be opened for writing, all that it says is known, and no copy stays behind."""
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
    assert (opened.term, opened.clock) == (5, "boot 7") and isinstance(opened.error, PermissionError)
    assert writer.file is None
    assert read(disk, writer) == [b"x"]
    assert list((tmp_path / "copies").iterdir()) == []
    reader = disk._reader
    assert reader is not None
    disk.end_load(writer)
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        reader.term()
    assert read(disk, writer) == []
    assert not disk.distrusted, "what was read whole need not be set aside"
    disk.unlock()


def test_mending_a_sound_file_goes_on_with_it(tmp_path: Path) -> None:
    """After a full disk the same file is opened again; the rows in it are superfluous once a snapshot is written."""
    stored(tmp_path, b"x")
    disk, writer = disk_of(tmp_path), hands()
    disk.open(writer)
    assert disk.begin_mending(writer, term=8, clock="boot 8") == 1
    assert writer.file is not None and writer.file.path.name == MAIN
    assert (writer.file.term(), writer.file.clock()) == (8, "boot 8")
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
    assert disk.begin_mending(writer, term=5, clock="boot 7") == 0
    assert writer.file is not None and writer.file.path.name == REBUILDING
    writer.file.append([b"y"])
    disk.finish_mending(writer)
    assert writer.file is not None and writer.file.path.name == MAIN
    assert [rows.payloads for rows in writer.file.read()] == [[b"y"]]
    assert (writer.file.term(), writer.file.clock()) == (5, "boot 7")
    (aside,) = disk.take_set_aside()
    assert aside.why == "row 1 does not match its checksum" and (tmp_path / aside.name).exists()
    assert not disk.distrusted
    disk.drop(writer)
    disk.unlock()


def test_an_exchange_that_fails_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What comes after it is dropped, and not written to a file that is closed."""
    disk, writer = disk_of(tmp_path), hands()
    disk.distrusted = "damaged"
    disk.begin_mending(writer, term=1, clock="")

    def fail(file: StoreFile, wall_ms: int) -> str:
        file.close()
        raise OSError("the log could not be folded in")

    monkeypatch.setattr(store_disk, "finish_rebuilding", fail)
    with pytest.raises(OSError, match="folded"):
        disk.finish_mending(writer)
    assert writer.file is None and disk.distrusted
    disk.unlock()


def test_a_file_with_broken_settings_is_set_aside_at_start(tmp_path: Path) -> None:
    """Settings that do not match their checksums cannot be trusted with whose file it is: set aside, start empty."""
    stored(tmp_path, b"x")
    forge(tmp_path, "site", "lan9")
    disk, writer = disk_of(tmp_path), hands()
    assert disk.open(writer).error is None
    assert len(disk.take_set_aside()) == 1
    assert read(disk, writer) == []
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


def refusing(folder: Path, error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    """No file of this folder can be opened."""
    open_file = StoreFile.__init__

    def refuse(self: StoreFile, path: Path, identity: Identity) -> None:
        if path == folder / MAIN and path.exists():
            raise error
        open_file(self, path, identity)

    monkeypatch.setattr(StoreFile, "__init__", refuse)


def coded(code: int) -> sqlite3.Error:
    error = sqlite3.OperationalError("the words of SQLite")
    error.sqlite_errorcode = code
    return error


@pytest.mark.parametrize(
    ("error", "damage"),
    [
        (coded(sqlite3.SQLITE_IOERR_FSYNC), False),
        (coded(sqlite3.SQLITE_BUSY), False),
        (coded(sqlite3.SQLITE_CORRUPT), True),
        (Damaged("setting site is missing or damaged"), True),
    ],
    ids=["input and output", "held", "corrupt", "settings"],
)
def test_at_start_only_damage_sets_a_file_aside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, damage: bool
) -> None:
    """After an error of the disk, or where another program holds it, the file may be whole: it stays, and is read."""
    stored(tmp_path, b"x")
    refusing(tmp_path, error, monkeypatch)
    disk, writer = disk_of(tmp_path), hands()
    opened = disk.open(writer)
    assert opened.error is (None if damage else error)
    assert len(disk.take_set_aside()) == damage
    assert read(disk, writer) == ([] if damage else [b"x"])
    assert (opened.term, opened.rows_bytes > 0) == ((0, True) if damage else (5, False))
    disk.end_load(writer)
    disk.drop(writer)
    disk.unlock()


@pytest.mark.parametrize("when", ["at start", "when mended"])
def test_an_exchange_that_was_cut_short_is_finished(tmp_path: Path, when: str) -> None:
    """A file that is complete beside the old one takes its place at the next occasion, and the old one is told of."""
    stored(tmp_path, b"old")
    disk, writer = disk_of(tmp_path), hands()
    if when == "when mended":
        disk.open(writer)
        disk.drop(writer)
    (tmp_path / MAIN).rename(tmp_path / REBUILT)
    stored(tmp_path, b"newer", b"but broken")
    if when == "when mended":
        assert disk.begin_mending(writer, term=6, clock="") == 1
    else:
        disk.open(writer)
    assert writer.file is not None and [rows.payloads for rows in writer.file.read()] == [[b"old"]]
    assert [aside.why for aside in disk.take_set_aside()] == ["it was damaged and has been written anew"]
    assert disk.take_set_aside() == []
    disk.drop(writer)
    disk.unlock()


def test_a_file_whose_term_is_damaged_is_read_and_replaced(tmp_path: Path) -> None:
    """Its rows are loaded all the same; it is not written to, and mending builds another beside it at once."""
    stored(tmp_path, b"x")
    forge(tmp_path, "term", "6")
    disk, writer = disk_of(tmp_path), hands()
    opened = disk.open(writer)
    assert isinstance(opened.error, Damaged) and (opened.term, writer.file) == (0, None)
    assert read(disk, writer) == [b"x"]
    disk.end_load(writer)
    disk.begin_mending(writer, term=7, clock="")
    assert writer.file is not None and writer.file.path.name == REBUILDING
    disk.finish_mending(writer)
    assert writer.file.term() == 7
    disk.drop(writer)
    disk.unlock()


def test_where_no_lock_can_be_made_nothing_is_mended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A read-only folder is opened without a lock; it must have one before anything is written."""
    monkeypatch.setattr(store_disk, "lock_folder", lambda folder: None)
    disk, writer = disk_of(tmp_path), hands()
    disk.open(writer)
    with pytest.raises(OSError, match="the folder is read-only"):
        disk.begin_mending(writer, term=1, clock="")
    assert writer.file is None
    monkeypatch.undo()
    disk.begin_mending(writer, term=1, clock="")
    with pytest.raises(StoreUnusable):
        lock_folder(tmp_path)
    disk.drop(writer)
    disk.unlock()
    os.close(lock_folder(tmp_path) or 0)


def test_a_folder_that_cannot_be_made_holds_nothing(tmp_path: Path) -> None:
    """Neither term nor rows, and no file to write to."""
    (tmp_path / "state").write_text("in the way")
    disk, writer = disk_of(tmp_path / "state"), hands()
    opened = disk.open(writer)
    assert isinstance(opened.error, FileExistsError) and (opened.term, opened.rows_bytes) == (0, 0)
    assert disk.distrusted == "it could not be read at start"
    disk.unlock()


def test_without_a_file_there_is_nothing_to_read(tmp_path: Path) -> None:
    """Before it was opened, and where it could not be: no rows, and no word of damage."""
    (tmp_path / "state").write_text("in the way")
    disk, writer = disk_of(tmp_path / "state"), hands()
    assert disk.read(writer) is None
    disk.open(writer)
    assert disk.read(writer) is None
    disk.unlock()


@pytest.mark.parametrize("read_before", [True, False])
def test_a_file_that_fails_before_it_was_read_is_told(tmp_path: Path, read_before: bool) -> None:
    """Rows that were not read are not in memory: whoever loads must hear of them, or mending would drop them."""
    stored(tmp_path, *[bytes([1]) * PART_BYTES] * 2)
    disk, writer = disk_of(tmp_path), hands()
    disk.open(writer)
    if read_before:
        assert disk.read(writer) is not None
    disk.drop(writer)
    rows = disk.read(writer)
    assert rows is not None and (rows.payloads, rows.damage) == ([], "it failed while it was loaded")
    assert disk.read(writer) is None
    disk.unlock()
