"""The file under the store: what it keeps, what it refuses, how it is replaced."""

import os
import sqlite3
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from authagent import store_file
from authagent.store_errors import Damaged, StoreUnusable, is_damage, reason
from authagent.store_file import (
    Identity,
    StoreFile,
    adopt,
    finish_rebuilding,
    fresh_rebuilding,
    lock_folder,
    set_aside,
)

AGENT = Identity("lan1", "1")
NEW_YEAR_MS = 1_767_225_600_000


def everything(file: StoreFile) -> list[bytes]:
    return [payload for rows in file.read() for payload in rows.payloads]


def filled(path: Path, payloads: list[bytes]) -> None:
    """A file with a row for each payload."""
    file = StoreFile(path, AGENT)
    file._database.execute("BEGIN")  # one sync for all
    for payload in payloads:
        file.append([payload])
    file._database.execute("COMMIT")
    file.close()


def test_a_commit_is_on_stable_storage(tmp_path: Path) -> None:
    """The file works with a write-ahead log that is synchronised at every commit, and in exclusive mode."""
    file = StoreFile(tmp_path / "a", AGENT)
    pragmas = {"journal_mode": "wal", "synchronous": 2, "page_size": 8192, "wal_autocheckpoint": 512}
    pragmas |= {"trusted_schema": 0, "cell_size_check": 1, "locking_mode": "exclusive", "busy_timeout": 0}
    assert {name: file._database.execute(f"PRAGMA {name}").fetchone()[0] for name in pragmas} == pragmas
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        sqlite3.connect(tmp_path / "a", timeout=0).execute("SELECT * FROM rows").fetchone()
    file.close()


def test_nobody_else_may_read_it(tmp_path: Path) -> None:
    """File and log hold who is logged in where: they are made for their owner alone, whatever the umask."""
    before = os.umask(0)
    try:
        file = StoreFile(tmp_path / "a", AGENT)
        file.append([b"x"])
        assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}
        file.close()
    finally:
        os.umask(before)


def test_where_no_log_can_be_kept_there_is_no_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a file system without shared memory or locks SQLite stays with another kind of log: told, and not used."""
    execute = StoreFile._execute

    def stay(file: StoreFile, statement: str, parameters: Sequence[object] = ()) -> sqlite3.Cursor:
        other = "SELECT 'delete'" if statement == "PRAGMA journal_mode = WAL" else statement
        return execute(file, other, parameters)

    monkeypatch.setattr(StoreFile, "_execute", stay)
    with pytest.raises(OSError, match="write-ahead log"):
        StoreFile(tmp_path / "a", AGENT)


def test_it_knows_about_how_much_it_holds(tmp_path: Path) -> None:
    """What was dropped does not count, though the file does not shrink."""
    filled(tmp_path / "a", [bytes([number]) * 100_000 for number in range(10)])
    file = StoreFile(tmp_path / "a", AGENT)
    assert 1_000_000 < file.rows_bytes() < 1_100_000
    file.drop_through(10, 16)
    assert 0 < file.rows_bytes() < 100_000
    file.close()


def test_terms_only_grow(tmp_path: Path) -> None:
    """A lower term than the one kept is not written, and the greatest survives a restart."""
    file = StoreFile(tmp_path / "a", AGENT)
    for term in (3, 7, 5):
        file.write_term(term)
    file.close()
    file = StoreFile(tmp_path / "a", AGENT)
    assert file.term() == 7
    file.close()


def test_the_clock_is_what_was_written_last(tmp_path: Path) -> None:
    """It survives a restart; at first, and once it was forgotten, there is none."""
    file = StoreFile(tmp_path / "a", AGENT)
    assert file.clock() == ""
    for text in ("boot 7", "boot 5"):
        file.write_clock(text)
    file.close()
    file = StoreFile(tmp_path / "a", AGENT)
    assert file.clock() == "boot 5"
    file.write_clock("")
    assert file.clock() == ""
    file.close()


def test_one_thread_after_another_may_use_it(tmp_path: Path) -> None:
    """What one has opened, another may write to."""
    file = StoreFile(tmp_path / "a", AGENT)
    with ThreadPoolExecutor(1) as other:
        other.submit(file.write_term, 3).result()
    assert file.term() == 3
    file.close()


def test_a_flipped_term_is_noticed(tmp_path: Path) -> None:
    """A setting whose value does not match its checksum is damage, not a term."""
    file = StoreFile(tmp_path / "a", AGENT)
    file.write_term(3)
    file._database.execute("UPDATE settings SET value = '4' WHERE name = 'term'")
    with pytest.raises(Damaged, match="term"):
        file.term()
    file.close()


@pytest.mark.parametrize("change", ["DELETE FROM settings", "UPDATE settings SET value = x'31', checksum = 7"])
def test_settings_that_are_no_settings_are_damage(tmp_path: Path, change: str) -> None:
    """Missing, or of another type."""
    filled(tmp_path / "a", [b"x"])
    file = StoreFile(tmp_path / "a", AGENT)
    file._database.execute(f"{change} WHERE name = 'site'")
    file.close()
    with pytest.raises(Damaged, match="setting site is missing or damaged"):
        StoreFile(tmp_path / "a", AGENT)


def test_another_agents_folder_is_refused(tmp_path: Path) -> None:
    """A folder of agent 1 of lan1 cannot be taken by agent 2, nor by another site; nothing of it is held then."""
    filled(tmp_path / "a", [b"x"])
    with pytest.raises(StoreUnusable, match="belongs to agent 1 of site lan1, not to agent 2") as one:
        StoreFile(tmp_path / "a", Identity("lan1", "2"))
    with pytest.raises(StoreUnusable, match="of site lan2; give this agent a --state-dir of its own") as other:
        StoreFile(tmp_path / "a", Identity("lan2", "1"))
    filled(tmp_path / "a", [b"y"])
    assert str(one.value) != str(other.value)  # both are kept until here, with all that they hold


def test_a_newer_format_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of a newer version is left alone, with an error that names both versions."""
    monkeypatch.setattr(store_file, "FORMAT_VERSION", 2)
    filled(tmp_path / "a", [b"x"])
    monkeypatch.undo()
    with pytest.raises(StoreUnusable, match=r"newer authagent \(format 2, this one knows 1\)"):
        StoreFile(tmp_path / "a", AGENT)


