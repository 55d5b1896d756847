"""Login, logout, Mark, Barrier and idle question, one rule of DESIGN section 3 at a time."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import acts
from protocol.changes import Barrier, Changes, Mark
from protocol.messages import IdleQuestion
from protocol.session import LoginId, Record, State
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


# -- a session brought along ---------------------------------------------------------------------------------------


def bring(
    sequence: int = 1, user: str = "alice", *, at: int = NOW_MS - HOUR_MS, active_at: int = NOW_MS - 60_000, **more: Any
) -> Record:
    """A session of KEY as its user carried it here."""
    return Record(login_id(sequence), login(user=user, at=at, **more), active_at, State.ALIVE)


def honour(table: Table, brought: Record, now_ms: int = NOW_MS) -> str:
    """Bring it; whether it is shown, or why not."""
    done = acts.honour(table, brought, now_ms=now_ms)
    table.merge(done.changes, now_ms)
    if not done.refused:
        assert shown(table, now_ms=now_ms) == brought.login_id
    return done.refused


def test_a_session_brought_to_an_empty_table_is_the_same_login() -> None:
    """Every field of the record is what was brought; the second time there is nothing to change."""
    table = new_table()
    brought = bring(attributes=(("groups", ("staff",)),), site="lan2")
    assert honour(table, brought) == ""
    assert table.record(brought.login_id) == brought
    assert acts.honour(table, brought, now_ms=NOW_MS) == acts.Honoured()


def test_activity_that_was_brought_counts() -> None:
    """A session that is idle by what is known here goes on where its user was active elsewhere; never backwards."""
    table = new_table()
    table.merge(logged_in(1, login(at=NOW_MS - HOUR_MS)), NOW_MS)
    assert shown(table) is None
    assert honour(table, bring(active_at=NOW_MS - 1_000)) == ""
    assert honour(table, bring(active_at=NOW_MS - 2_000)) == ""
    known = table.record(login_id(1))
    assert known is not None and known.active_at == NOW_MS - 1_000


@pytest.mark.parametrize("state", [State.SUPERSEDED, State.LOGGED_OUT, State.ADMINISTRATOR, State.CONFLICT])
def test_an_end_that_is_known_refuses_it(state: State) -> None:
    """A tombstone, with its login or without; it stays what it is."""
    brought = bring()
    for known in (Changes(), logged_in(1, brought.login)):
        table = new_table()
        table.merge(known, NOW_MS)
        table.merge(ended(1, brought.login, state=state), NOW_MS)
        assert honour(table, brought) == "it has ended"
        found = table.record(brought.login_id)
        assert found is not None and found.state == state


def test_a_barrier_that_is_known_refuses_it() -> None:
    """Logins at or before it; one after it is honoured."""
    table = new_table()
    table.merge(Changes(barriers=(Barrier("alice", NOW_MS - HOUR_MS),)), NOW_MS)
    assert honour(table, bring()) == "its user was logged out"
    assert honour(table, bring(at=NOW_MS - HOUR_MS + 1)) == ""


def test_time_refuses_it_as_it_ends_any_session() -> None:
    """Expired, idle by its own last activity, or stamped further ahead than clocks may differ."""
    assert honour(new_table(), bring(expires_at=NOW_MS)) == "its time is over"
    assert honour(new_table(), bring(active_at=NOW_MS - 1_800_000)) == "it is idle"
    assert honour(new_table(), bring(active_at=NOW_MS - 1_799_999)) == ""
    assert honour(new_table(), bring(at=NOW_MS, active_at=NOW_MS + 2 * OFFSET_MS + 1)) == "it is from the future"
    assert honour(new_table(), bring(at=NOW_MS + 2 * OFFSET_MS, active_at=NOW_MS + 2 * OFFSET_MS)) == ""


def test_another_content_under_a_known_login_id_is_refused_and_makes_no_conflict() -> None:
    """Whoever has the key of cookies cannot end a session by a forged copy of it."""
    table = new_table()
    table.merge(logged_in(1, login(at=NOW_MS - 60_000)), NOW_MS)
    assert honour(table, bring(at=NOW_MS - 60_000, user="eve")) == "it is not the login that is known by its id"
    assert shown(table) == login_id(1)


def test_a_later_login_under_its_key_refuses_it() -> None:
    """Of another user or of the same, idle-dead too: it superseded what was brought, or would have."""
    for user in ("alice", "bob"):
        table = new_table()
        table.merge(logged_in(2, login(user=user, at=NOW_MS - HOUR_MS + 5_000)), NOW_MS)
        assert honour(table, bring()) == "another login holds its key"


def test_another_user_so_near_that_clocks_cannot_tell_refuses_it() -> None:
    """Within twice the clock offset; the same user there, or another one earlier, is superseded."""
    near = NOW_MS - HOUR_MS - 2 * OFFSET_MS
    for user, at, said in (("bob", near, "another login holds its key"), ("alice", near, ""), ("bob", near - 1, "")):
        table = new_table()
        table.merge(logged_in(2, login(user=user, at=at)), NOW_MS)
        table.merge(touched(2, NOW_MS), NOW_MS)
        assert honour(table, bring()) == said
        other = table.record(login_id(2))
        assert other is not None and other.state == (State.ALIVE if said else State.SUPERSEDED)


def test_a_full_table_refuses_it_and_keeps_what_it_knows() -> None:
    """As any login that is not known; a known one is honoured."""
    table = new_table(records_max=100)
    for sequence in range(100):
        table.merge(logged_in(sequence, login(f"k{sequence}")), NOW_MS)
    assert honour(table, bring(500)) == "the session table is full"
    known = login("k1")
    assert acts.honour(table, Record(login_id(1), known, NOW_MS, State.ALIVE), now_ms=NOW_MS) == acts.Honoured()


@given(
    st.lists(
        st.builds(lambda n, user, at, ends: (n, user, NOW_MS - at * 1_000, ends), st.integers(1, 3),
                  st.sampled_from(["alice", "bob"]), st.integers(0, 1_700), st.booleans()), max_size=4
    ),
    st.none() | st.integers(0, 1_700),
    st.integers(1, 3), st.integers(0, 1_700), st.booleans(),
)  # fmt: skip
def test_what_is_honoured_is_no_more_than_a_copy(
    held: list[tuple[int, str, int, bool]], barrier_s: int | None, sequence: int, ago_s: int, ended_later: bool
) -> None:
    """Whatever is known: refused or shown, never a conflict, nobody comes back, and a later end ends it."""
    table = new_table()
    for number, user, at, ends_too in held:
        table.merge(logged_in(number, login(user=user, at=at)), NOW_MS)
        if ends_too:
            table.merge(ended(number, login(user=user, at=at)), NOW_MS)
    if barrier_s is not None:
        table.merge(Changes(barriers=(Barrier("alice", NOW_MS - barrier_s * 1_000),)), NOW_MS)
    brought = bring(sequence, at=NOW_MS - ago_s * 1_000, active_at=NOW_MS - ago_s * 1_000)
    before = {number: table.record(login_id(number)) for number in (1, 2, 3)}
    conflicts = table.counts.conflicts
    refused = honour(table, brought)
    for number, was in before.items():
        now_is = table.record(login_id(number))
        if refused:
            assert now_is == was
        elif was is not None and now_is is not None:
            assert now_is.state >= was.state and now_is.login == was.login
    assert table.counts.conflicts == conflicts
    if not refused and ended_later:
        table.merge(ended(sequence, brought.login), NOW_MS)
        assert shown(table) != brought.login_id
        assert honour(table, brought) == "it has ended"


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


def test_a_login_is_one_login() -> None:
    """Its run names one sequence, so that what is sent is what was merged."""
    done = log_in(new_table(), sequence=100)
    (run,) = done.changes.logins
    assert run.sequences == range(100, 101) and len(done.changes) == 1


def test_a_barrier_on_its_way_ends_whoever_logged_in_at_that_very_time() -> None:
    """At the barrier or before it, to the millisecond; a login one later goes on."""
    table = new_table()
    table.merge(logged_in(1, login("k1", at=NOW_MS)), NOW_MS)
    table.merge(logged_in(2, login("k2", at=NOW_MS + 1)), NOW_MS)
    further = acts.marked(table, Changes(barriers=(Barrier("alice", NOW_MS),)))
    assert [run.sequences for run in further.ends] == [[1]]
