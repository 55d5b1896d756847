"""Reading a store file: everything in it, in parts; and whatever is damaged, an end, a word, and what is whole."""

import itertools
import random
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Never

import pytest

from authagent.store_errors import DISK_ERRORS
from authagent.store_file import StoreFile
from authagent.store_reading import ID_MAX, Reading, Rows
from tests.authagent.test_store_file import AGENT, filled

PAGE_BYTES = 8192


def read(path: Path) -> tuple[list[bytes], str]:
    """All payloads that can be read, and the last word of what was wrong."""
    file = StoreFile(path, AGENT)
    parts = list(itertools.islice(file.read(), 1_000))
    assert len(parts) < 1_000, "reading goes on for ever"
    file.close()
    said = [rows.damage for rows in parts if rows.damage]
    return [payload for rows in parts for payload in rows.payloads], said[-1] if said else ""


def reading(file: StoreFile, fail: type[Exception] | None = None) -> Reading:
    """A reading of its own; with `fail`, every statement fails with that."""

    def execute(statement: str, parameters: Sequence[object] = ()) -> sqlite3.Cursor:
        if fail is not None:
            raise fail("malformed")
        return file._execute(statement, parameters)

    return Reading(execute, file._bytes)


def numbered(count: int) -> list[bytes]:
    return [number.to_bytes(4, "big") * 10 for number in range(count)]


def cells(path: Path) -> list[int]:
    """Where the id of each row stands in a file whose rows lie on one page (SQLite's file format, section 1.6)."""
    content = path.read_bytes()
    with sqlite3.connect(path) as database:
        (root,) = database.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'rows'").fetchone()
    database.close()
    page = (root - 1) * PAGE_BYTES
    assert content[page] == 13, "a leaf of a table"
    count = int.from_bytes(content[page + 3 : page + 5], "big")
    starts = [int.from_bytes(content[page + 8 + 2 * n : page + 10 + 2 * n], "big") for n in range(count)]
    return [page + start + 1 + (content[page + start] >= 128) for start in starts]  # behind the size of the row


