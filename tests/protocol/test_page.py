"""Pages. That they merge as records do is a law: tests/laws/test_merge.py."""

import gc

from protocol.page import PLACES, Page, row_of
from protocol.session import Login, State
from tests.protocol.build import HOUR_MS, NOW_MS, ORIGIN, login, login_id

ALIVE = bytes([State.ALIVE])


def page_with(*logins: Login) -> Page:
    page = Page(ORIGIN, 1, 7 << 40 | 256)
    page.put(3, [row_of(each) for each in logins], ALIVE * len(logins), [each.expires_at for each in logins], None)
    return page


def test_a_page_holds_what_was_put() -> None:
    """Records come out under the sequence of their place, with their own login as last activity."""
    page = page_with(login(), login("10.0.0.2", at=NOW_MS + 1))
    assert page.taken() == [3, 4]
    assert page.record(4).login_id == login_id(PLACES + 4)
    assert page.record(4).login == login("10.0.0.2", at=NOW_MS + 1)
    assert page.record(4).active_at == NOW_MS + 1 and page.active is None
    assert page.is_empty(5, 256) and page.is_empty(0, 3) and not page.is_empty(0, 4)


def test_activity_costs_memory_only_where_there_is_some() -> None:
    """The column of activity is made at the first touch, and then serves later logins too."""
    page = page_with(login())
    assert not page.touch(3, NOW_MS)
    assert page.active is None
    assert page.touch(3, NOW_MS + 5) and not page.touch(3, NOW_MS + 4)
    later = login(at=NOW_MS + 9)
    page.put(9, [row_of(later)], ALIVE, [later.expires_at], None)
    page.put_one(10, row_of(later), State.ALIVE, NOW_MS + 10)
    assert [page.active_at(place) for place in (3, 9, 10)] == [NOW_MS + 5, NOW_MS + 9, NOW_MS + 10]
    assert page.latest_active == NOW_MS + 10


def test_a_cut_masks_what_expires_at_or_before_it() -> None:
    """Only records that expire after the cut show their state."""
    page = page_with(login(expires_at=NOW_MS), login(expires_at=NOW_MS + 1), login(expires_at=NOW_MS + 2))
    assert page.states_after(NOW_MS - 1)[2:7] == bytes([0, 1, 1, 1, 0])
    assert page.states_after(NOW_MS)[2:7] == bytes([0, 0, 1, 1, 0])
    assert page.states_after(NOW_MS + 1)[2:7] == bytes([0, 0, 0, 1, 0])
    assert page.states_after(NOW_MS + 2) == bytes(PLACES)


def test_activity_can_be_set_back() -> None:
    """A restamp sets it whatever it was, and the page is no longer quiet."""
    page = page_with(login())
    page.touch(3, NOW_MS + 50)
    page.quiet_until_ms = NOW_MS + HOUR_MS
    page.restamp(3, NOW_MS + 20)
    assert page.active_at(3) == NOW_MS + 20
    assert page.quiet_until_ms == 0


def test_times_move_together() -> None:
    """A shift moves login, expiry and activity by the same, and of a partial record its expiry."""
    page = page_with(login())
    page.touch(3, NOW_MS + 5)
    page.put_one(8, ("10.0.0.9", "bob", None, 0, NOW_MS + HOUR_MS, 0, ()), State.LOGGED_OUT, 0)
    page.shift(-1_000)
    assert page.record(3).login == login(at=NOW_MS - 1_000)
    assert page.record(3).active_at == NOW_MS - 995
    assert (page.record(8).login.expires_at, page.record(8).active_at) == (NOW_MS + HOUR_MS - 1_000, 0)
    assert (page.earliest, page.latest) == (NOW_MS + HOUR_MS - 1_000, NOW_MS + 12 * HOUR_MS - 1_000)


def test_rows_leave_nothing_to_the_garbage_collector() -> None:
    """A row of atoms and tuples of atoms is walked at most twice, then never again."""
    page = page_with(login(attributes=(("groups", ("staff", "admin")),)))
    for _ in range(4):
        gc.collect()
    assert not gc.is_tracked(page.rows[3])


def test_the_latest_activity_is_known_however_it_came() -> None:
    """With a piece, by a touch, and after all times of the page have moved."""
    page = page_with(login())
    later = login(at=NOW_MS + 9)
    page.put(9, [row_of(later)], ALIVE, [later.expires_at], [NOW_MS + 70])
    assert page.latest_active == NOW_MS + 70
    page.touch(3, NOW_MS + 90)
    page.shift(1_000)
    assert page.latest_active == NOW_MS + 1_090


def test_a_conflict_moves_the_bounds_of_expiry() -> None:
    """The content that is kept may expire before all that the page held: a cut between masks it."""
    page = page_with(login("b", expires_at=NOW_MS + HOUR_MS))
    assert page.join(3, row_of(login("a", expires_at=NOW_MS + 5)), State.ALIVE, NOW_MS)
    assert page.states[3] == State.CONFLICT
    assert page.states_after(NOW_MS + 4)[3] == State.CONFLICT and page.states_after(NOW_MS + 5)[3] == State.ABSENT
