"""Batches of changes put together, and records as changes."""

from protocol.changes import Barrier, Changes, EndRun, LoginRun, Mark, TouchRun
from protocol.session import Login, LoginId, Origin, Record, State, partial_login
from protocol.table import Table
from proxyagent.core.columns import changes_of, joined

ONE, TWO = Origin("p1", 1), Origin("p2", 2)


def run(origin: Origin, sequence: int, site: str = "lan1") -> LoginRun:
    return LoginRun(origin, [sequence], site, [f"k{sequence}"], ["u"], [10], [99_999], [60], [()])


def test_joined_says_what_its_parts_say() -> None:
    """A table that takes the parts equals one that takes them joined; each origin has one run of each kind."""
    parts = [
        Changes(logins=(run(ONE, 1),)),
        Changes(logins=(run(ONE, 2), run(TWO, 1)), marks=(Mark("k9", 5),)),
        Changes(ends=(EndRun(ONE, [1], bytes([3]), ["k1"], ["u"], [99_999]),), barriers=(Barrier("x", 4),)),
        Changes(ends=(EndRun(ONE, [2], bytes([2]), ["k2"], ["u"], [99_999]),)),
        Changes(touches=(TouchRun(TWO, [1], [50]),)),
        Changes(touches=(TouchRun(TWO, [1], [40]),)),
    ]
    whole = joined(parts)
    assert (len(whole.logins), len(whole.ends), len(whole.touches)) == (2, 1, 1)
    assert (whole.barriers, whole.marks) == ((Barrier("x", 4),), (Mark("k9", 5),))
    one, other = Table(digest_key=b"k" * 32), Table(digest_key=b"k" * 32)
    for part in parts:
        one.merge(part, 100)
    other.merge(whole, 100)
    assert one.root(0) == other.root(0)
    assert one.record(LoginId("p2", 2, 1)) == other.record(LoginId("p2", 2, 1))


def test_logins_of_two_sites_stay_apart() -> None:
    """A run has one site, so logins of different sites are never put into one."""
    assert len(joined([Changes(logins=(run(ONE, 1),)), Changes(logins=(run(ONE, 2, "lan2"),))]).logins) == 2


def test_changes_of_a_record_make_the_record() -> None:
    """Whatever a record is - alive, touched, ended, without its login - its changes bring it to an empty table."""
    login = Login("k", "u", "lan1", 10, 90_000, 60, (("g", ("a", "b")),))
    for record in (
        Record(LoginId("p1", 1, 1), login, 10, State.ALIVE),
        Record(LoginId("p1", 1, 2), login, 30, State.ALIVE),
        Record(LoginId("p1", 1, 3), login, 30, State.LOGGED_OUT),
        Record(LoginId("p1", 1, 4), partial_login("k", "u", 90_000), 0, State.SUPERSEDED),
    ):
        table = Table(digest_key=b"k" * 32)
        table.merge(changes_of(record), 100)
        kept = table.record(record.login_id)
        assert kept is not None
        assert (kept.login.key, kept.state) == (record.login.key, record.state)
        if record.login.site is not None and record.state is State.ALIVE:
            assert kept == record
