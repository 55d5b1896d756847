"""The local copy: login, logout, look-up, and what the file may change about them."""

import pytest

from protocol.changes import Barrier, Changes, EndRun, LoginRun
from protocol.session import Origin, State
from proxyagent.errors import LimitExceeded
from tests.proxyagent.core.bench import WALL_MS, Bench

OTHER = Origin("p2", 9)


def other_login(key: str, user: str, sequence: int = 1, *, site: str = "lan1", at_ms: int = WALL_MS) -> Changes:
    """A login made at another proxy."""
    run = LoginRun(OTHER, [sequence], site, [key], [user], [at_ms], [at_ms + 3_600_000], [600], [()])
    return Changes(logins=(run,))


def test_a_login_is_found_by_every_way_to_write_its_key() -> None:
    """An address logged in as IPv6-mapped is found as IPv4, and the reverse."""
    bench = Bench()
    session = bench.login("::ffff:10.0.0.1")
    assert session.key == "10.0.0.1"
    assert bench.lookup("10.0.0.1") is session
    assert bench.lookup("::FFFF:10.0.0.1") is session
    assert bench.lookup("\0") is None


def test_the_same_login_again_is_a_touch() -> None:
    """The same user with the same attributes gets the session that exists, another user a new one."""
    bench = Bench()
    first = bench.login("k", attributes={"g": ["a"]})
    bench.pass_s(100)
    assert bench.login("k", attributes={"g": ["a"]}) is first
    second = bench.login("k", attributes={"g": ["b"]})
    assert second.login_id != first.login_id
    assert bench.lookup("k") is second
    third = bench.login("k", "bob")
    assert bench.lookup("k").user == "bob"
    assert [each.login_id for each in bench.client.cache.sessions(bench.now)] == [third.login_id]


def test_a_logout_ends_what_is_held_under_a_key() -> None:
    """After a logout nobody is shown, and a new login is another one."""
    bench = Bench()
    first = bench.login("k")
    assert tuple(bench.logout("k")) == (first,)
    assert bench.lookup("k") is None
    assert tuple(bench.logout("k")) == ()
    assert bench.login("k").login_id != first.login_id


def test_a_user_is_logged_out_everywhere() -> None:
    """logout(user) ends the sessions of all keys, those of other proxies too."""
    bench = Bench()
    bench.login("a")
    bench.login("b", "bob")
    bench.client.cache.merge(other_login("c", "alice"), bench.now)
    assert {each.key for each in bench.logout(user="alice")} == {"a", "c"}
    assert [bench.lookup(key) is None for key in "abc"] == [True, False, True]


def test_what_others_say_is_shown_at_once() -> None:
    """A session at hand gives way to a login and to a logout that another proxy reports."""
    bench = Bench()
    bench.login("k")
    bench.pass_s(10)
    bench.client.cache.merge(other_login("k", "bob", at_ms=bench.now.wall_ms), bench.now)
    assert bench.lookup("k").user == "bob"
    end = EndRun(OTHER, [1], bytes([State.LOGGED_OUT]), ["k"], ["bob"], [bench.now.wall_ms + 3_600_000])
    bench.client.cache.merge(Changes(ends=(end,)), bench.now)
    assert bench.lookup("k").user == "alice"
    bench.client.cache.merge(Changes(barriers=(Barrier("alice", bench.now.wall_ms),)), bench.now)
    assert bench.lookup("k") is None


def test_users_are_lowered_in_every_question() -> None:
    """With user_names = "lower", Alice logs in and aLICE logs out."""
    bench = Bench(user_names="lower")
    bench.login("k", "Alice")
    assert len(bench.client.service.sessions("ALICE", bench.now)) == 1
    assert len(bench.logout(user="aLICE")) == 1


