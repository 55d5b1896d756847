"""The embedded store, as the rest of the agent sees it: payloads go in, "stored up to here" comes out.

Rules of this file:

- Nothing here blocks the loop: one thread owns the disk (authagent.store_writer), this side counts and decides.
- Merge first, then write. A snapshot is taken from the table in memory, so what was written before it began must be
  in the table by then; that is the one duty of the caller.
- A position is the caller's own number for a payload. It is handed back, never compared.
- Stored means stored: while the store is broken, or is being mended, no position is reported.
- A broken store stops nothing. What it missed is in memory, and a snapshot mends it: into the same file when that is
  sound (the disk was full), else into a new one that takes its place, the old one being set aside.
- Nothing that was not loaded is ever dropped: before `load` has ended there is neither snapshot nor mending, and a
  file that could not be read whole is set aside.

Theory: authagent/store_file.py. Why SQLite and not a log of our own: docs/decisions/0006.
"""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import attrs
import trio

from authagent.store_channel import Channel
from authagent.store_disk import Disk
from authagent.store_errors import DISK_ERRORS, StoreUnusable, is_damage, reason
from authagent.store_file import Identity, StoreFile
from authagent.store_writer import Failed, News, NoFile, Writer, Written
from protocol.io.log import Log

__all__ = ["Store", "StoreStatus", "StoreUnusable", "open_store"]

QUEUE_BYTES_MAX = 64 * 1024 * 1024
"""What may wait for a slow disk: ten seconds at full load. Beyond it the store counts as broken."""

COMPACT_BYTES_MIN = 32 * 1024 * 1024
"""Rows behind the last snapshot below which there is no new one: loading them takes a second."""

STALL_S = 5.0
"""A disk that has not answered for so long counts as broken, and nobody waits for it any more."""

_SLICE_BYTES = 256 * 1024  # of a snapshot in one row: some 3 ms, which a group commit behind it has to wait
_DROP_ROWS = 16  # forgotten in one transaction, some 4 MiB of free pages at most
_RETRY_S = (1.0, 2.0, 5.0, 10.0, 30.0)
_CLOSE_TIMEOUT_S = 1.5  # SIGTERM is answered within 2 s (DESIGN section 4)


@attrs.frozen
class StoreStatus:
    """What `status` shows. `error` is one line, empty when ok."""

    ok: bool
    error: str


@asynccontextmanager
async def open_store(
    nursery: trio.Nursery,
    folder: str | Path,
    *,
    site: str,
    id: str,
    slices: Callable[[], Iterator[bytes]],
    stored: Callable[[int], None],
    log: Log,
    wall_ms: Callable[[], int],
) -> "AsyncIterator[Store]":
    """Open the store of agent (`site`, `id`) in `folder`; its upkeep runs in `nursery`.

    `slices()` gives the whole table as payloads, lazily; it is iterated with pauses between slices and must bear
    changes meanwhile. `stored(position)` is called in this thread once everything up to the payload of that position
    is on stable storage. `wall_ms` names files that are set aside. A folder that cannot be used for a reason of the
    disk raises nothing: `status` tells. Raises StoreUnusable (exit code 2) when the folder is another's.
    On leaving, what waits is written, for 1.5 s at most.
    """
    store = Store(Path(folder), Identity(site, id), slices=slices, stored=stored, log=log, wall_ms=wall_ms)
    await store.open()
    upkeep = trio.CancelScope()
    nursery.start_soon(store.run, upkeep)
    try:
        yield store
    finally:
        upkeep.cancel()
        await store.close()