def test_superfluous_rows_go_a_few_at_a_time(tmp_path: Path) -> None:
    """Rows up to an id are dropped in bounded steps; the newer ones stay."""
    file = StoreFile(tmp_path / "a", AGENT)
    for number in range(10):
        file.append([bytes([number + 1])])
    assert [file.drop_through(7, 3) for _ in range(3)] == [False, False, True]
    assert everything(file) == [b"\x08", b"\x09", b"\x0a"]
    file.close()


def test_a_file_is_set_aside_with_its_log_and_never_over_another(tmp_path: Path) -> None:
    """Each file that is set aside gets a name of its own, with the time, and keeps its log."""
    for _ in range(2):
        (tmp_path / "sessions.db").write_bytes(b"a")
        (tmp_path / "sessions.db-wal").write_bytes(b"b")
        set_aside(tmp_path, NEW_YEAR_MS)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "sessions.db.set-aside-20260101T000000Z",
        "sessions.db.set-aside-20260101T000000Z-2",
        "sessions.db.set-aside-20260101T000000Z-2-wal",
        "sessions.db.set-aside-20260101T000000Z-wal",
    ]
    assert set_aside(tmp_path, NEW_YEAR_MS) == ""


def test_a_rebuilt_file_takes_the_place_of_the_old(tmp_path: Path) -> None:
    """The rebuilt file is the main one afterwards, the old one is set aside, and no log of either is left."""
    filled(tmp_path / store_file.MAIN, [b"old"])
    file = fresh_rebuilding(tmp_path, AGENT)
    file.append([b"new"])
    assert finish_rebuilding(file, NEW_YEAR_MS) == "sessions.db.set-aside-20260101T000000Z"
    file = StoreFile(tmp_path / store_file.MAIN, AGENT)
    assert everything(file) == [b"new"]
    file.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "sessions.db",
        "sessions.db.set-aside-20260101T000000Z",
    ]


@pytest.mark.parametrize("step", ["set_aside", "log_only", "before"])
def test_an_exchange_that_was_cut_short_is_finished(tmp_path: Path, step: str) -> None:
    """After a crash at any point behind the completion of the rebuilt file, opening ends with that file."""
    filled(tmp_path / store_file.MAIN, [b"old"])
    (tmp_path / "sessions.db-wal").write_bytes(b"the log of the old file")
    filled(tmp_path / store_file.REBUILT, [b"new"])
    if step == "set_aside":
        set_aside(tmp_path, NEW_YEAR_MS)
    if step == "log_only":
        (tmp_path / "sessions.db-wal").rename(tmp_path / "sessions.db.set-aside-20260101T000000Z-wal")
    name = {"set_aside": "", "log_only": "sessions.db.set-aside-20260101T000000Z-2"}
    assert adopt(tmp_path, NEW_YEAR_MS) == name.get(step, "sessions.db.set-aside-20260101T000000Z")
    file = StoreFile(tmp_path / store_file.MAIN, AGENT)
    assert everything(file) == [b"new"]
    file.close()


