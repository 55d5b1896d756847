"""Who is told as having come and gone."""

from protocol.changes import Changes, EndRun, LoginRun
from protocol.session import Origin, State
from proxyagent.notices import SessionEnded, SessionOpened
from tests.proxyagent.core.bench import Bench

OTHER = Origin("p2", 9)


def told(bench: Bench) -> list[tuple[str, str]]:
    """What was gathered since the last call: (user, opened or the reason)."""
    notices, bench.client.endings.notices = bench.client.endings.notices, []
    return [(each.session.user, getattr(each, "reason", "opened")) for each in notices]  # type: ignore[union-attr]


def listening() -> Bench:
    bench = Bench()
    bench.client.endings.start(bench.now)
    return bench


def merge(bench: Bench, changes: Changes) -> None:
    bench.client.endings.merged(bench.client.cache.merge(changes, bench.now), bench.now)


def login_of(bench: Bench, user: str, sequence: int, key: str = "k") -> Changes:
    at_ms = bench.now.wall_ms
    return Changes(logins=(LoginRun(OTHER, [sequence], "lan1", [key], [user], [at_ms], [at_ms + 100_000], [60], [()]),))


def end_of(bench: Bench, sequence: int, state: State, user: str, key: str = "k") -> Changes:
    record = next(each for each in bench.client.cache.table.held(key) if each.login_id.sequence == sequence)
    run = EndRun(OTHER, [sequence], bytes([state]), [key], [user], [record.login.expires_at])
    return Changes(ends=(run,))


def test_nothing_is_gathered_for_nobody() -> None:
    """Without a listener nothing is watched."""
    bench = Bench()
    bench.login("k")
    merge(bench, login_of(bench, "bob", 1, "l"))
    assert bench.client.endings.notices == []
    assert not bench.client.endings.started


def test_logins_and_logouts_are_told_with_their_reason() -> None:
    """Made here or elsewhere: opened once, ended once, with who ended it."""
    bench = listening()
    bench.login("a")
    bench.login("a")
    merge(bench, login_of(bench, "bob", 1))
    bench.logout("a")
    merge(bench, end_of(bench, 1, State.ADMINISTRATOR, "bob"))
    assert told(bench) == [
        ("alice", "opened"),
        ("bob", "opened"),
        ("alice", "logged_out"),
        ("bob", "administrator"),
    ]


def test_superseded_by_oneself_is_no_end() -> None:
    """The same user logging in anew is not told as ended; giving way to another user is."""
    bench = listening()
    bench.login("k", attributes={"g": "1"})
    bench.login("k", attributes={"g": "2"})
    bench.login("k", "bob")
    assert told(bench) == [("alice", "opened"), ("alice", "opened"), ("alice", "superseded"), ("bob", "opened")]


def test_ends_by_time_are_told_a_second_late() -> None:
    """Idle and expired sessions are told, of other proxies too, those that were there before the listener as well."""
    bench = Bench()
    bench.login("a", idle_timeout_s=60)
    bench.client.endings.start(bench.now)
    bench.login("b", "bob", lifetime_s=30)
    merge(bench, login_of(bench, "carl", 1))
    told(bench)
    happened = []
    for second in range(120):
        bench.pass_s(1.0)
        bench.client.endings.look_after(bench.now)
        happened += [(second + 1, *each) for each in told(bench)]
    assert [each[1:] for each in happened] == [("bob", "expired"), ("alice", "idle"), ("carl", "idle")]
    assert [31, 61, 61] <= [each[0] for each in happened] <= [33, 63, 63]


def test_activity_elsewhere_puts_the_end_off() -> None:
    """A session that another proxy saw is not told as idle when it was not seen here."""
    bench = listening()
    bench.login("a", idle_timeout_s=60)
    session = bench.lookup("a", touch=False)
    bench.pass_s(50)
    bench.client.cache.table.touch(session.login_id, bench.now.wall_ms)
    for _ in range(40):
        bench.pass_s(1.0)
        bench.client.endings.look_after(bench.now)
    assert told(bench) == [("alice", "opened")]


def test_notices_hold_sessions() -> None:
    """What is told carries the session under its public key."""
    bench = listening()
    bench.login("10.0.0.1")
    (opened,) = bench.client.endings.notices
    assert isinstance(opened, SessionOpened)
    assert not isinstance(opened, SessionEnded)
    assert opened.session.key == "10.0.0.1"
