"""Sessions at hand: quiet times, coalesced touches, idle questions."""

from protocol import messages as wire
from protocol.stamp import Now
from proxyagent.core.shown import SESSIONS_MAX, deadline_ms, session_of
from tests.proxyagent.core.bench import Bench


def touches(bench: Bench) -> int:
    """How many touches have been reported in this step."""
    return sum(len(run.sequences) for changes in bench.reported() for run in changes.touches)


def served() -> Bench:
    bench = Bench()
    bench.start()
    bench.serve()
    return bench


def test_touches_are_coalesced_and_the_last_one_counts() -> None:
    """Look-ups every second for ten minutes: one touch an interval, and the last one after the silence."""
    bench = served()
    bench.login("10.0.0.1", idle_timeout_s=1_000)  # an interval of 50 s
    bench.leave()
    count = 0
    last_ms = 0
    for _ in range(600):
        for command in bench.run_s(1.0):
            bench.did = [command]
            count += touches(bench)
        bench.hear(bench.heartbeat(echo=True))
        assert bench.lookup("10.0.0.1") is not None
        last_ms = bench.now.wall_ms
        count += sum(len(run.sequences) for changes in bench.leave() for run in changes.touches)
    assert 10 <= count <= 13
    for _ in range(60):
        bench.run_s(1.0)
        bench.hear(bench.heartbeat(echo=True))
    record = bench.client.cache.table.held("10.0.0.1")[0]
    assert abs(record.active_at - last_ms) <= 20


def test_reporting_what_was_seen_makes_no_ended_session_quiet() -> None:
    """Seen in a quiet time and then logged out: when the interval is over and that is reported, it is not shown."""
    bench = served()
    session = bench.login("10.0.0.1", idle_timeout_s=60)
    session.seen_s = bench.now.monotonic_s  # as a look-up in the quiet time does
    bench.logout(user="alice")
    for _ in range(7):
        bench.run_s(1.0)
        bench.hear(bench.heartbeat(echo=True))
    assert not session.seen_s, "it has been reported"
    assert session.quiet_until_s <= bench.now.monotonic_s, "a look-up has to think about it"
    assert bench.lookup("10.0.0.1") is None


def test_a_suspended_machine_makes_nobody_younger() -> None:
    """What was seen just before the machine slept for an hour is an hour old afterwards, and the session idle."""
    bench = served()
    bench.login("10.0.0.1", idle_timeout_s=600)
    assert bench.lookup("10.0.0.1") is not None
    monotonic_s, boot_ms, wall_ms = bench.now
    bench.now = Now(monotonic_s, boot_ms + 3_600_000, wall_ms + 3_600_000)
    bench.run_s(1.0)
    assert bench.lookup("10.0.0.1") is None


def test_the_first_touch_after_a_silence_leaves_at_once() -> None:
    """Whoever comes back after more than an interval is reported in the same tick."""
    bench = served()
    bench.login("10.0.0.1")
    bench.leave()
    for _ in range(200):
        bench.run_s(1.0)
        bench.hear(bench.heartbeat(echo=True))
    assert bench.lookup("10.0.0.1") is not None
    bench.leave()
    assert touches(bench) == 1


def test_a_look_up_without_touch_is_no_activity() -> None:
    """With touch=False nothing is reported, and the session falls idle."""
    bench = served()
    session = bench.login("10.0.0.1", idle_timeout_s=60)
    bench.leave()
    for _ in range(59):
        bench.pass_s(1.0)
        assert bench.lookup("10.0.0.1", touch=False) is session
    bench.pass_s(2.0)
    assert bench.lookup("10.0.0.1", touch=False) is None


def test_an_idle_session_is_asked_about_once() -> None:
    """When a session shown here falls idle, one question goes to the master, with the activity known."""
    bench = served()
    session = bench.login("10.0.0.1", idle_timeout_s=60)
    bench.leave()
    asked = []
    for _ in range(90):
        for command in bench.run_s(1.0):
            bench.did = [command]
            asked += bench.sent(wire.IdleQuestion)
        bench.hear(bench.heartbeat(echo=True))
    (question,) = asked
    assert question.sequences == (session.sequence,)
    assert question.active_at == (session.login_at_ms,)
    assert bench.lookup("10.0.0.1") is None


def test_at_most_so_many_are_at_hand() -> None:
    """Beyond the bound the first make room; nothing is logged out by it."""
    bench = Bench(sessions_max=SESSIONS_MAX * 2)
    shown = bench.client.cache.shown
    record = bench.client.cache.table
    first = bench.login("first")
    for number in range(SESSIONS_MAX):
        shown.sessions.setdefault(f"x{number}", first)
    bench.login("last")
    assert len(shown.sessions) < SESSIONS_MAX
    assert "first" not in shown.sessions
    assert record.view("first", bench.now.wall_ms) is not None


def test_the_deadline_is_idle_time_or_lifetime() -> None:
    """A record is over at its idle deadline or its expiry, whichever is first."""
    bench = Bench()
    bench.login("a", idle_timeout_s=100, lifetime_s=50)
    bench.login("b", idle_timeout_s=100)
    a, b = (bench.client.cache.table.held(key)[0] for key in "ab")
    assert deadline_ms(a) == a.login.login_at + 50_000
    assert deadline_ms(b) == b.active_at + 100_000
    assert session_of("a", a).login_id == a.login_id
