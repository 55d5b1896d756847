"""What a webhook is told of batches, timeouts, roles and problems."""

from authagent.webhook import told
from authagent.webhook.told import Batch
from protocol.changes import Barrier, Changes, EndRun, LoginRun
from protocol.session import Login, LoginId, Origin, Record, State

AT_MS = 1_769_860_800_000
ORIGIN = Origin("p1", 7)


def logins(*users: str, states: bytes | None = None) -> LoginRun:
    count = len(users)
    return LoginRun(
        origin=ORIGIN, sequences=range(1, count + 1), site="lan1", keys=[f"k-{user}" for user in users],
        users=list(users), login_at=[AT_MS] * count, expires_at=[AT_MS + 1] * count, idle_timeout_s=[60] * count,
        attributes=[(("groups", ("staff", "it")), ("mail", "a@b"))] * count, states=states,
    )  # fmt: skip


def ends(*rows: tuple[str, State]) -> EndRun:
    users = [user for user, _ in rows]
    return EndRun(
        origin=ORIGIN, sequences=range(1, len(rows) + 1), states=bytes(state for _, state in rows),
        keys=[f"k-{user}" for user in users], users=users, expires_at=[AT_MS] * len(rows),
    )  # fmt: skip


def test_a_login_is_told_whole() -> None:
    """Who, where, under which key, with which attributes, and the id by which it is known everywhere."""
    (event,) = Batch("p1", Changes(logins=(logins("alice"),)), AT_MS).events()
    assert event == {
        "event": "session.opened", "at": "2026-01-31T12:00:00.000Z", "user": "alice", "key": "k-alice",
        "login_id": str(LoginId("p1", 7, 1)), "site": "lan1", "proxy": "p1", "by": "p1",
        "attributes": {"groups": ["staff", "it"], "mail": "a@b"},
    }  # fmt: skip


def test_ends_are_told_with_their_reason() -> None:
    """Tombstones are no logins; who logs in again under the same key has not gone; a user's logout is one event."""
    run = ends(("alice", State.LOGGED_OUT), ("bob", State.SUPERSEDED), ("carol", State.SUPERSEDED))
    again = logins("bob", "dead", states=bytes([State.ALIVE, State.LOGGED_OUT]))
    batch = Batch("p2", Changes(logins=(again,), ends=(run,), barriers=(Barrier("dave", AT_MS),)), AT_MS)
    found = [(each["event"], each["user"], each.get("reason")) for each in batch.events()]
    assert found == [
        ("session.opened", "bob", None),
        ("session.ended", "alice", "logged_out"),
        ("session.ended", "carol", "superseded"),
        ("user.logged_out", "dave", None),
    ]
    assert batch.size == 6


def test_timeouts_say_which() -> None:
    """Idle, or the end of its lifetime."""
    login = Login("k", "alice", "lan1", AT_MS - 100_000, AT_MS + 1_000_000, 60, ())
    idle = Record(LoginId("p1", 7, 1), login, AT_MS - 60_000, State.ALIVE)
    expired = Record(LoginId("p1", 7, 1), login._replace(expires_at=AT_MS), AT_MS - 10, State.ALIVE)
    assert told.timed_out(idle, AT_MS)["reason"] == "idle"
    assert told.timed_out(expired, AT_MS)["reason"] == "expired"


def test_roles_and_problems_have_their_words() -> None:
    """A term, a code, whom it is about and the text of `status`."""
    assert told.role("master", 4, AT_MS) == {"event": "role.master", "at": "2026-01-31T12:00:00.000Z", "term": 4}
    event = told.problem("began", "clock", "p1", "its clock is off", AT_MS)
    assert (event["event"], event["code"], event["about"]) == ("problem.began", "clock", "p1")
