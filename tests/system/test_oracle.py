"""The judge of the fault tests is judged: it sees what is lost and who is back, and accuses nobody else."""

from typing import Any

from tests.system.oracle import Oracle

A, B = "proxy1:01:1", "proxy1:01:2"


def login(login_id: str, key: str, user: str, *, acknowledged: bool = True) -> list[dict[str, Any]]:
    """The events of one login."""
    return [
        {"event": "logging_in", "key": key, "user": user, "id": login_id},
        {"event": "login", "key": key, "id": login_id, "acknowledged": acknowledged, "s": 0.1},
    ]


def logout(*ids: str, key: str | None = None, user: str | None = None, done: bool = True) -> list[dict[str, Any]]:
    """The events of one logout."""
    return [
        {"event": "logging_out", "key": key, "user": user},
        {"event": "logout", "key": key, "user": user, "ids": list(ids), "acknowledged": done},
    ]


def heard(*events: dict[str, Any]) -> Oracle:
    """An oracle that has heard these."""
    oracle = Oracle()
    for event in events:
        oracle.hear(event)
    return oracle


def test_an_acknowledged_login_that_is_not_shown_is_lost() -> None:
    """And one that was not acknowledged is not."""
    oracle = heard(*login(A, "k1", "u1"), *login(B, "k2", "u2", acknowledged=False))
    assert oracle.lost({}) == {A}
    assert oracle.lost({A: "k1"}) == set()
    assert oracle.unacknowledged == 1


def test_an_acknowledged_logout_that_is_shown_is_back() -> None:
    """Whether it was by key or by user."""
    for of in ({"key": "k1"}, {"user": "u1"}):
        oracle = heard(*login(A, "k1", "u1"), *logout(A, **of))
        assert oracle.back({A: "k1"}) == {A}
        assert oracle.lost({}) == set()


def test_a_logout_that_was_only_begun_binds_nobody() -> None:
    """The login may be shown or not."""
    oracle = heard(*login(A, "k1", "u1"), *logout(A, key="k1", done=False))
    assert oracle.lost({}) == oracle.back({A: "k1"}) == set()


def test_a_login_after_the_logout_counts_by_itself() -> None:
    """The same key and user again: the old login stays out, the new one must be shown."""
    oracle = heard(*login(A, "k1", "u1"), *logout(A, user="u1"), *login(B, "k1", "u1"))
    assert oracle.lost({}) == {B}
    assert oracle.back({A: "k1", B: "k1"}) == {A}


def test_a_process_that_lost_sight_of_an_ended_login_may_not_show_it_again() -> None:
    """Another process may still show it while faults go on."""
    oracle = heard(*login(A, "k1", "u1"), *logout(A, key="k1"))
    oracle.look("proxy1 start 1", {A}, {A: "k1"})
    oracle.look("proxy1 start 1", {A}, {})
    oracle.look("proxy2 start 1", {A}, {A: "k1"})
    assert not oracle.resurrected
    oracle.look("proxy1 start 1", {A}, {A: "k1"})
    assert oracle.resurrected == {A}


def test_a_process_that_is_behind_may_learn_the_login_before_its_end() -> None:
    """Not to show a login yet is not to have heard of its end."""
    oracle = heard(*login(A, "k1", "u1"), *logout(A, key="k1"))
    oracle.look("proxy1 start 1", {A}, {})
    oracle.look("proxy1 start 1", {A}, {A: "k1"})
    assert not oracle.resurrected


def test_a_process_that_shows_a_login_goes_on_to_show_it() -> None:
    """Missing twice is forgotten; missing once may be a logout that was not read yet, and so is one that was begun."""
    oracle = heard(*login(A, "k1", "u1"), *login(B, "k2", "u2"))
    for shown in ({A: "k1", B: "k2"}, {}, {A: "k1"}, {}):
        oracle.look("proxy1 start 1", {A, B}, shown)
    assert oracle.forgotten == {B}
    oracle.hear({"event": "logging_out", "key": "k1", "user": None})
    oracle.look("proxy1 start 1", {A, B}, {})
    assert oracle.forgotten == {B}


def test_what_was_not_asked_for_is_not_missing() -> None:
    """A look at some keys says nothing of the others."""
    oracle = heard(*login(A, "k1", "u1"))
    oracle.look("proxy1 start 1", {A}, {A: "k1"})
    for _ in range(3):
        oracle.look("proxy1 start 1", {B}, {})
    assert not oracle.forgotten
