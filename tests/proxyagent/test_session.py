"""Sessions as a host program sees them."""

import pytest

from protocol.session import Login, LoginId, Origin, State
from proxyagent.session import END_REASONS, Ended, Session

LOGIN = Login("k", "alice", "lan1", 1_000, 9_000, 60, (("groups", ("a", "b")), ("mail", "x@y")))


def test_a_session_shows_its_login() -> None:
    """Every field of the login is there, under the public key, with attributes as a mapping that cannot be changed."""
    session = Session(Origin("p1", 7), 3, "10.0.0.1", LOGIN)
    assert (session.key, session.user, session.site, session.proxy) == ("10.0.0.1", "alice", "lan1", "p1")
    assert session.login_id == LoginId("p1", 7, 3)
    assert (session.login_at_ms, session.expires_at_ms, session.idle_timeout_s) == (1_000, 9_000, 60)
    assert session.attributes == {"groups": ("a", "b"), "mail": "x@y"}
    with pytest.raises(TypeError):
        session.attributes["groups"] = "c"  # type: ignore[index]
    assert "mail" not in repr(session)


def test_sessions_are_equal_by_login_id() -> None:
    """Two objects for one login are one session, for sets and dicts too."""
    one, same, other = (Session(Origin("p1", 7), number, "k", LOGIN) for number in (3, 3, 4))
    assert one == same
    assert len({one, same, other}) == 2


def test_what_a_logout_ended_is_a_tuple_with_something_to_wait_for() -> None:
    """Even an empty one carries the batch of its logout."""
    ended = Ended((), 9)
    assert ended == ()
    assert ended.batch == 9


def test_every_end_has_its_word() -> None:
    """Each state that ends a session is told by one of the five reasons."""
    assert set(END_REASONS) == {state for state in State if state > State.ALIVE}
    assert set(END_REASONS.values()) <= {"logged_out", "idle", "expired", "superseded", "administrator"}
