"""The store as the agent sees it: what was reported as stored is there afterwards, whatever happens to the disk."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
import trio

from authagent import store as store_module
from authagent.store import Store, StoreUnusable
from authagent.store_disk import Disk
from authagent.store_file import Identity, StoreFile, lock_folder
from authagent.store_writer import Writer
from tests.authagent.store_child import payload_of
from tests.authagent.store_memory import Memory, content, fill, until

ROOT = Path(__file__).resolve().parents[2]
AS_ROOT = os.geteuid() == 0
needs_mounts = pytest.mark.skipif(not AS_ROOT, reason="mounting a small disk takes root")


@contextmanager
def small_disk(folder: Path, options: str) -> Iterator[None]:
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", str(folder)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def remount(folder: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", str(folder)], check=True)


@pytest.fixture(autouse=True)
def _quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "_RETRY_S", (0.02, 0.05))


class SlowDisk:
    """Commits wait until the test lets them go."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.gate = threading.Event()
        self.entered = threading.Event()
        append = StoreFile.append

        def slow_append(file: StoreFile, payloads: Sequence[bytes]) -> int:
            self.entered.set()
            assert self.gate.wait(20)
            return append(file, payloads)

        monkeypatch.setattr(StoreFile, "append", slow_append)


def closed_store(folder: Path, memory: Memory) -> Store:
    """A store that has not been opened."""
    of_memory = {"slices": memory.slices, "stored": memory.stored.append, "log": memory.log}
    return Store(folder, Identity("lan1", "1"), wall_ms=lambda: 0, **of_memory)  # type: ignore[arg-type]


def side_files(folder: Path) -> list[Path]:
    return sorted(folder.glob("sessions.db.set-aside-*"))


# -- the ordinary way ---------------------------------------------------------------------------------------------


async def test_what_was_stored_is_loaded(tmp_path: Path, nursery: trio.Nursery) -> None:
    """Payloads written before an orderly end come back, in order and once, and every position was reported."""
    memory = Memory()
    async with memory.opened(nursery, tmp_path) as store:
        for number in range(300):
            memory.add(store, b"%d" % number)
        assert await store.flush()
        assert memory.stored[-1] == 300 and memory.stored == sorted(memory.stored)
    again = Memory()
    async with again.opened(nursery, tmp_path) as store:
        assert again.payloads == memory.payloads
        assert store.loaded_fraction == 1.0 and store.status.ok and store.errors_total == 0
    assert again.events() == ["store.opened", "store.loaded"]
    assert again.lines[0][1]["term"] == 0 and again.lines[0][1]["bytes"] > 0  # type: ignore[operator]
    assert again.lines[1][1]["payloads"] == 300


async def test_it_tells_how_far_loading_is(tmp_path: Path, nursery: trio.Nursery) -> None:
    """By what has been read of the file, a part at a time; in the end all of it, whatever else lies in the file."""
    await fill(tmp_path, 5, 600_000)
    async with Memory().opened(nursery, tmp_path, load=False) as store:
        fractions = [store.loaded_fraction async for _ in store.load()]
        assert fractions == pytest.approx([0, 0, 0.4, 0.4, 0.8], abs=0.02)
        assert store.loaded_fraction == 1.0


