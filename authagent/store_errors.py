"""What a disk and the files on it may do to the store, and how that is told to an operator.

Rules of this file:

- DISK_ERRORS is all that a disk can cause; anything else that is raised is a mistake in the program.
- An error is told in one line of an operator's words, never in SQLite's own.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

_DAMAGE_CODES = {sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT}
_REASONS = {
    sqlite3.SQLITE_FULL: "the disk is full",
    sqlite3.SQLITE_READONLY: "the folder or file is read-only",
    sqlite3.SQLITE_CANTOPEN: "the file cannot be opened or made",
    sqlite3.SQLITE_BUSY: "another program holds the file",
    sqlite3.SQLITE_IOERR: "the disk reported an error, is full, or a limit on file size was met",
    sqlite3.SQLITE_CORRUPT: "the file is damaged",
    sqlite3.SQLITE_NOTADB: "the file is damaged (its header is not a database's)",
}


class StoreUnusable(Exception):
    """The state folder must not be used by this process: exit code 2. The text is one line and says what to do."""


class Damaged(Exception):
    """The content of the file is not what was written."""


DISK_ERRORS = (sqlite3.Error, OSError, Damaged)
"""What a disk may do to us; anything else is a mistake in the program."""


def reason(error: Exception) -> str:
    """What went wrong with the disk, in words an operator can act on."""
    if isinstance(error, sqlite3.Error):
        code = getattr(error, "sqlite_errorcode", 0)
        return _REASONS.get(code & 0xFF, str(error))
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return str(error)


def is_damage(error: Exception) -> bool:
    """Whether after this error the file itself cannot be trusted any more.

    An I/O error is one: pages whose sync failed may be marked clean and lost, so the same file is never tried again.
    """
    if isinstance(error, sqlite3.Error):
        return (getattr(error, "sqlite_errorcode", 0) & 0xFF) in _DAMAGE_CODES
    return isinstance(error, Damaged)


@contextmanager
def legible() -> Iterator[None]:
    """Around a statement, and around each row of its answer: damage is raised as sqlite3.DatabaseError.

    A damaged schema may keep sqlite3 from reading the words of SQLite's own complaint. What it raises then is no error
    of its kind, and means damage all the same.
    """
    try:
        yield
    except UnicodeDecodeError:
        error = sqlite3.DatabaseError("the file is damaged")
        error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
        raise error from None
