"""Records, and what alive means. The laws of merging are in tests/laws/test_merge.py."""

import pytest

from protocol.session import Login, LoginId, Record, State, alive, compatible, merge, merge_logins, partial_login
from tests.protocol.build import HOUR_MS, NOW_MS, login, login_id

RECORD = Record(login_id(1), login(), NOW_MS, State.ALIVE)


def test_a_login_id_reads_as_the_documents_say() -> None:
    """proxy:epoch in 16 hex digits:sequence."""
    assert str(LoginId("squid-3", 0xAB, 12)) == "squid-3:00000000000000ab:12"


def test_an_end_joins_its_login_in_any_order() -> None:
    """The whole login stays, with the end's state; the end alone keeps key, user and expiry."""
    early = Record(RECORD.login_id, partial_login("10.0.0.1", "alice", RECORD.login.expires_at), 0, State.LOGGED_OUT)
    assert early.login.partial and compatible(early.login, RECORD.login)
    assert merge(early, RECORD) == Record(RECORD.login_id, RECORD.login, NOW_MS, State.LOGGED_OUT)


@pytest.mark.parametrize(
    "lie",
    [
        login(user="bob"),
        login(key="10.0.0.2"),
        login(expires_at=NOW_MS + 1),
        login(site="lan2"),
        login(attributes=(("a", "b"),)),
        partial_login("10.0.0.1", "bob", RECORD.login.expires_at),
    ],
)
def test_two_contents_under_one_id_are_a_conflict(lie: Login) -> None:
    """Everywhere the same one of the two is kept, and the record has ended."""
    kept, conflict = merge_logins(RECORD.login, lie)
    assert conflict and kept == merge_logins(lie, RECORD.login)[0]
    assert merge(RECORD, Record(RECORD.login_id, lie, 0, State.ALIVE)).state == State.CONFLICT


def test_attributes_of_either_form_are_ordered() -> None:
    """A text and a tuple under one name are a conflict and no crash."""
    one, other = login(attributes=(("groups", "staff"),)), login(attributes=(("groups", ("staff",)),))
    assert merge_logins(one, other) == merge_logins(other, one)
    assert merge_logins(one, other)[1]


def test_records_of_different_logins_do_not_merge() -> None:
    """Merging them is a bug of the caller."""
    with pytest.raises(AssertionError):
        merge(RECORD, Record(login_id(2), RECORD.login, 0, State.ALIVE))


@pytest.mark.parametrize(
    ("now_ms", "barrier", "expected"),
    [
        (NOW_MS, -1, True),
        (NOW_MS + 1_800_000 - 1, -1, True),
        (NOW_MS + 1_800_000, -1, False),
        (NOW_MS, NOW_MS - 1, True),
        (NOW_MS, NOW_MS, False),
    ],
)
def test_alive_ends_at_idle_timeout_and_barrier(now_ms: int, barrier: int, expected: bool) -> None:
    """Alive up to, not at, the end of the idle time; a login at its user's barrier is dead."""
    assert alive(RECORD, barrier, now_ms) is expected


def test_alive_ends_at_expiry_and_with_any_end() -> None:
    """Activity does not reach beyond expires_at, and no ended or partial record is alive."""
    active = Record(RECORD.login_id, RECORD.login, NOW_MS + 12 * HOUR_MS, State.ALIVE)
    assert alive(active, -1, NOW_MS + 12 * HOUR_MS - 1)
    assert not alive(active, -1, NOW_MS + 12 * HOUR_MS)
    for state in set(State) - {State.ALIVE}:
        assert not alive(Record(RECORD.login_id, RECORD.login, NOW_MS, state), -1, NOW_MS)