def test_an_exchange_is_durable_step_by_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder is synchronised when a file was made, when its successor is complete and when that is in its place."""
    steps: list[str] = []
    rename, open_files = Path.rename, len(os.listdir("/proc/self/fd"))

    def renamed(path: Path, target: Path) -> Path:
        steps.append(f"{path.name} to {target.name}")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", renamed)
    monkeypatch.setattr(os, "fsync", lambda descriptor: steps.append(os.readlink(f"/proc/self/fd/{descriptor}")))
    filled(tmp_path / store_file.MAIN, [b"old"])
    finish_rebuilding(fresh_rebuilding(tmp_path, AGENT), NEW_YEAR_MS)
    assert steps == [
        str(tmp_path),
        str(tmp_path),
        "sessions.db.rebuilding to sessions.db.rebuilt",
        str(tmp_path),
        "sessions.db to sessions.db.set-aside-20260101T000000Z",
        "sessions.db.rebuilt to sessions.db",
        str(tmp_path),
    ]
    assert len(os.listdir("/proc/self/fd")) == open_files


def test_a_successor_whose_log_stays_does_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the log cannot be folded in, the file is not complete without it: the old one stays in its place."""
    filled(tmp_path / store_file.MAIN, [b"old"])
    file = fresh_rebuilding(tmp_path, AGENT)
    file.append([b"new"])
    close = file.close
    monkeypatch.setattr(file, "close", lambda: None)
    with pytest.raises(OSError, match="could not be folded in"):
        finish_rebuilding(file, NEW_YEAR_MS)
    close()
    assert adopt(tmp_path, NEW_YEAR_MS) == ""
    assert sorted(path.name for path in tmp_path.iterdir()) == ["sessions.db", "sessions.db.rebuilding"]


def test_what_a_crash_left_of_a_successor_is_not_used(tmp_path: Path) -> None:
    """A rebuilt file begins empty."""
    filled(tmp_path / store_file.REBUILDING, [b"stale"])
    file = fresh_rebuilding(tmp_path, AGENT)
    assert everything(file) == []
    file.close()


def test_an_unfinished_rebuilt_file_is_not_adopted(tmp_path: Path) -> None:
    """A file that was being rebuilt when the process died is not used: the old one holds more."""
    filled(tmp_path / store_file.MAIN, [b"old"])
    fresh_rebuilding(tmp_path, AGENT).close()
    assert adopt(tmp_path, NEW_YEAR_MS) == ""
    file = StoreFile(tmp_path / store_file.MAIN, AGENT)
    assert everything(file) == [b"old"]
    file.close()


def test_a_folder_has_one_user(tmp_path: Path) -> None:
    """A second lock on a folder is refused in one line; after the first is gone it is granted."""
    folder = tmp_path / "agents" / "state"
    lock = lock_folder(folder)
    assert lock is not None
    open_files = len(os.listdir("/proc/self/fd"))
    with pytest.raises(StoreUnusable, match="in use by another process") as refused:
        lock_folder(folder)
    assert "\n" not in str(refused.value) and len(os.listdir("/proc/self/fd")) == open_files
    os.close(lock)
    lock = lock_folder(folder)
    assert lock is not None
    os.close(lock)
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (folder / store_file.LOCK).stat().st_mode & 0o777 == 0o600


def test_a_schema_that_is_no_text_is_damage(tmp_path: Path) -> None:
    """Where sqlite3 cannot even read what SQLite complains of, the file is damaged all the same."""
    path = tmp_path / "sessions.db"
    filled(path, [b"one"])
    path.write_bytes(path.read_bytes().replace(b"CREATE TABLE rows (", b"CREATE \xf1ABLE rows ("))
    with pytest.raises(sqlite3.DatabaseError, match="damaged") as error:
        StoreFile(path, AGENT)
    assert is_damage(error.value) and reason(error.value) == "the file is damaged"
