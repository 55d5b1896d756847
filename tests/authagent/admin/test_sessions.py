"""How sessions are shown, and whose a question means."""

import pytest

from authagent.admin import sessions
from authagent.admin.sessions import Wanted
from protocol import configuration
from protocol.table import Table
from tests.protocol.build import NOW_MS, logged_in, login, new_table, touched

FIELDS = {"key", "user", "site", "proxy", "login_id", "attributes", "idle_left_s", "lifetime_left_s"}


def one_login(key: str = "10.0.0.1") -> Table:
    table = new_table()
    table.merge(logged_in(1, login(key, user="alice", at=NOW_MS)), NOW_MS)
    return table


def test_a_session_is_shown_with_every_field() -> None:
    """The fields are those of DESIGN section 6; durations are seconds and count down to 0."""
    table = one_login()
    (record,) = table.sessions(NOW_MS)
    shown = sessions.describe(record, NOW_MS + 1_000)
    assert shown.keys() == FIELDS
    assert (shown["key"], shown["user"]) == ("10.0.0.1", "alice")
    assert shown["idle_left_s"] == record.login.idle_timeout_s - 1
    assert sessions.describe(record, record.login.expires_at + 5_000)["lifetime_left_s"] == 0.0


def test_a_key_is_meant_as_given_then_as_proxies_write_it() -> None:
    """A mapped address finds the plain one; with key_scope = "site" an address finds that of the own site."""
    plain, scoped = configuration.parse("", "f"), configuration.parse('[session]\nkey_scope = "site"\n', "f")
    table = one_login()
    assert sessions.wanted({"key": "::ffff:10.0.0.1"}, table, plain, "lan1").key == "10.0.0.1"
    assert sessions.wanted({"key": "10.0.0.9"}, table, scoped, "lan1").key == "10.0.0.9@lan1"
    assert sessions.wanted({"key": "10.0.0.1"}, table, scoped, "lan1").key == "10.0.0.1"
    assert sessions.wanted({"key": "my-key"}, table, scoped, "lan1").key == "my-key"


def test_users_are_meant_as_the_file_writes_them() -> None:
    """With user_names = "lower" Alice is alice, otherwise she is not."""
    table = one_login()
    exact, lower = configuration.parse("", "f"), configuration.parse('[session]\nuser_names = "lower"\n', "f")
    assert sessions.wanted({"user": "Alice"}, table, exact, "lan1").user == "Alice"
    assert sessions.wanted({"user": "Alice"}, table, lower, "lan1").user == "alice"


@pytest.mark.parametrize("value", [5, "", [], "a\0b", "x" * 300, {"a": 1}, True])
def test_what_no_session_can_have_is_named(value: object) -> None:
    """A wrong type, an empty text, NUL and an endless one are refused by name."""
    for name in ("key", "user", "site", "proxy"):
        with pytest.raises(ValueError, match=f"^{name}: "):
            sessions.wanted({name: value}, new_table(), configuration.parse("", "f"), "lan1")


def test_only_what_is_asked_for_fits() -> None:
    """Each of key, user, site and proxy narrows; none of them means everything."""
    (record,) = one_login().sessions(NOW_MS)
    assert Wanted().fits(record)
    right = {"key": "10.0.0.1", "user": "alice", "site": record.login.site, "proxy": record.login_id.proxy}
    assert Wanted(**right).fits(record)
    for name in right:
        assert not Wanted(**{**right, name: "other"}).fits(record)


def test_candidates_are_those_shown() -> None:
    """By key, by user or all: an idle session is none of them, a touched one is."""
    table = one_login()
    table.merge(logged_in(2, login("10.0.0.2", user="alice", at=NOW_MS, idle_timeout_s=60)), NOW_MS)
    later_ms = NOW_MS + 61_000
    for asked in (Wanted(), Wanted(user="alice"), Wanted(key="10.0.0.1")):
        assert [each.login.key for each in sessions.candidates(table, asked, later_ms)] == ["10.0.0.1"]
    assert list(sessions.candidates(table, Wanted(key="10.0.0.2"), later_ms)) == []
    table.merge(touched(2, NOW_MS + 30_000), NOW_MS + 30_000)
    assert len(list(sessions.candidates(table, Wanted(), later_ms))) == 2
