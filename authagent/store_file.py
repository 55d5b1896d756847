"""The file under the store: opening, rows, settings, and setting a damaged file aside.

Rules of this file:

- Everything here blocks and may be called from one thread at a time; authagent.store_writer owns that thread.
- A commit means stable storage: WAL with synchronous=FULL, so COMMIT returns after the disk said so.
- A group commit is one INSERT outside a transaction: one call, one sync, and the interpreter lock is taken back once.
- The file is locked twice: a lock file beside it (flock, gone with the process however it dies) against a second
  agent, and SQLite's own exclusive mode against everybody else.
- A file that cannot be trusted is set aside under a name with the time, never deleted. Its successor is built beside
  it, complete, under REBUILDING; renaming that to REBUILT is the moment from which it counts, and `adopt` finishes
  the exchange, after a crash too. So at every moment one complete file exists.

Theory. A row is the payloads of one group commit, and merging payloads is order-free and repeatable. So a snapshot is
nothing but more rows: once they are stored, the rows before them are superfluous and go. No moment of that can lose
anything, and what is left of a damaged file is a correct, older table.
"""

import datetime
import fcntl
import os
import sqlite3
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import attrs

from authagent.store_errors import Damaged, StoreUnusable, legible
from authagent.store_reading import Reading, Rows
from authagent.store_rows import pack

FORMAT_VERSION = 1
_UNUSED = (1 << 63) - 1
"""What stands in the column `expires_ms`, which format 1 has and nobody reads."""

MAIN = "sessions.db"
REBUILDING = "sessions.db.rebuilding"
REBUILT = "sessions.db.rebuilt"
LOCK = "sessions.lock"

_PAGE_BYTES = 8192  # measured: 4096 costs a tenth more for 30 KiB rows, 32768 writes four times as much for small ones
_CHECKPOINT_PAGES = 512  # 4 MiB of log; a commit that checkpoints takes about 5 ms then


@attrs.frozen
class Identity:
    """Whose table a folder holds."""

    site: str
    id: str


# -- the folder ---------------------------------------------------------------------------------------------------


def lock_folder(folder: Path) -> int | None:
    """Take the folder for this process; returns the descriptor that holds it, None where no lock can be made.

    Raises StoreUnusable when another process holds it, OSError when the folder cannot be made.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / LOCK
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError:
        try:  # a read-only folder: an old lock file can still be locked
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise StoreUnusable(
            f"state folder {folder} is in use by another process; stop it, or give this agent a --state-dir of its own"
        ) from None
    return descriptor


def set_aside(folder: Path, wall_ms: int) -> str:
    """Rename the file, and its log, to a name with the time; returns that name ("" when there is no file)."""
    moment = datetime.datetime.fromtimestamp(wall_ms / 1000, datetime.UTC).strftime("%Y%m%dT%H%M%SZ")
    name, count = f"{MAIN}.set-aside-{moment}", 1
    while (folder / name).exists() or (folder / f"{name}-wal").exists():
        count += 1
        name = f"{MAIN}.set-aside-{moment}-{count}"
    found = False
    for suffix in ("-wal", ""):  # the log first: it must never meet a file that it does not belong to
        path = folder / f"{MAIN}{suffix}"
        if path.exists():
            path.rename(folder / f"{name}{suffix}")
            found = True
    return name if found else ""


def adopt(folder: Path, wall_ms: int) -> str:
    """Put a complete rebuilt file, if there is one, in the place of the old; returns the name the old one got."""
    rebuilt = folder / REBUILT
    if not rebuilt.exists():
        return ""
    name = set_aside(folder, wall_ms)
    rebuilt.rename(folder / MAIN)
    sync_folder(folder)
    return name


def sync_folder(folder: Path) -> None:
    """Make renames and new files of the folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


# -- one file -----------------------------------------------------------------------------------------------------


