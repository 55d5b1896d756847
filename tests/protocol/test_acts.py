"""Login, logout, Mark, Barrier and idle question, one rule of DESIGN section 3 at a time."""

from typing import Any

import pytest

from protocol import acts
from protocol.changes import Barrier, Changes, Mark
from protocol.messages import IdleQuestion
from protocol.session import LoginId, State
from protocol.table import Table
from tests.protocol.build import (
    HOUR_MS,
    NOW_MS,
    OFFSET_MS,
    ORIGIN,
    OTHER,
    ended,
    logged_in,
    login,
    login_id,
    new_table,
    touched,
)

KEY = "10.0.0.1"
LIFETIME_MS = 12 * HOUR_MS


def log_in(
    table: Table, user: str = "alice", *, sequence: int = 100, now_ms: int = NOW_MS, **more: Any
) -> acts.LoggedIn:
    """A login under KEY, merged where it was made."""
    settings = {"site": "lan1", "attributes": (), "idle_timeout_s": 1_800, "lifetime_ms": LIFETIME_MS, **more}
    done = acts.login(table, KEY, user, login_id=login_id(sequence), now_ms=now_ms, **settings)
    table.merge(done.changes, now_ms)
    return done


def ends(changes: Changes) -> dict[LoginId, State]:
    return {
        LoginId(*run.origin, sequence): State(state)
        for run in changes.ends
        for sequence, state in zip(run.sequences, run.states, strict=True)
    }


def shown(table: Table, key: str = KEY, now_ms: int = NOW_MS) -> LoginId | None:
    record = table.view(key, now_ms)
    return None if record is None else record.login_id


# -- login -------------------------------------------------------------------------------------------------------


def test_a_first_login_is_a_new_record() -> None:
    """Its changes hold one login, no ends, and exactly what is returned."""
    table = new_table()
    done = log_in(table, attributes=(("groups", ("staff",)),))
    assert done.touched is None and done.record is not None and not done.changes.ends
    assert done.record.login == login(attributes=(("groups", ("staff",)),))
    assert table.view(KEY, NOW_MS) == done.record