def spoil(path: Path, offset: int, content: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(content)


def test_rows_come_back_in_parts(tmp_path: Path) -> None:
    """Reading gives every payload once, in order, about 1 MiB at a time, and tells how far it is."""
    payloads = [bytes([number]) * 200_000 for number in range(20)]
    filled(tmp_path / "a", payloads)
    file = StoreFile(tmp_path / "a", AGENT)
    parts = list(file.read())
    assert [len(rows.payloads) for rows in parts] == [6, 6, 6, 2]
    assert [payload for rows in parts for payload in rows.payloads] == payloads
    assert [rows.fraction for rows in parts] == pytest.approx([0.3, 0.6, 0.9, 1.0], abs=0.03)
    assert not any(rows.damage for rows in parts)
    file.close()


def test_an_empty_file_is_read_at_once(tmp_path: Path) -> None:
    """There is a part, with nothing in it, and no complaint."""
    filled(tmp_path / "a", [])
    assert read(tmp_path / "a") == ([], "")


def test_what_is_appended_meanwhile_is_no_damage(tmp_path: Path) -> None:
    """A file may grow while it is read, far beyond what it was, and commits go on."""
    filled(tmp_path / "a", [b"x" * 1_000_000] * 6)
    file = StoreFile(tmp_path / "a", AGENT)
    found: list[bytes] = []
    for rows in file.read():
        assert not rows.damage
        found += rows.payloads
        if len(found) < 20:
            file.append([bytes([len(found)]) * 1_000_000] * 2)
    assert len(found) >= 20
    file.close()


def test_a_row_that_holds_no_payloads_is_passed_over(tmp_path: Path) -> None:
    """Damage may make a text of it: told, and the others are read."""
    filled(tmp_path / "a", [b"one", b"two", b"three"])
    file = StoreFile(tmp_path / "a", AGENT)
    file._database.execute("UPDATE rows SET payloads = 'text' WHERE id = 2")
    file.close()
    assert read(tmp_path / "a") == ([b"one", b"three"], "row 2 holds no payloads")


def test_a_row_that_is_cut_off_gives_what_is_whole_of_it(tmp_path: Path) -> None:
    """Its checksum tells, and the next row is read."""
    file = StoreFile(tmp_path / "a", AGENT)
    file.append([b"one", b"two"])
    file.append([b"three"])
    file._database.execute("UPDATE rows SET payloads = substr(payloads, 1, 13) WHERE id = 1")
    file.close()
    assert read(tmp_path / "a") == ([b"one", b"three"], "row 1 does not match its checksum")


@pytest.mark.parametrize("place", [0, 1, 40, 98, 99])
@pytest.mark.parametrize("id", [0, 1, 5, 77, 127])
def test_an_id_that_has_flipped_costs_no_row(tmp_path: Path, place: int, id: int) -> None:
    """One byte of one row's id is wrong: it may say later, earlier or the same again, and every row is still read."""
    payloads = numbered(100)
    filled(tmp_path / "a", payloads)
    spoil(tmp_path / "a", cells(tmp_path / "a")[place], bytes([id]))
    found, damage = read(tmp_path / "a")
    assert found == payloads
    right = id == place + 1 or place == 0  # the first row may have any id: those before it may be gone
    assert (damage == "") is (right and (id == 1 or place != 0))


def test_an_id_beyond_all_others_costs_few_rows(tmp_path: Path) -> None:
    """Nine bytes that say 2^63 - 1 in place of an id and of what follows it: a few rows beside it are lost at most."""
    payloads = numbered(100)
    filled(tmp_path / "a", payloads)
    spoil(tmp_path / "a", cells(tmp_path / "a")[50], b"\xbf" + b"\xff" * 8)
    found, damage = read(tmp_path / "a")
    assert damage == "the file is damaged"
    assert found[:50] == payloads[:50] and found[50:] == payloads[100 - len(found) + 50 :] and len(found) > 90


def test_rows_that_hang_together_in_a_circle_are_left(tmp_path: Path) -> None:
    """Pages of the tree that name each other again and again: a file gives no more than it holds."""
    filled(tmp_path / "a", [b"x" * 1_000])
    file = StoreFile(tmp_path / "a", AGENT)
    circle = "WITH RECURSIVE again(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM again)"

    def execute(statement: str, parameters: Sequence[object] = ()) -> sqlite3.Cursor:
        return file._execute(f"{circle} SELECT n, (SELECT payloads FROM rows) FROM again" if parameters else statement)

    parts = list(itertools.islice(Reading(execute, file._bytes), 100))
    assert [(rows.fraction, rows.damage) for rows in parts] == [(1.0, "its rows hang together in a circle")]
    file.close()


def test_a_file_that_fails_at_every_statement_is_left() -> None:
    """Reading ends with what is wrong, where nothing can be read at all, not even how much there is."""

    def fail(*arguments: object) -> Never:
        raise sqlite3.DatabaseError("malformed")

    assert list(Reading(fail, fail)) == [Rows([], 0.0, "malformed")]


@pytest.mark.parametrize("spoilt", [0, 1, 5, 19])
def test_a_row_whose_content_is_damaged_costs_itself(tmp_path: Path, spoilt: int) -> None:
    """The pages of its content do not hang together: all others are read, and only the part it is in tells of it."""
    payloads = [bytes([1 + number]) * 150_000 for number in range(20)]
    filled(tmp_path / "a", payloads)
    content = (tmp_path / "a").read_bytes()
    pages = range(0, len(content), PAGE_BYTES)
    inside = next(page for page in pages if content[page + 4 : page + PAGE_BYTES] == payloads[spoilt][: PAGE_BYTES - 4])
    spoil(tmp_path / "a", inside, b"\xa5" * 4)  # where the next page of the content is
    file = StoreFile(tmp_path / "a", AGENT)
    parts = list(file.read())
    file.close()
    assert [payload for rows in parts for payload in rows.payloads] == payloads[:spoilt] + payloads[spoilt + 1 :]
    assert [rows.damage for rows in parts if rows.damage] == ["the file is damaged"]


def test_reading_ends_where_nothing_behind_can_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was read before is given, with what was wrong, and there is no more."""
    filled(tmp_path / "a", [b"one", b"two"])
    file = StoreFile(tmp_path / "a", AGENT)
    here = reading(file)
    next_row = here._next_row

    def fail_behind_the_first(after_id: int = 0) -> object:
        if here._last_id > 0:
            raise sqlite3.DatabaseError("page 7")
        return next_row()

    monkeypatch.setattr(here, "_next_row", fail_behind_the_first)
    monkeypatch.setattr(here, "_row_behind", fail_behind_the_first)
    (rows,) = here
    assert (rows.payloads, rows.damage) == ([b"one"], "page 7")
    file.close()


def test_what_lies_behind_a_row_can_be_read_or_not(tmp_path: Path) -> None:
    """It is asked of the file; an error of SQLite means not, and so does a row that stands before."""
    file = StoreFile(tmp_path / "a", AGENT)
    assert reading(file)._readable_behind(5)
    assert not reading(file, sqlite3.DatabaseError)._readable_behind(5)
    backwards = Reading(lambda statement, parameters: file._execute("SELECT 5"), file._bytes)
    assert backwards._readable_behind(4) and not backwards._readable_behind(5)
    file.close()


@pytest.mark.parametrize(
    ("readable", "newest", "found"),
    [(1_000, 2_000, 1_000), (1_000, None, 1_000), (6, 6, 6), (60, 61, 60), (7, 6, None), (1_000, 50, None)],
)
def test_the_end_of_a_damaged_page_is_found_to_the_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, readable: int, newest: int | None, found: int | None
) -> None:
    """In steps that double and then halve, from row 5 on, to the newest row or, where that is unknown, far."""
    file = StoreFile(tmp_path / "a", AGENT)
    here = reading(file)
    monkeypatch.setattr(here, "_newest_id", lambda default: default if newest is None else newest)
    monkeypatch.setattr(here, "_readable_behind", lambda after_id: after_id >= readable)
    assert here._beyond_damage(5) == found
    file.close()


@pytest.mark.parametrize("after_id", [0, ID_MAX // 2 - 1, ID_MAX])
def test_nothing_is_asked_behind_the_greatest_id(tmp_path: Path, after_id: int) -> None:
    """However great a damaged id is, and the newest one: SQLite is asked for none that it does not know."""
    file = StoreFile(tmp_path / "a", AGENT)
    asked: list[int] = []

    def execute(statement: str, parameters: Sequence[object]) -> sqlite3.Cursor:
        if not parameters:
            return file._execute(f"SELECT {ID_MAX}")
        asked.extend(int(str(parameter)) for parameter in parameters)
        raise sqlite3.DatabaseError("malformed")

    here = Reading(execute, file._bytes)
    here._last_id = after_id
    here._pass_over()
    assert here._ended and all(each <= ID_MAX for each in asked)
    file.close()


def test_no_wrong_byte_loses_rows_in_silence(tmp_path: Path) -> None:
    """One byte is wrong, anywhere: reading ends, gives nothing that was not written, and lacks nothing in the middle
    without a word. (Where a page says that it has fewer rows, the first or the last may be missing unnoticed: nothing
    in the file tells how many there were.)"""
    payloads = numbered(600)
    filled(tmp_path / "a", payloads)
    whole = (tmp_path / "a").read_bytes()
    chance = random.Random(3)
    heads = [page + place for page in range(0, len(whole), PAGE_BYTES) for place in range(12)]
    silent = 0
    for offset in heads + [chance.randrange(len(whole)) for _ in range(600)]:
        wrong = whole[offset] ^ (1 << chance.randrange(8))
        (tmp_path / "a").write_bytes(whole[:offset] + bytes([wrong]) + whole[offset + 1 :])
        try:
            found, damage = read(tmp_path / "a")
        except DISK_ERRORS:  # it does not even open, and says so
            continue
        assert set(found) <= set(payloads), offset
        if not damage:
            silent += 1
            first = payloads.index(found[0])
            assert found == payloads[first : first + len(found)], offset
    assert silent > 100, "most bytes mean nothing"


@pytest.mark.parametrize("size", [300, 3_000, 30_000])
def test_damaged_pages_cost_only_what_lay_on_them(tmp_path: Path, size: int) -> None:
    """Whatever page behind the first three is destroyed: reading ends, says so, and gives most of the rows, all true.

    Rows of 300 bytes share pages of the tree, those of 30,000 have pages of their own.
    """
    payloads = [number.to_bytes(4, "big") * (size // 4) for number in range(1_000_000 // size)]
    filled(tmp_path / "a", payloads)
    pages = (tmp_path / "a").stat().st_size // PAGE_BYTES
    whole = (tmp_path / "a").read_bytes()
    noticed = 0
    for page in range(4, pages, max(1, pages // 25)):
        (tmp_path / "a").write_bytes(whole)
        spoil(tmp_path / "a", page * PAGE_BYTES, b"\xa5" * PAGE_BYTES)
        found, damage = read(tmp_path / "a")
        assert set(found) <= set(payloads)
        noticed += bool(damage)
        assert len(found) == len(payloads) or damage
        assert len(found) >= 0.9 * len(payloads) or page < 6, (page, len(found), len(payloads), damage)
    assert noticed > 10