class Store:
    """See open_store, which makes it."""

    def __init__(
        self,
        folder: Path,
        identity: Identity,
        *,
        slices: Callable[[], Iterator[bytes]],
        stored: Callable[[int], None],
        log: Log,
        wall_ms: Callable[[], int],
    ) -> None:
        self.term = 0
        self.clock = ""
        self.loaded_fraction = 0.0
        self.errors_total = 0
        self._disk = Disk(folder, identity, wall_ms)
        self._slices = slices
        self._stored = stored
        self._log = log
        self._error = ""  # why the store is broken
        self._stalled = False
        self._loaded = False
        self._mending = False
        self._held: int | None = None  # what may be reported once mending is done
        self._last_position: int | None = None
        self._terms: list[Callable[[bool], None]] = []
        self._rows_bytes = 0  # behind the last snapshot
        self._snapshot_bytes = 0
        self._attention = trio.Event()
        self._one_snapshot = trio.Lock()

    # -- opening and closing ----------------------------------------------------------------------------------

    async def open(self) -> None:
        """Open the file or find out why not. Raises StoreUnusable."""
        self._channel = Channel(self._news)
        try:
            opened = await self._channel.call(self._disk.open, needs_file=False)
        except BaseException:
            await self.close()
            raise
        self.term, self.clock, self._rows_bytes = opened.term, opened.clock, opened.rows_bytes
        self._tell_set_aside()
        if opened.error is not None:
            self._break(reason(opened.error))
        else:
            self._log.note("store.opened", folder=self._disk.folder, term=self.term, bytes=self._rows_bytes)

    async def close(self) -> None:
        """Write what waits and close the file, in 1.5 s at most; what was not reported as stored may be lost."""
        if await self._channel.close(_CLOSE_TIMEOUT_S):
            self._disk.unlock()
        else:
            self._log.warning("store.close_timed_out", folder=self._disk.folder)

    async def load(self) -> AsyncIterator[bytes]:
        """Every payload that is stored, in the order of writing, those of a snapshot among them.

        Must be run to its end once, before there is any snapshot. A damaged file raises nothing: what is whole is
        given, and it is written anew afterwards.
        """
        payloads = 0
        while (rows := await self._channel.call(self._disk.read, needs_file=False)) is not None:
            if rows.damage:
                self._distrust(rows.damage)
            for payload in rows.payloads:
                yield payload
            payloads += len(rows.payloads)
            self.loaded_fraction = rows.fraction
        await self._channel.call(self._disk.end_load, needs_file=False)
        self.loaded_fraction = 1.0
        self._loaded = True
        self._attention.set()
        self._log.note("store.loaded", payloads=payloads)

    def doubt(self, why: str) -> None:
        """Tell that a payload of `load` made no sense: the file will be set aside and written anew."""
        self._distrust(why)

    # -- writing ----------------------------------------------------------------------------------------------

    @property
    def status(self) -> StoreStatus:
        """Whether what is written reaches the disk."""
        if self._error:
            return StoreStatus(False, self._error)
        if self._stalled:
            return StoreStatus(False, f"the disk has not answered for over {STALL_S:.0f} s")
        return StoreStatus(True, "")

    @property
    def queued_bytes(self) -> int:
        """What waits for the disk."""
        return self._channel.queued_bytes

    def write(self, position: int, payload: bytes) -> None:
        """Have `payload` stored; `stored(position)` follows, or nothing while the store is broken. Never blocks.

        The caller has merged the payload into the table before. An empty payload is a mistake.
        """
        assert payload, "an empty payload"
        self._last_position = position
        if self._error and not self._mending:
            return
        if self._channel.queued_bytes >= QUEUE_BYTES_MAX:
            self._break(f"the disk is too slow: over {QUEUE_BYTES_MAX >> 20} MiB waited for it")
            return
        self._channel.write(position, payload)

    def write_term(self, term: int, done: Callable[[bool], None]) -> None:
        """Have `term` stored unless a greater one is, then call `done(stored)` in this thread. Never blocks.

        `done(False)` comes when the store is broken or the disk does not answer: the service goes on from memory.
        """
        self.term = max(self.term, term)
        self._terms.append(done)
        self._channel.post(partial(_write_term, term=self.term), partial(self._term_done, done))
        if self._stalled:
            self._channel.soon(self._release_terms)

    def write_clock(self, text: str) -> None:
        """Have `text` kept, for the `clock` of the next process. Never blocks; mending keeps it in a broken store."""
        self.clock = text
        self._channel.post(partial(_write_clock, text=text), lambda answer: None)

    async def flush(self) -> bool:
        """Wait until everything written before is handled; whether it is all on stable storage."""
        try:
            await self._channel.call(_nothing)
        except NoFile:
            return False
        return not self._error

    async def compact(self) -> None:
        """Write a snapshot and drop what it makes superfluous. It happens by itself when it is due.

        Group commits go on meanwhile. Does nothing while the store is broken. The caller has run `load` to its end.
        """
        assert self._loaded, "a snapshot before the file was loaded would drop what is in it"
        async with self._one_snapshot:
            try:
                last_id = await self._channel.call(_last_id)
                await self._write_snapshot()
                await self._drop_through(last_id)
            except (*DISK_ERRORS, NoFile) as error:
                self._log.detail("store.compact_failed", error=reason(error))
            else:
                self._log.note("store.compacted", bytes=self._snapshot_bytes)

    async def _write_snapshot(self) -> None:
        self._rows_bytes, size = 0, 0
        batch: list[bytes] = []
        batch_bytes = 0
        for payload in self._slices():
            batch.append(payload)
            batch_bytes += len(payload)
            if batch_bytes >= _SLICE_BYTES:
                size += await self._channel.call(partial(_append, payloads=batch))
                batch, batch_bytes = [], 0
            else:
                await trio.lowlevel.checkpoint()
        if batch:
            size += await self._channel.call(partial(_append, payloads=batch))
        self._snapshot_bytes = size

    async def _drop_through(self, last_id: int) -> None:
        while not await self._channel.call(partial(_drop_through, last_id=last_id)):
            pass

    # -- upkeep -----------------------------------------------------------------------------------------------

    async def run(self, scope: trio.CancelScope) -> None:
        """Mend what is broken, take snapshots when they are due, notice a disk that hangs; until cancelled."""
        with scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._watch_disk)
                failures = 0
                while True:
                    if self._error and self._loaded:
                        if failures:
                            await trio.sleep(_RETRY_S[min(failures, len(_RETRY_S)) - 1])
                        failures = 0 if await self._mend() else failures + 1
                    elif self._loaded and self._compaction_due():
                        await self.compact()
                    else:
                        self._attention = trio.Event()
                        await self._attention.wait()

    def _compaction_due(self) -> bool:
        return self._rows_bytes > max(COMPACT_BYTES_MIN, 2 * self._snapshot_bytes)

    async def _watch_disk(self) -> None:
        while True:
            await trio.sleep(STALL_S / 5)
            if not self._stalled and self._channel.silent_s() > STALL_S:
                self._stalled = True
                self._log.alarm("store.stalled", folder=self._disk.folder, error=self.status.error)
                self._release_terms()

    async def _mend(self) -> bool:
        """Write everything in memory into a sound file; whether that worked."""
        async with self._one_snapshot:
            try:
                begin = partial(self._disk.begin_mending, term=self.term, clock=self.clock)
                last_id = await self._channel.call(begin, needs_file=False)
                self._held, self._mending = self._last_position, True
                await self._write_snapshot()
                await self._channel.call(self._disk.finish_mending)
                if self._mending:  # else it broke again: what a full queue refused may not be in the file
                    self._mended()
                    await self._drop_through(last_id)
                    return True
            except StoreUnusable as error:
                self._break(reason(error))
            except (*DISK_ERRORS, NoFile):
                pass  # told already, as news
        return False

    def _mended(self) -> None:
        self._mending, self._error = False, ""
        self._tell_set_aside()
        self._log.warning("store.recovered", folder=self._disk.folder, bytes=self._snapshot_bytes)
        if self._held is not None:
            self._stored(self._held)

    def _tell_set_aside(self) -> None:
        for file in self._disk.take_set_aside():
            self._log.alarm("store.set_aside", folder=self._disk.folder, file=file.name, why=file.why)

    def _break(self, error: str) -> None:
        """From now on nothing counts as stored until the store is mended."""
        self._mending = False
        if error != self._error:
            self._error = error
            self.errors_total += 1
            self._log.alarm("store.broken", folder=self._disk.folder, error=error)
        self._attention.set()

    def _distrust(self, why: str) -> None:
        """The file is damaged; it is replaced when everything has been loaded."""
        if not self._disk.distrusted:
            self._disk.distrusted = why
            self._break(f"the file is damaged ({why})")

    # -- the other thread -------------------------------------------------------------------------------------

    def _news(self, news: News) -> None:
        if self._stalled:
            self._stalled = False
            self._log.warning("store.answers_again", folder=self._disk.folder)
        if isinstance(news, Written):
            self._written(news)
        elif isinstance(news, Failed):
            if is_damage(news.error):
                self._disk.distrusted = self._disk.distrusted or reason(news.error)
            self._break(reason(news.error))

    def _written(self, news: Written) -> None:
        self._rows_bytes += news.row_bytes
        if self._loaded and self._compaction_due():
            self._attention.set()
        if news.stored and self._mending:
            self._held = news.position
        elif news.stored:
            self._stored(news.position)

    def _term_done(self, done: Callable[[bool], None], answer: Any) -> None:
        if done in self._terms:  # else it was released before, when the disk hung
            self._terms.remove(done)
            done(not isinstance(answer, Exception) and not self._error)

    def _release_terms(self) -> None:
        waiting, self._terms = self._terms, []
        for done in waiting:
            done(False)


def _file(writer: Writer) -> StoreFile:
    """The open file; calls that need one are not made without."""
    assert writer.file is not None, "a call without a file"
    return writer.file


def _append(writer: Writer, *, payloads: list[bytes]) -> int:
    return _file(writer).append(payloads)


def _write_term(writer: Writer, *, term: int) -> None:
    _file(writer).write_term(term)


def _write_clock(writer: Writer, *, text: str) -> None:
    _file(writer).write_clock(text)


def _last_id(writer: Writer) -> int:
    return _file(writer).last_id()


def _drop_through(writer: Writer, *, last_id: int) -> bool:
    return _file(writer).drop_through(last_id, _DROP_ROWS)


def _nothing(writer: Writer) -> None:
    _file(writer)