def test_the_same_credentials_again_are_a_touch() -> None:
    """Same user, same attributes, less than half the lifetime gone: the session goes on, nothing is minted."""
    table = new_table()
    first = log_in(table, idle_timeout_s=8 * 3_600).record
    again = log_in(table, sequence=101, now_ms=NOW_MS + LIFETIME_MS // 2 - 1)
    assert again.touched == first and again.record is None and not again.changes


@pytest.mark.parametrize(
    "other",
    [
        {"user": "bob"},
        {"attributes": (("groups", "staff"),)},
        {"now_ms": NOW_MS + LIFETIME_MS // 2},
    ],
)
def test_anything_else_is_a_new_login_that_supersedes(other: dict[str, Any]) -> None:
    """Another user, other attributes, or half the lifetime gone: a new record, the old one ended with it."""
    table = new_table()
    log_in(table, idle_timeout_s=8 * 3_600)
    done = log_in(table, **{"sequence": 101, **other})
    assert ends(done.changes) == {login_id(100): State.SUPERSEDED}
    assert shown(table, now_ms=other.get("now_ms", NOW_MS)) == login_id(101)
    assert [record.login_id for record in table.held(KEY)] == [login_id(101)]


def test_a_login_supersedes_the_idle_dead_too() -> None:
    """Or late activity would bring it back over the new one."""
    table = new_table()
    table.merge(logged_in(1, login(at=NOW_MS - HOUR_MS, idle_timeout_s=60), OTHER), NOW_MS)
    assert shown(table) is None
    assert ends(log_in(table).changes) == {login_id(1, OTHER): State.SUPERSEDED}


def test_a_login_is_later_than_all_it_must_outlive() -> None:
    """login_at is the greatest of now, the user's barrier + 1 ms and every login_at held under the key + 1 ms."""
    table = new_table()
    table.merge(logged_in(1, login(user="bob", at=NOW_MS + 700), OTHER), NOW_MS)
    first = log_in(table).record
    assert first is not None and first.login.login_at == NOW_MS + 701
    table.merge(Changes(barriers=(Barrier("alice", NOW_MS + 900),)), NOW_MS)
    second = log_in(table, sequence=101).record
    assert second is not None and second.login.login_at == NOW_MS + 901
    assert second.login.expires_at == NOW_MS + 901 + LIFETIME_MS
    assert shown(table) == login_id(101)


def test_a_login_ends_a_conflict() -> None:
    """Two users too near to tell: the next login supersedes both."""
    table = new_table()
    table.merge(logged_in(1, login(user="bob"), OTHER), NOW_MS)
    table.merge(logged_in(2, login(), OTHER), NOW_MS)
    assert shown(table) is None
    assert set(ends(log_in(table).changes)) == {login_id(1, OTHER), login_id(2, OTHER)}
    assert shown(table) == login_id(100)


def test_a_full_table_refuses_the_login_and_knows_the_known() -> None:
    """The reason names the setting; a known session is still touched."""
    table = new_table(records_max=1)
    log_in(table)
    assert log_in(table, sequence=101).touched is not None
    with pytest.raises(acts.TableFull, match="sessions"):
        log_in(table, "bob", sequence=101)


# -- logout ------------------------------------------------------------------------------------------------------


def test_logout_of_a_key_ends_all_that_is_held_there() -> None:
    """Idle-dead, expired and hidden records too; and a Mark goes along."""
    table = new_table()
    table.merge(logged_in(1, login(at=NOW_MS - HOUR_MS, idle_timeout_s=60)), NOW_MS)
    table.merge(logged_in(2, login(user="bob", at=NOW_MS - 30_000)), NOW_MS)
    table.merge(logged_in(3, login("10.0.0.2")), NOW_MS)
    changes = acts.logout_key(table, KEY, now_ms=NOW_MS)
    assert set(ends(changes)) == {login_id(1), login_id(2)} and changes.marks == (Mark(KEY, NOW_MS),)
    table.merge(changes, NOW_MS)
    assert table.held(KEY) == [] and shown(table, "10.0.0.2") == login_id(3)
    changes = acts.logout_key(table, "10.0.0.2", now_ms=NOW_MS, state=State.ADMINISTRATOR)
    assert ends(changes) == {login_id(3): State.ADMINISTRATOR}


def test_logout_of_a_user_lets_nobody_surface() -> None:
    """Where the user is shown, everybody else under the key ends too; where somebody else is shown, they stay."""
    table = new_table()
    table.merge(logged_in(1, login("a", "bob", at=NOW_MS - 60_000)), NOW_MS)
    table.merge(logged_in(2, login("a", at=NOW_MS - 10)), NOW_MS)
    table.merge(logged_in(3, login("b", at=NOW_MS - 60_000)), NOW_MS)
    table.merge(logged_in(4, login("b", "bob", at=NOW_MS - 10)), NOW_MS)
    changes = acts.logout_user(table, "alice", now_ms=NOW_MS)
    assert set(ends(changes)) == {login_id(1), login_id(2), login_id(3)}
    assert changes.barriers == (Barrier("alice", NOW_MS),) and not changes.marks
    table.merge(changes, NOW_MS)
    assert shown(table, "a") is None and shown(table, "b") == login_id(4)


def test_logout_of_a_user_in_a_conflict_lets_nobody_surface() -> None:
    """Of two users of whom clocks cannot tell who is there, the other does not become the one who is shown."""
    table = new_table()
    table.merge(logged_in(1, login(user="bob")), NOW_MS)
    table.merge(logged_in(2, login()), NOW_MS)
    table.merge(acts.logout_user(table, "alice", now_ms=NOW_MS), NOW_MS)
    assert shown(table) is None and table.held(KEY) == []


def test_the_barrier_is_above_every_login_held_of_the_user() -> None:
    """Even above one whose clock ran ahead; of a user without logins it is now."""
    table = new_table()
    table.merge(logged_in(1, login(at=NOW_MS + 1_500)), NOW_MS)
    assert acts.logout_user(table, "alice", now_ms=NOW_MS).barriers == (Barrier("alice", NOW_MS + 1_500),)
    assert acts.logout_user(table, "bob", now_ms=NOW_MS) == Changes(barriers=(Barrier("bob", NOW_MS),))


# -- what an agent does besides ----------------------------------------------------------------------------------


def test_a_mark_ends_what_is_clearly_older() -> None:
    """What logged in before it by more than max clock offset, and only under its key."""
    table = new_table()
    table.merge(logged_in(1, login(at=NOW_MS - OFFSET_MS - 1)), NOW_MS)
    table.merge(logged_in(2, login(at=NOW_MS - OFFSET_MS)), NOW_MS)
    table.merge(logged_in(3, login("10.0.0.2", at=NOW_MS - HOUR_MS)), NOW_MS)
    passed = Changes(marks=(Mark(KEY, NOW_MS),))
    assert ends(acts.marked(table, passed)) == {login_id(1): State.LOGGED_OUT}
    assert not acts.marked(table, passed, already=[login_id(1)])
    assert not acts.marked(table, Changes(ends=ended(1, login()).ends))


def test_a_barrier_takes_along_what_hides_behind_the_user() -> None:
    """Here a login of the user is known that the logout did not see: whoever is older under its key ends too."""
    table = new_table()
    table.merge(logged_in(1, login(user="bob", at=NOW_MS - 60_000)), NOW_MS)
    table.merge(logged_in(2, login(at=NOW_MS - 10)), NOW_MS)
    table.merge(logged_in(3, login(user="carol", at=NOW_MS + 10)), NOW_MS)
    table.merge(logged_in(4, login("10.0.0.2", at=NOW_MS + 1)), NOW_MS)
    passed = Changes(barriers=(Barrier("alice", NOW_MS),))
    table.merge(passed, NOW_MS)
    assert set(ends(acts.marked(table, passed))) == {login_id(1), login_id(2)}


def test_an_idle_question_is_answered_with_later_activity_only() -> None:
    """Not with what the asker knows, not for ended or unknown logins."""
    table = new_table()
    for sequence in (1, 2, 3):
        table.merge(logged_in(sequence, login(f"k{sequence}")), NOW_MS)
        table.merge(touched(sequence, NOW_MS + 50), NOW_MS)
    table.merge(ended(3, login("k3")), NOW_MS)
    question = IdleQuestion(
        1,
        (ORIGIN.proxy,) * 4,
        (ORIGIN.epoch,) * 4,
        (1, 2, 3, 4),
        (NOW_MS + 49, NOW_MS + 50, NOW_MS, NOW_MS),
    )
    assert acts.idle_answer(table, question) == touched(1, NOW_MS + 50)
