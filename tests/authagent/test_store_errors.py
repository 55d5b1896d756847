"""What a disk may do to the store: how it is told, and what of it means that a file is damaged."""

import sqlite3

import pytest

from authagent.store_errors import Damaged, is_damage, legible, reason


def test_errors_are_told_in_an_operators_words() -> None:
    """What SQLite and the system say becomes one line, and only errors that doubt the file count as damage."""
    full = sqlite3.OperationalError("database or disk is full")
    full.sqlite_errorcode = sqlite3.SQLITE_FULL
    failed = sqlite3.OperationalError("disk I/O error")
    failed.sqlite_errorcode = sqlite3.SQLITE_IOERR_FSYNC
    assert reason(full) == "the disk is full"
    assert reason(failed) == "the disk reported an error, is full, or a limit on file size was met"
    assert reason(OSError(30, "Read-only file system")) == "Read-only file system"
    assert reason(OSError("no number")) == "no number" and reason(Damaged("row 1")) == "row 1"
    assert reason(sqlite3.OperationalError("no such table")) == "no such table"
    assert not is_damage(full) and not is_damage(OSError(28, "x"))
    assert is_damage(failed) and is_damage(Damaged("x"))


def test_what_cannot_even_be_told_is_damage() -> None:
    """A complaint that is no text is raised as an error of SQLite's kind; what is one already stays as it is."""
    with pytest.raises(sqlite3.DatabaseError, match="damaged") as error, legible():
        b"\xff".decode()
    assert is_damage(error.value)
    with pytest.raises(sqlite3.OperationalError, match="locked"), legible():
        raise sqlite3.OperationalError("locked")