class StoreFile:
    """One open database. Every method blocks and may raise sqlite3.Error, OSError or Damaged."""

    def __init__(self, path: Path, identity: Identity) -> None:
        """Open the file, making it when it is missing.

        Raises StoreUnusable when it belongs to another agent or was written by a newer version.
        """
        self.path = path
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        self._database = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=0.0)
        try:
            self._prepare(identity)
        except BaseException:
            self._database.close()
            raise

    def _execute(self, statement: str, parameters: Sequence[object] = ()) -> sqlite3.Cursor:
        with legible():
            return self._database.execute(statement, tuple(parameters))

    def _prepare(self, identity: Identity) -> None:
        execute = self._execute
        execute(f"PRAGMA page_size = {_PAGE_BYTES}")
        execute("PRAGMA locking_mode = EXCLUSIVE")
        execute("PRAGMA trusted_schema = OFF")
        execute("PRAGMA cell_size_check = ON")
        if execute("PRAGMA journal_mode = WAL").fetchone()[0] != "wal":
            raise OSError(f"{self.path} is on a file system where SQLite cannot keep a write-ahead log")
        execute("PRAGMA synchronous = FULL")
        execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
        if not execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]:
            self._create(identity)
        self._check(identity)

    def _create(self, identity: Identity) -> None:
        execute = self._execute
        execute("BEGIN IMMEDIATE")
        execute("CREATE TABLE settings (name TEXT PRIMARY KEY, value TEXT NOT NULL, checksum INTEGER NOT NULL)")
        execute("CREATE TABLE rows (id INTEGER PRIMARY KEY, expires_ms INTEGER NOT NULL, payloads BLOB NOT NULL)")
        for name, value in (("format", str(FORMAT_VERSION)), ("site", identity.site), ("id", identity.id)):
            self._set(name, value)
        execute("COMMIT")
        sync_folder(self.path.parent)

    def _check(self, identity: Identity) -> None:
        version = int(self._get("format"))
        if version > FORMAT_VERSION:
            raise StoreUnusable(
                f"{self.path} was written by a newer authagent (format {version}, this one knows {FORMAT_VERSION}); "
                "upgrade, or move the file away to start empty"
            )
        found = Identity(self._get("site"), self._get("id"))
        if found != identity:
            raise StoreUnusable(
                f"state folder {self.path.parent} belongs to agent {found.id} of site {found.site}, not to agent "
                f"{identity.id} of site {identity.site}; give this agent a --state-dir of its own"
            )

    def _set(self, name: str, value: str) -> None:
        self._execute("INSERT OR REPLACE INTO settings VALUES (?, ?, ?)", (name, value, _sum(name, value)))

    def _get(self, name: str, default: str | None = None) -> str:
        row = self._execute("SELECT value, checksum FROM settings WHERE name = ?", (name,)).fetchone()
        if row is None and default is not None:
            return default
        if row is None or not isinstance(row[0], str) or _sum(name, row[0]) != row[1]:
            raise Damaged(f"setting {name} is missing or damaged")
        return row[0]

    def term(self) -> int:
        """The greatest term that was written."""
        return int(self._get("term", "0"))

    def write_term(self, term: int) -> None:
        """Keep `term` unless a greater one is kept already."""
        if term > self.term():
            self._set("term", str(term))

    def clock(self) -> str:
        """What `write_clock` was given last; empty at first."""
        return self._get("clock", "")

    def write_clock(self, text: str) -> None:
        """Keep `text` in place of what is kept."""
        self._set("clock", text)

    def append(self, payloads: Sequence[bytes]) -> int:
        """One group commit; returns how many bytes it took. On return it is on stable storage."""
        row = pack(payloads)
        self._execute("INSERT INTO rows (expires_ms, payloads) VALUES (?, ?)", (_UNUSED, row))
        return len(row)

    def last_id(self) -> int:
        """The id of the newest row, 0 when there is none."""
        return int(self._execute("SELECT coalesce(max(id), 0) FROM rows").fetchone()[0])

    def rows_bytes(self) -> int:
        """About how many bytes the rows take."""
        pages = self._execute("PRAGMA page_count").fetchone()[0]
        free = self._execute("PRAGMA freelist_count").fetchone()[0]
        return int(pages - free) * _PAGE_BYTES

    def read(self) -> Iterator[Rows]:
        """All rows, a part of them at a time; what is appended meanwhile may be among them. See store_reading.py."""
        return Reading(self._execute, self._bytes)

    def _bytes(self) -> int:
        return int(self._execute("PRAGMA page_count").fetchone()[0]) * _PAGE_BYTES

    def drop_through(self, last_id: int, rows_max: int) -> bool:
        """Forget at most `rows_max` of the rows up to `last_id`; True when none is left."""
        query = "DELETE FROM rows WHERE id IN (SELECT id FROM rows WHERE id <= ? ORDER BY id LIMIT ?)"
        return self._execute(query, (last_id, rows_max)).rowcount < rows_max

    def close(self) -> None:
        """Fold the log into the file and close it. Never raises: what was committed is safe in the log as well."""
        try:
            self._execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except sqlite3.Error:
            pass
        self._database.close()


def _sum(name: str, value: str) -> int:
    return zlib.crc32(f"{name}\0{value}".encode())


def fresh_rebuilding(folder: Path, identity: Identity) -> StoreFile:
    """An empty file beside the old one, to be filled and then adopted."""
    for suffix in ("", "-wal", "-shm", "-journal"):
        (folder / f"{REBUILDING}{suffix}").unlink(missing_ok=True)
    return StoreFile(folder / REBUILDING, identity)


def finish_rebuilding(file: StoreFile, wall_ms: int) -> str:
    """Close the complete `file` and put it in the place of the old one; returns the name the old one got."""
    folder = file.path.parent
    file.close()
    log = folder / f"{REBUILDING}-wal"
    if log.exists() and log.stat().st_size:
        raise OSError(f"the log of {file.path} could not be folded in")
    log.unlink(missing_ok=True)
    (folder / REBUILDING).rename(folder / REBUILT)
    sync_folder(folder)
    return adopt(folder, wall_ms)
