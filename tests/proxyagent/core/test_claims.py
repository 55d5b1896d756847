"""A session as claims and back: exact, and nothing that a peer would refuse."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.session import Attributes, Login, LoginId, Record, State, partial_login
from proxyagent.core.claims import SESSION_CLAIM, claims_of, record_of

NOW_MS = 1_700_000_000_000
LOGIN = Login("10.0.0.1", "alice", "lan1", NOW_MS, NOW_MS + 43_200_000, 1_800, (("groups", ("a", "b")), ("mail", "x")))
RECORD = Record(LoginId("p1", 2**63 + 5, 7), LOGIN, NOW_MS + 12_345, State.ALIVE)


def carried(record: Record) -> Record | None:
    """Through JSON, as in a cookie."""
    return record_of(record.login.user, json.loads(json.dumps(claims_of(record))))


def test_a_record_comes_back_exactly() -> None:
    """Login id, every immutable field, and the last activity; the idle deadline stands in it for others to read."""
    assert carried(RECORD) == RECORD
    claims = claims_of(RECORD)
    assert claims["groups"] == ("a", "b") and claims["mail"] == "x"
    assert claims[SESSION_CLAIM]["login_id"] == "p1:8000000000000005:7"
    assert claims[SESSION_CLAIM]["idle_deadline_ms"] == RECORD.active_at + 1_800_000


TEXT = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20)
NAMES = st.text("abcXYZ019._-:", min_size=1, max_size=20)
ATTRIBUTES = st.dictionaries(
    TEXT.filter(lambda name: name != SESSION_CLAIM), TEXT | st.lists(TEXT, max_size=3).map(tuple), max_size=4
)


@given(
    NAMES, st.integers(0, 2**64 - 1), st.integers(0, 2**40 - 1), NAMES,
    TEXT.filter(lambda user: "\0" not in user), ATTRIBUTES,
    st.integers(60, 604_800), st.integers(1, 604_800_000), st.integers(0, 604_800_000),
)  # fmt: skip
def test_any_record_comes_back_exactly(
    proxy: str, epoch: int, sequence: int, site: str, user: str, attributes: dict[str, Any],
    idle_timeout_s: int, lifetime_ms: int, active_ms: int,
) -> None:  # fmt: skip
    """Whatever a host program may log in."""
    pairs: Attributes = tuple(sorted(attributes.items()))
    login = Login("cookie:" + "0a" * 16, user, site, NOW_MS, NOW_MS + lifetime_ms, idle_timeout_s, pairs)
    record = Record(LoginId(proxy, epoch, sequence), login, NOW_MS + active_ms, State.ALIVE)
    assert carried(record) == record


def test_an_attribute_may_not_take_the_name_of_the_session() -> None:
    """It would be read back as something else; so there is no cookie."""
    login = LOGIN._replace(attributes=((SESSION_CLAIM, "x"),))
    with pytest.raises(ValueError, match="may not be called one_login"):
        claims_of(Record(RECORD.login_id, login, NOW_MS, State.ALIVE))


GOOD = json.loads(json.dumps(claims_of(RECORD)))
WRONG: dict[str, list[Any]] = {
    "login_id": ["", "p1", "p1:1:1", ":0000000000000001:1", "p1:000000000000000G:1", "p1:0000000000000001:-1", 5,
                 "p1:0000000000000001:9999999999999", "p\n1:0000000000000001:1", f"{'p' * 65}:0000000000000001:1"],
    "key": ["", " k", "k\0k", "k\n", "::ffff:10.0.0.1", "x" * 257, "\ud800", None],
    "site": ["", "x" * 65, "a\nb", 1, "\ud800"],
    "login_at_ms": [-1, 1.5, "1", None, True, 2**48, NOW_MS + 99_999_999, 10**400],
    "expires_at_ms": [NOW_MS, 0, -1, NOW_MS + 604_800_001, 2.5, "x", 10**400],
    "idle_timeout_s": [0, 59, -60, 2**32, 1_800.0, "1800", True],
    "idle_deadline_ms": [0, NOW_MS, NOW_MS + 1_799_999, 2**50, -1, "x", None],
}  # fmt: skip


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in WRONG.items() for value in values])
def test_what_a_peer_would_refuse_is_no_session(name: str, value: Any) -> None:
    """Out of bounds, of another type, not canonical: None."""
    assert record_of("alice", GOOD) == RECORD
    assert record_of("alice", {**GOOD, SESSION_CLAIM: {**GOOD[SESSION_CLAIM], name: value}}) is None


def test_what_is_missing_or_too_much_is_no_session() -> None:
    """A part left out, a part more, no session at all, other claims of other types, a wrong user."""
    session = GOOD[SESSION_CLAIM]
    for name in session:
        assert record_of("alice", {SESSION_CLAIM: {k: v for k, v in session.items() if k != name}}) is None
    for wrong in ({}, {SESSION_CLAIM: None}, {SESSION_CLAIM: []}, {SESSION_CLAIM: {**session, "more": 1}}):
        assert record_of("alice", wrong) is None
    for value in (1, None, ["a", 1], {"a": "b"}, "\ud800"):
        assert record_of("alice", {**GOOD, "groups": value}) is None
    assert record_of("alice", {**GOOD, "": "no name"}) is None
    assert record_of("alice", {**GOOD, **{f"n{n}": "" for n in range(31)}}) is None
    assert record_of("alice", {**GOOD, "long": "x" * 4_096}) is None
    for user in ("a\0b", "x" * 257, "\ud800"):
        assert record_of(user, GOOD) is None


def test_an_end_is_never_sealed() -> None:
    """A partial login has no site, and so could not come back."""
    partial = Record(RECORD.login_id, partial_login("k", "alice", NOW_MS + 1), NOW_MS, State.LOGGED_OUT)
    assert carried(partial) is None
