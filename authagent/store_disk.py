"""The state folder in the hands of the writer thread: opening, reading at start, replacing a file that failed.

Rules of this file:

- Every method that takes a writer runs in its thread, blocks, and leaves in `writer.file` what is to be written to.
- Opening never fails for a reason of the disk: it tells the reason, and the store begins as a broken one.
- A folder that can only be read is loaded from a private copy, since SQLite cannot read a log where it cannot lock.
- `distrusted` says why the file at hand must be replaced and not reused; the owner may set it too.
"""

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import attrs

from authagent.store_errors import DISK_ERRORS, Damaged, is_damage, reason
from authagent.store_file import (
    MAIN,
    REBUILDING,
    Identity,
    StoreFile,
    adopt,
    finish_rebuilding,
    fresh_rebuilding,
    lock_folder,
    set_aside,
)
from authagent.store_reading import Rows
from authagent.store_writer import Writer


@attrs.frozen
class Opened:
    """What opening found. With `error` there is no file to write to."""

    term: int = 0
    clock: str = ""
    rows_bytes: int = 0
    error: Exception | None = None


@attrs.frozen
class SetAside:
    """A file that was set aside under `name`."""

    name: str
    why: str


class Disk:
    """One state folder."""

    def __init__(self, folder: Path, identity: Identity, wall_ms: Callable[[], int]) -> None:
        self.folder = folder
        self.distrusted = ""
        self._identity = identity
        self._wall_ms = wall_ms
        self._lock: int | None = None
        self._reader: StoreFile | None = None
        self._reading: Iterator[Rows] | None = None
        self._set_aside: list[SetAside] = []

    # -- start ------------------------------------------------------------------------------------------------

    def open(self, writer: Writer) -> Opened:
        """Lock the folder and open its file. Raises StoreUnusable and nothing else."""
        try:
            self._take_lock()
            writer.file = self._open_or_start_empty()
            self._reading = writer.file.read()
            return Opened(writer.file.term(), writer.file.clock(), writer.file.rows_bytes())
        except DISK_ERRORS as error:
            self.drop(writer)
            return attrs.evolve(self._open_copy(), error=error)

    def _take_lock(self) -> None:
        if self._lock is None:
            self._lock = lock_folder(self.folder)

    def _open_or_start_empty(self) -> StoreFile:
        self._remember(adopt(self.folder, self._wall_ms()), "it was damaged and has been written anew")
        try:
            return StoreFile(self.folder / MAIN, self._identity)
        except (sqlite3.Error, Damaged) as error:
            if not is_damage(error) or getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_IOERR:
                raise
            self._remember(set_aside(self.folder, self._wall_ms()), reason(error))
            return StoreFile(self.folder / MAIN, self._identity)

    def _open_copy(self) -> Opened:
        """Open a copy of a file that cannot be opened itself, to load from; what it says but for its rows."""
        self.distrusted = "it could not be read at start"
        copy = Path(tempfile.mkdtemp(prefix="authagent-"))
        try:
            for suffix in ("", "-wal"):
                source = self.folder / f"{MAIN}{suffix}"
                if source.exists():
                    shutil.copyfile(source, copy / f"{MAIN}{suffix}")
            if not (copy / MAIN).exists():
                return Opened()
            self._reader = StoreFile(copy / MAIN, self._identity)
            self._reading = self._reader.read()
            opened = Opened(self._reader.term(), self._reader.clock())
            self.distrusted = ""
            return opened
        except DISK_ERRORS:
            return Opened()
        finally:  # what is open stays readable, and nothing is left behind however the process ends
            shutil.rmtree(copy, ignore_errors=True)

    def read(self, writer: Writer) -> Rows | None:
        """The next part of the rows; None when there are no more. Nothing is ever raised."""
        if self._reading is None:
            return None
        if (writer.file or self._reader) is None:
            self._reading = None
            return Rows([], 1.0, "it failed while it was loaded")
        return next(self._reading, None)

    def end_load(self, writer: Writer) -> None:
        """Nothing will be read any more."""
        self._reading = None
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.close()

    # -- mending ----------------------------------------------------------------------------------------------

    def begin_mending(self, writer: Writer, *, term: int, clock: str) -> int:
        """Open a file that everything in memory can be written to; the newest row that will be superfluous then."""
        self.drop(writer)
        self._take_lock()
        if self._lock is None:
            raise OSError("the folder is read-only")
        if self.distrusted:
            file, last_id = fresh_rebuilding(self.folder, self._identity), 0
        else:
            self._remember(adopt(self.folder, self._wall_ms()), "it was damaged and has been written anew")
            file = StoreFile(self.folder / MAIN, self._identity)
            last_id = file.last_id()
        writer.file = file
        file.write_term(term)
        file.write_clock(clock)
        return last_id

    def finish_mending(self, writer: Writer) -> None:
        """Everything is written. A file that was built beside the old one takes its place."""
        file = writer.file
        assert file is not None, "mending without a file"
        if file.path.name != REBUILDING:
            return
        writer.file = None
        self._remember(finish_rebuilding(file, self._wall_ms()), self.distrusted)
        self.distrusted = ""
        writer.file = StoreFile(self.folder / MAIN, self._identity)

    @staticmethod
    def drop(writer: Writer) -> None:
        """Close the file; what comes now is dropped until it is mended."""
        file, writer.file = writer.file, None
        if file is not None:
            file.close()

    # -- for the owner ----------------------------------------------------------------------------------------

    def unlock(self) -> None:
        """Give the folder back. The writer's thread must have ended."""
        lock, self._lock = self._lock, None
        if lock is not None:
            os.close(lock)

    def take_set_aside(self) -> list[SetAside]:
        """Files set aside since the last call."""
        taken, self._set_aside = self._set_aside, []
        return taken

    def _remember(self, name: str, why: str) -> None:
        if name:
            self._set_aside.append(SetAside(name, why))