def test_an_address_may_count_at_its_own_site_only() -> None:
    """With key_scope = "site" the same private address at two sites is two keys; cookies are the same everywhere."""
    bench = Bench(key_scope="site")
    cookie = "cookie:" + "0" * 32
    mine = bench.login("10.0.0.1")
    assert mine.key == "10.0.0.1"
    assert bench.lookup("10.0.0.1") is mine
    bench.client.cache.merge(other_login("10.0.0.1@lan2", "bob", site="lan2"), bench.now)
    bench.client.cache.merge(other_login(cookie, "carl", 2, site="lan2"), bench.now)
    assert bench.lookup("10.0.0.1") is mine
    assert bench.lookup(cookie).user == "carl"
    end = EndRun(mine.origin, [mine.sequence], bytes([3]), ["10.0.0.1@lan1"], ["alice"], [mine.expires_at_ms])
    bench.client.cache.merge(Changes(ends=(end,)), bench.now)
    assert bench.lookup("10.0.0.1") is None


def test_a_full_table_refuses_logins_and_nothing_else() -> None:
    """Beyond [limits] sessions a login raises; known sessions go on and may log out."""
    bench = Bench(sessions_max=16)
    made = 0
    while not bench.client.cache.table.full:
        bench.login(f"k{made}")
        made += 1
    assert made == 16
    with pytest.raises(LimitExceeded, match="sessions"):
        bench.login("another")
    with pytest.raises(LimitExceeded, match="sessions"):
        bench.login("k0", "another")
    assert bench.lookup("k1") is not None
    assert len(bench.logout("k1")) == 1


def test_a_new_epoch_mints_other_ids_and_keeps_the_sessions() -> None:
    """After a pause the sessions are still there, and the next login has another epoch."""
    bench = Bench()
    first = bench.login("a")
    bench.client.cache.new_epoch(123)
    second = bench.login("b")
    assert (second.origin.epoch, second.sequence) == (123, 1)
    assert bench.lookup("a") is first


def test_provisional_times_are_fixed_before_anybody_sees_them() -> None:
    """A proxy whose clock is an hour off: sessions, barrier and reports bear the master's time afterwards."""
    bench = Bench(wall_ms=WALL_MS + 3_600_000)
    bench.start()
    bench.login("a")
    bench.login("b", "bob")
    bench.logout(user="bob")
    bench.cluster_ahead_ms = -3_600_000
    bench.open()
    bench.hear(bench.heartbeat(echo=True))
    (changes,) = bench.reported()
    assert changes.logins[0].login_at == [WALL_MS, WALL_MS]
    assert changes.barriers[0].at == WALL_MS
    cache = bench.client.cache
    assert cache.clock.now_ms(bench.now) == WALL_MS
    assert cache.table.barrier("bob") == WALL_MS
    assert bench.lookup("a").login_at_ms == WALL_MS


def test_a_login_right_after_a_logout_of_its_user_outlives_the_first_link() -> None:
    """Never linked yet, a login in the same millisecond as logout(user) is later than it, whoever held the key."""
    bench = Bench()
    bench.start()
    bench.login("fresh")
    bench.login("held", "bob")
    bench.logout(user="alice")
    bench.login("fresh")
    bench.login("held")
    bench.open()
    bench.hear(bench.heartbeat(echo=True))
    assert [bench.lookup(key).user for key in ("fresh", "held")] == ["alice", "alice"]
    barrier = bench.client.cache.table.barrier("alice")
    assert barrier < bench.lookup("fresh").login_at_ms
    assert barrier < bench.lookup("held").login_at_ms


def test_a_barrier_that_waits_for_the_first_link_is_never_lowered() -> None:
    """Two logouts within the millisecond, the second without anything to end, leave the barrier of the first."""
    bench = Bench()
    bench.start()
    for _ in range(3):
        bench.logout(user="alice")
        latest = bench.login("k")
    bench.logout(user="alice")
    bench.logout(user="alice")
    bench.open()
    bench.hear(bench.heartbeat(echo=True))
    assert bench.client.cache.table.barrier("alice") >= latest.login_at_ms


def test_a_session_that_nobody_reports_any_more_is_reported_again() -> None:
    """When the outbox was emptied, whoever waits for a session gets it into a new report."""
    bench = Bench(outbox_events_max=1)
    bench.start()
    session = bench.login("a")
    for number in range(600):
        bench.login(f"k{number}")
    assert bench.client.outbox.lost
    before = session.batch
    assert bench.client.service.reached(session) == "local"
    assert session.batch > before