async def test_what_is_left_open_on_a_disk_that_hangs_stays_locked(
    tmp_path: Path, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Leaving waits no longer than it may, says so, and gives the folder to nobody while its thread may still write."""
    assert store_module._CLOSE_TIMEOUT_S <= 1.5
    monkeypatch.setattr(store_module, "_CLOSE_TIMEOUT_S", 0.05)
    memory = Memory()
    async with memory.opened(nursery, tmp_path) as store:
        disk = SlowDisk(monkeypatch)
        memory.add(store, b"one")
        await until(disk.entered.is_set)
    assert memory.events()[-1] == "store.close_timed_out"
    with pytest.raises(StoreUnusable, match="in use"):
        lock_folder(tmp_path)
    disk.gate.set()
    assert await store._channel.close(10.0)
    store._disk.unlock()
    assert await content(tmp_path) == {b"one"}


async def test_what_waits_at_the_end_is_still_written(tmp_path: Path, nursery: trio.Nursery) -> None:
    """Leaving writes what was put just before, and reports it."""
    memory = Memory()
    async with memory.opened(nursery, tmp_path) as store:
        assert store.loaded_fraction == 1.0, "of nothing all is loaded"
        memory.add(store, b"last words")
    assert memory.stored == [1]
    assert await content(tmp_path) == {b"last words"}


async def test_nothing_is_reported_before_it_is_on_the_disk(
    tmp_path: Path, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While a commit is under way its position is not reported; what gathers meanwhile is one commit."""
    memory = Memory()
    async with memory.opened(nursery, tmp_path) as store:
        disk = SlowDisk(monkeypatch)
        memory.add(store, b"first")
        await until(disk.entered.is_set)
        for number in range(100):
            memory.add(store, b"%d" % number)
        await trio.testing.wait_all_tasks_blocked(0.02)
        assert memory.stored == []
        disk.gate.set()
        await store.flush()
        assert memory.stored == [1, 101]


async def test_terms_are_stored_before_they_are_announced(
    tmp_path: Path, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`done(True)` comes after the commit; the greatest term survives; a lower one changes nothing."""
    done: list[bool] = []
    async with Memory().opened(nursery, tmp_path) as store:
        write_term = StoreFile.write_term
        gate = threading.Event()
        monkeypatch.setattr(StoreFile, "write_term", lambda file, term: (gate.wait(20), write_term(file, term)))
        store.write_term(4, done.append)
        await trio.testing.wait_all_tasks_blocked(0.02)
        assert done == []
        gate.set()
        await until(lambda: done == [True])
        store.write_term(2, done.append)
        store.write_clock("boot 2")
        await until(lambda: done == [True, True])
    async with Memory().opened(nursery, tmp_path) as store:
        assert (store.term, store.clock) == (4, "boot 2")


async def test_a_snapshot_under_writing_loses_nothing(tmp_path: Path, nursery: trio.Nursery) -> None:
    """Snapshots one after another, with writes between their slices: all is there, and the file did not grow."""
    memory = Memory()
    snapshots = 0
    async with memory.opened(nursery, tmp_path) as store:

        async def snapshot_again_and_again() -> None:
            nonlocal snapshots
            while snapshots < 4:
                await store.compact()
                snapshots += 1

        nursery.start_soon(snapshot_again_and_again)
        number = 0
        while snapshots < 4:
            for _ in range(5):
                number += 1
                memory.add(store, b"%07d" % number * 300)
            await trio.sleep(0.001)
        assert await store.flush()
        assert memory.stored[-1] == number
        await store.compact()
    loaded = Memory()
    async with loaded.opened(nursery, tmp_path):
        assert set(loaded.payloads) == set(memory.payloads)
        assert len(loaded.payloads) == number, "superfluous rows were dropped"


async def test_snapshots_happen_by_themselves(
    tmp_path: Path, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When enough has been written behind the last snapshot, there is a new one."""
    monkeypatch.setattr(store_module, "COMPACT_BYTES_MIN", 100_000)
    memory = Memory()
    async with memory.opened(nursery, tmp_path) as store:
        for _ in range(200):
            store.write(1, b"the same news again and again" * 100)
        memory.payloads.append(b"all that is known")
        await until(lambda: "store.compacted" in memory.events())
    assert await content(tmp_path) == {b"all that is known"}


async def test_a_snapshot_is_written_in_slices_with_pauses(
    tmp_path: Path, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So many payloads a row as make up its size, and others run between any two; then it counts as what is there."""
    monkeypatch.setattr(store_module, "_SLICE_BYTES", 10_000)
    memory = Memory()
    rows: list[int] = []
    turns: list[int] = []
    turn = 0

    async def take_turns() -> None:
        nonlocal turn
        while True:
            turn += 1
            await trio.lowlevel.checkpoint()

    def slices() -> Iterator[bytes]:
        for size in ([1_111] * 9 + [1]) * 2 + [5]:
            turns.append(turn)
            yield b"x" * size

    append = StoreFile.append

    def counting(file: StoreFile, payloads: Sequence[bytes]) -> int:
        rows.append(len(payloads))
        return append(file, payloads)

    monkeypatch.setattr(memory, "slices", slices)
    async with memory.opened(nursery, tmp_path) as store:
        monkeypatch.setattr(StoreFile, "append", counting)
        memory.add(store, b"a row behind no snapshot")
        await store.flush()
        async with trio.open_nursery() as turning:
            turning.start_soon(take_turns)
            await store.compact()
            turning.cancel_scope.cancel()
        assert rows == [1, 10, 10, 1] and len(set(turns)) > 8
        stored_bytes = 2 * 10_000 + 5 + 21 * 8  # each behind its length and sum
        assert (store._rows_bytes, store._snapshot_bytes) == (0, stored_bytes)
        assert memory.lines[-1] == ("store.compacted", {"bytes": stored_bytes})
        memory.add(store, b"x" * 92)
        await store.flush()
        assert store._rows_bytes == 100


# -- death --------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.system
async def test_killed_while_writing_loses_nothing_that_was_reported(tmp_path: Path) -> None:
    """Six times kill -9 in the middle of writing, snapshots included: all that was ever reported is loaded."""
    reported: dict[int, int] = {}
    for round_number in range(6):
        command = [sys.executable, "-m", "tests.authagent.store_child", "write", str(tmp_path)]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout is not None
            run = int(child.stdout.readline().split()[1])
            began = time.monotonic()
            while time.monotonic() - began < 0.25 + 0.07 * round_number:
                reported[run] = int(child.stdout.readline().split()[1])
            child.send_signal(signal.SIGKILL)
            rest = child.stdout.read().rpartition("\n")[0].splitlines()
            reported[run] = int(rest[-1].split()[1]) if rest else reported[run]
    found = await content(tmp_path)
    assert len(reported) == 6 and all(reported.values())
    for run, last in reported.items():
        missing = [number for number in range(last + 1) if payload_of(run, number) not in found]
        assert not missing, f"run {run} reported {last} and lost {missing[:5]}"


# -- a disk that fails --------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.system
async def test_a_limit_on_file_size_is_survived(tmp_path: Path) -> None:
    """Files may not grow: nothing is reported any more, service goes on; the limit lifted, all of it is stored."""
    command = [sys.executable, "-m", "tests.authagent.store_child", "limit", str(tmp_path)]
    done = await trio.run_process(command, cwd=ROOT, capture_stdout=True)
    result = json.loads(done.stdout)
    assert result["stored_when_broken"] < result["written"] - 1
    assert result["stored_while_broken"] == result["stored_when_broken"]
    assert result["stored_at_end"] == result["written"]
    assert "disk" in result["error"] and "\n" not in result["error"]
    assert result["events"].count("store.broken") <= 2 and "store.recovered" in result["events"]
    assert len(await content(tmp_path)) == 2


@pytest.mark.parametrize(("code", "asides"), [(sqlite3.SQLITE_IOERR_FSYNC, 1), (sqlite3.SQLITE_FULL, 0)])
async def test_a_file_whose_commit_failed_is_trusted_only_if_it_is_sound(
    tmp_path: Path, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch, code: int, asides: int
) -> None:
    """After an error of the disk it is replaced, after a full disk it is used again; all is stored at last, once."""
    memory = Memory()
    append = StoreFile.append
    async with memory.opened(nursery, tmp_path) as store:
        memory.add(store, b"before")
        await store.flush()
        error = sqlite3.OperationalError("the words of SQLite")
        error.sqlite_errorcode = code
        errors = [error]

        def fail_once(file: StoreFile, payloads: Sequence[bytes]) -> int:
            if errors:
                raise errors.pop()
            return append(file, payloads)

        monkeypatch.setattr(StoreFile, "append", fail_once)
        memory.add(store, b"one")
        await until(lambda: memory.stored == [1, 2] and not store._one_snapshot.locked())
        assert store.status.ok and store.errors_total == 1
        assert [event for event in memory.events() if event in ("store.broken", "store.recovered")] == [
            "store.broken",
            "store.recovered",
        ]
    assert len(side_files(tmp_path)) == memory.events().count("store.set_aside") == asides
    again = Memory()
    async with again.opened(nursery, tmp_path):
        assert again.payloads == [b"before", b"one"]


@pytest.mark.parametrize(
    ("rows_bytes", "snapshot_bytes", "due"),
    [(100, 0, False), (101, 0, True), (101, 51, False), (200, 100, False), (201, 100, True)],
)
def test_a_snapshot_is_due_when_most_is_superfluous(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows_bytes: int, snapshot_bytes: int, due: bool
) -> None:
    """When what came behind the last one is more than twice its size, and enough to bother."""
    monkeypatch.setattr(store_module, "COMPACT_BYTES_MIN", 100)
    store = closed_store(tmp_path, Memory())
    store._rows_bytes, store._snapshot_bytes = rows_bytes, snapshot_bytes
    assert store._compaction_due() is due


@needs_mounts
async def test_a_full_disk_is_survived(tmp_path: Path, nursery: trio.Nursery) -> None:
    """The disk fills up: one alarm, nothing reported; when there is room again everything is stored."""
    folder = tmp_path / "disk"
    memory = Memory()
    with small_disk(folder, "size=1m"):
        async with memory.opened(nursery, folder) as store:
            while store.status.ok:
                memory.add(store, os.urandom(20_000))
                await trio.sleep(0.001)
            assert store.status.error == "the disk is full"
            stored = memory.stored[-1]
            memory.add(store, b"while it was full")
            done: list[bool] = []
            store.write_term(9, done.append)
            store.write_clock("boot 9")
            await until(lambda: done == [False])
            await trio.sleep(0.1)
            assert memory.stored[-1] == stored and not store.status.ok
            assert memory.events().count("store.broken") == 1
            remount(folder, "size=64m")
            await until(lambda: store.status.ok)
            assert memory.stored[-1] == len(memory.payloads)
            assert memory.events().count("store.recovered") == 1
        assert side_files(folder) == []
        again = Memory()
        async with again.opened(nursery, folder) as store:
            assert set(again.payloads) == set(memory.payloads)
            assert (store.term, store.clock) == (9, "boot 9")


@needs_mounts
async def test_a_read_only_folder_is_loaded_and_written_later(tmp_path: Path, nursery: trio.Nursery) -> None:
    """Started on a read-only disk, after a kill that left a log: loads all, says so, and stores when it may again."""
    folder = tmp_path / "disk"
    with small_disk(folder, "size=16m"):
        known = await fill(folder, 5)
        remount(folder, "ro")
        memory = Memory()
        async with memory.opened(nursery, folder) as store:
            assert memory.payloads == known and store._disk._reader is None
            assert store.status.error == "Read-only file system"
            assert memory.events().count("store.broken") == 1
            memory.add(store, b"meanwhile")
            await trio.sleep(0.1)
            assert memory.stored == []
            remount(folder, "rw")
            await until(lambda: store.status.ok)
            assert memory.stored == [6]
        assert await content(folder) == {*known, b"meanwhile"}
        assert side_files(folder) == []


async def test_a_folder_that_cannot_be_made_stops_nothing(tmp_path: Path, nursery: trio.Nursery) -> None:
    """Where a file stands in the way of the folder, the store is broken from the start and mended when it is gone."""
    (tmp_path / "state").write_text("in the way")
    memory = Memory()
    async with memory.opened(nursery, tmp_path / "state") as store:
        memory.add(store, b"one")
        assert not store.status.ok and not await store.flush()
        await store.compact()
        assert not await store._mend()
        assert "store.compact_failed" in memory.events() and "store.compacted" not in memory.events()
        (tmp_path / "state").unlink()
        await until(lambda: store.status.ok)
        assert memory.stored == [1]
    assert await content(tmp_path / "state") == {b"one"}


async def test_what_could_not_be_read_at_start_is_never_dropped(
    tmp_path: Path, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that opens only after the start was never loaded: it is set aside when the store is mended."""
    known = await fill(tmp_path, 3)
    memory = Memory()
    (tmp_path / "sessions.db").rename(tmp_path / "hidden")
    (tmp_path / "sessions.db").mkdir()
    async with memory.opened(nursery, tmp_path) as store:
        assert not store.status.ok and memory.payloads == []
        (tmp_path / "sessions.db").rmdir()
        (tmp_path / "hidden").rename(tmp_path / "sessions.db")
        await until(lambda: store.status.ok)
    (old,) = side_files(tmp_path)
    file = StoreFile(old, store._disk._identity)
    assert [payload for rows in file.read() for payload in rows.payloads] == known
    file.close()


async def test_a_disk_that_does_not_answer_blocks_nobody(
    tmp_path: Path, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A commit hangs: after a while status says so and terms are released; it ends: everything is reported."""
    monkeypatch.setattr(store_module, "STALL_S", 0.1)
    memory = Memory()
    early: list[bool] = []
    async with memory.opened(nursery, tmp_path) as store:
        store.write_term(2, early.append)
        await until(lambda: early == [True])
        disk = SlowDisk(monkeypatch)
        memory.add(store, b"one")
        await until(disk.entered.is_set)
        done: list[bool] = []
        store.write_term(3, done.append)
        await until(lambda: done == [False])
        assert not store.status.ok and "has not answered" in store.status.error
        store.write_term(4, done.append)
        await until(lambda: done == [False, False])
        disk.gate.set()
        await until(lambda: store.status.ok)
        await store.flush()
        assert memory.stored == [1] and done == [False, False] and early == [True]
    assert [event for event in memory.events() if event in ("store.stalled", "store.answers_again")] == [
        "store.stalled",
        "store.answers_again",
    ]


async def test_a_queue_that_is_full_breaks_and_mends(
    tmp_path: Path, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More waits than may: memory stays bounded, nothing is reported, and a snapshot mends what was dropped."""
    monkeypatch.setattr(store_module, "QUEUE_BYTES_MAX", 1 << 20)
    memory = Memory()
    async with memory.opened(nursery, tmp_path) as store:
        disk = SlowDisk(monkeypatch)
        for number in range(100):
            memory.add(store, b"%03d" % number * 5_000)
        assert store.status.error == "the disk is too slow: over 1 MiB waited for it" and store.errors_total == 1
        assert 1 << 20 <= store.queued_bytes < 1_100_000
        done: list[bool] = []
        store.write_term(5, done.append)
        disk.gate.set()
        await until(lambda: done == [False])
        await until(lambda: store.status.ok)
        assert memory.stored[-1] == 100 and store.queued_bytes == 0
    assert await content(tmp_path) == set(memory.payloads)


async def test_a_queue_that_is_full_while_loading_hides_nothing(
    tmp_path: Path, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is stored is loaded to its end, and the same file is mended."""
    monkeypatch.setattr(store_module, "QUEUE_BYTES_MAX", 1 << 20)
    known = await fill(tmp_path, 5, 600_000)
    memory = Memory()
    async with memory.opened(nursery, tmp_path, load=False) as store:
        async for payload in store.load():
            memory.payloads.append(payload)
            if len(memory.payloads) == 1:
                disk = SlowDisk(monkeypatch)
                for number in range(100):
                    store.write(number, b"%03d" % number * 5_000)
                assert "too slow" in store.status.error
                disk.gate.set()
        assert memory.payloads[:5] == known
        await until(lambda: store.status.ok)
    assert side_files(tmp_path) == []
    assert set(known) <= await content(tmp_path)


async def test_nothing_is_reported_while_mending(
    tmp_path: Path, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A payload written behind a half-written snapshot is on the disk, but what came before it is not yet."""
    memory = Memory()
    snapshot_may_end = False

    def long_snapshot() -> Iterator[bytes]:
        while not snapshot_may_end:
            yield b"all that is known" * 100
        yield from list(memory.payloads)

    monkeypatch.setattr(memory, "slices", long_snapshot)
    async with memory.opened(nursery, tmp_path) as store:
        store.doubt("to have it mended")
        memory.add(store, b"before")
        await until(lambda: store._mending)
        memory.add(store, b"meanwhile")
        assert not await store.flush()
        assert store._held == 2 and memory.stored == []
        snapshot_may_end = True
        await until(lambda: store.status.ok)
        assert memory.stored == [2] and await store._mend()
        memory.add(store, b"afterwards")
        await until(lambda: memory.stored[-1] == 3)
    assert {b"before", b"meanwhile"} <= await content(tmp_path)


async def test_what_a_full_queue_refused_while_mending_is_mended_too(
    tmp_path: Path, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The snapshot under way does not hold it: nothing is reported before another one does."""
    memory = Memory()
    snapshot_may_end = False

    def long_snapshot() -> Iterator[bytes]:
        known = list(memory.payloads)
        while not snapshot_may_end:
            yield b"all that is known" * 100
        yield from known

    monkeypatch.setattr(memory, "slices", long_snapshot)
    async with memory.opened(nursery, tmp_path) as store:
        store.doubt("to have it mended")
        await until(lambda: store._mending)
        monkeypatch.setattr(store_module, "QUEUE_BYTES_MAX", 0)
        memory.add(store, b"refused")
        monkeypatch.setattr(store_module, "QUEUE_BYTES_MAX", 1 << 20)
        assert "too slow" in store.status.error
        snapshot_may_end = True
        await until(lambda: store.status.ok)
        assert memory.stored == [1] and memory.events().count("store.recovered") == 1
    assert b"refused" in await content(tmp_path)


async def test_a_queue_that_is_full_when_mending_ends_is_not_forgotten(
    tmp_path: Path, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file that was just mended lacks what was refused: it is mended again, and everything goes on being stored."""
    entered, gate = threading.Event(), threading.Event()
    finish_mending = Disk.finish_mending

    def finish_slowly(disk: Disk, writer: Writer) -> None:
        entered.set()
        assert gate.wait(20)
        finish_mending(disk, writer)

    monkeypatch.setattr(Disk, "finish_mending", finish_slowly)
    memory = Memory()
    async with memory.opened(nursery, tmp_path) as store:
        store.doubt("to have it mended")
        await until(entered.is_set)
        monkeypatch.setattr(store_module, "QUEUE_BYTES_MAX", 0)
        memory.add(store, b"refused")
        monkeypatch.setattr(store_module, "QUEUE_BYTES_MAX", 1 << 20)
        gate.set()
        await until(lambda: store.status.ok)
        memory.add(store, b"afterwards")
        await until(lambda: memory.stored[-1:] == [2])
    assert await content(tmp_path) == {b"refused", b"afterwards"}


async def test_a_folder_that_another_has_taken_is_not_mended(
    tmp_path: Path, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Why is told, and it is tried again."""
    errors = [StoreUnusable("state folder is in use")] * 2
    begin_mending = Disk.begin_mending

    def refuse(disk: Disk, writer: Writer, *, term: int, clock: str) -> int:
        if errors:
            raise errors.pop()
        return begin_mending(disk, writer, term=term, clock=clock)

    monkeypatch.setattr(Disk, "begin_mending", refuse)
    memory = Memory()
    async with memory.opened(nursery, tmp_path) as store:
        store.doubt("to have it mended")
        memory.add(store, b"one")
        await until(lambda: store.status.ok)
        assert memory.stored == [1]
    assert [line[1]["error"] for line in memory.lines if line[0] == "store.broken"] == [
        "the file is damaged (to have it mended)",
        "state folder is in use",
    ]


async def test_a_snapshot_before_loading_is_a_mistake(tmp_path: Path, nursery: trio.Nursery) -> None:
    """Compacting what was not loaded would drop it: refused by an assertion, and nothing is lost."""
    known = await fill(tmp_path, 2)
    async with Memory().opened(nursery, tmp_path, load=False) as store:
        with pytest.raises(AssertionError, match="before the file was loaded"):
            await store.compact()
    assert await content(tmp_path) == set(known)


class Idle:
    """Stands for a channel: how long it has been silent."""

    queued_bytes = 0

    def __init__(self) -> None:
        self.began_s = trio.current_time()

    def silent_s(self) -> float:
        return trio.current_time() - self.began_s


async def test_upkeep_keeps_its_times(
    tmp_path: Path, nursery: trio.Nursery, autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What cannot be mended is tried at once, and then ever more seldom; a disk silent for over 5 s is told of once."""
    monkeypatch.undo()
    memory, times_s = Memory(), []
    store = closed_store(tmp_path, memory)
    store._channel, store._loaded, began_s = Idle(), True, trio.current_time()  # type: ignore[assignment]

    async def mend() -> bool:
        times_s.append(trio.current_time() - began_s)
        return len(times_s) == 7

    monkeypatch.setattr(store, "_mend", mend)
    store._break("the disk is full")
    scope = trio.CancelScope()
    nursery.start_soon(store.run, scope)
    await trio.sleep(5.5)
    assert memory.events() == ["store.broken"]
    await trio.sleep(1.0)
    assert memory.events() == ["store.broken", "store.stalled"]
    await trio.sleep(73)
    scope.cancel()
    assert times_s == [0, 1, 3, 8, 18, 48, 78, 78, 79]
    assert memory.events() == ["store.broken", "store.stalled"]


# -- a damaged file -----------------------------------------------------------------------------------------------


async def test_a_file_without_a_header_is_set_aside(tmp_path: Path, nursery: trio.Nursery) -> None:
    """A header of garbage: the file keeps its bytes under another name, one alarm names it, the store starts empty."""
    await fill(tmp_path, 5)
    path = tmp_path / "sessions.db"
    path.write_bytes(b"\xa5" * 100 + path.read_bytes()[100:])
    garbage = path.read_bytes()
    memory = Memory()
    async with memory.opened(nursery, tmp_path) as store:
        assert memory.payloads == [] and store.status.ok
        memory.add(store, b"new")
    assert memory.events().count("store.set_aside") == 1
    (aside,) = side_files(tmp_path)
    assert aside.read_bytes() == garbage
    assert await content(tmp_path) == {b"new"}


@pytest.mark.parametrize("damage", ["flipped bit", "page"])
async def test_damage_costs_only_what_it_hit(tmp_path: Path, nursery: trio.Nursery, damage: str) -> None:
    """One flipped bit, or one destroyed page: the rest is loaded, the file set aside and written anew."""
    known = await fill(tmp_path, 40)
    path = tmp_path / "sessions.db"
    image = bytearray(path.read_bytes())
    at = image.index(known[20][:100])
    if damage == "page":
        image[at // 8192 * 8192 : (at // 8192 + 1) * 8192] = b"\xa5" * 8192
    else:
        image[at + 50] ^= 4
    path.write_bytes(image)
    memory = Memory()
    async with memory.opened(nursery, tmp_path) as store:
        lost = set(known) - set(memory.payloads)
        assert 1 <= len(lost) <= (1 if damage == "flipped bit" else 8) and set(memory.payloads) < set(known)
        memory.add(store, b"meanwhile")
        await until(lambda: store.status.ok)
        assert memory.stored[-1] == len(memory.payloads)
    (aside,) = side_files(tmp_path)
    assert aside.read_bytes()[:8192] == image[:8192]
    assert memory.events().count("store.broken") == 1 and memory.events().count("store.set_aside") == 1
    assert await content(tmp_path) == set(memory.payloads)


async def test_a_payload_that_makes_no_sense_gets_the_file_set_aside(tmp_path: Path, nursery: trio.Nursery) -> None:
    """When the caller doubts what it loaded, the file is set aside and written anew from memory."""
    await fill(tmp_path, 2)
    memory = Memory()
    async with memory.opened(nursery, tmp_path, load=False) as store:
        async for payload in store.load():
            memory.payloads.append(payload)
            store.doubt("a payload is no Changes")
        await until(lambda: store.status.ok)
    assert len(side_files(tmp_path)) == 1
    assert await content(tmp_path) == set(memory.payloads)


# -- a folder that is another's -----------------------------------------------------------------------------------


async def test_the_same_folder_twice_is_refused(tmp_path: Path, nursery: trio.Nursery) -> None:
    """A second store in a folder that is in use is refused with one line; the first goes on."""
    memory = Memory()
    async with memory.opened(nursery, tmp_path) as store:
        with pytest.raises(StoreUnusable, match="in use by another process"):
            async with Memory().opened(nursery, tmp_path):
                raise AssertionError("opened")
        memory.add(store, b"unharmed")
        assert await store.flush()
    assert await content(tmp_path) == {b"unharmed"}


async def test_another_agents_folder_is_refused(tmp_path: Path, nursery: trio.Nursery) -> None:
    """Agent 2 does not take over the folder of agent 1, and leaves it usable."""
    known = await fill(tmp_path, 1)
    with pytest.raises(StoreUnusable, match="belongs to agent 1"):
        async with Memory().opened(nursery, tmp_path, id="2"):
            raise AssertionError("opened")
    assert await content(tmp_path) == set(known)


def test_the_public_names_are_there() -> None:
    """What the agent imports from here."""
    assert {"Store", "StoreStatus", "StoreUnusable", "open_store"} <= set(store_module.__all__) and Store
