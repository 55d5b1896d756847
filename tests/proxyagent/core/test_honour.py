"""Sessions that users bring along, at one machine: who is let in, what is reported, what the first link sets right."""

import attrs
import pytest

from protocol import messages as wire
from protocol.changes import Changes, EndRun, LoginRun
from protocol.session import Login, LoginId, Origin, Record, State
from proxyagent.core import commands, events
from proxyagent.core.cache import NotHonoured
from proxyagent.errors import LimitExceeded
from proxyagent.notices import SessionEnded, SessionOpened
from proxyagent.session import Session
from tests.proxyagent.core.bench import WALL_MS, Bench

OTHER = Origin("p2", 9)
KEY = "10.0.0.1"
LOGIN = Login(KEY, "alice", "lan1", WALL_MS - 600_000, WALL_MS + 3_600_000, 1_800, (("groups", ("a",)),))
BROUGHT = Record(LoginId(*OTHER, 5), LOGIN, WALL_MS - 60_000, State.ALIVE)


def served(**settings: object) -> Bench:
    """A machine that an agent has served, so that its clock is set."""
    bench = Bench(**settings)
    bench.start()
    bench.serve()
    return bench


def honour(bench: Bench, brought: Record = BROUGHT, key: str = KEY) -> Session:
    bench.client.notice_pause(bench.now)
    found: Session = bench.client.service.honour(brought, key, bench.now)
    return found


def test_what_is_honoured_is_shown_as_the_same_login_and_reported() -> None:
    """Every immutable field is exact in the report, and being there is activity."""
    bench = served()
    session = honour(bench)
    assert session.login_id == BROUGHT.login_id and bench.lookup(KEY) is session
    (report,) = bench.leave()
    (run,) = report.logins
    assert run == LoginRun(
        OTHER, range(5, 6), "lan1", [KEY], ["alice"], [LOGIN.login_at], [LOGIN.expires_at], [1_800],
        [LOGIN.attributes], [BROUGHT.active_at], None,
    )  # fmt: skip
    assert report.touches[0].active_at == [WALL_MS]
    bench.hear(wire.Acknowledgement(1, 1, ()))
    assert bench.client.service.reached(session) == "site"


def test_isolated_it_waits_in_the_outbox() -> None:
    """Reported when an agent answers again."""
    bench = served()
    bench.close()
    session = honour(bench)
    assert bench.leave() == [] and bench.client.service.reached(session) == "local"
    bench.serve()
    assert not bench.client.outbox.has_unsent
    bench.hear(wire.Acknowledgement(1, 1, ()))
    assert bench.client.service.reached(session) == "site"


def test_honoured_twice_is_one_session_and_nothing_new() -> None:
    """A browser sends its cookie again and again."""
    bench = served()
    session = honour(bench)
    bench.leave()
    assert honour(bench) is session
    assert bench.leave() == []
    assert bench.client.cache.table.records == 1


def test_an_end_that_comes_later_wins() -> None:
    """As soon as one that knows is heard, the session is over, and its cookie is refused."""
    bench = served()
    honour(bench)
    end = EndRun(OTHER, [5], bytes([State.LOGGED_OUT]), [KEY], ["alice"], [LOGIN.expires_at])
    bench.client.cache.merge(Changes(ends=(end,)), bench.now)
    assert bench.lookup(KEY) is None
    with pytest.raises(NotHonoured, match="it has ended"):
        honour(bench)


def test_it_is_honoured_only_under_its_own_key() -> None:
    """Whoever presents it from elsewhere is refused, and so is what cannot be a key; spellings of one key are one."""
    bench = served()
    for key in ("10.0.0.2", "cookie:" + "0" * 32, f"{KEY}+cookie:" + "0" * 32):
        with pytest.raises(NotHonoured, match="another key"):
            honour(bench, key=key)
    with pytest.raises(LimitExceeded):
        honour(bench, key="")
    assert bench.lookup(KEY) is None
    assert honour(bench, key="::ffff:10.0.0.1").key == KEY


def test_with_addresses_of_one_site_only_that_site_honours_it() -> None:
    """key_scope = "site": the same address elsewhere is another client."""
    brought = attrs.evolve(BROUGHT, login=LOGIN._replace(key=f"{KEY}@lan1"))
    assert honour(served(key_scope="site"), brought).key == KEY
    with pytest.raises(NotHonoured, match="another key"):
        honour(served(key_scope="site", site="lan2"), brought)
    with pytest.raises(NotHonoured, match="another key"):
        honour(served(key_scope="site"), BROUGHT)


def test_a_login_id_of_this_process_that_it_does_not_know_is_refused() -> None:
    """It cannot have minted it; let in, it would be minted again."""
    bench = served()
    origin = bench.client.cache.origin
    with pytest.raises(NotHonoured, match="not known to the process"):
        honour(bench, attrs.evolve(BROUGHT, login_id=LoginId(*origin, 1)))
    own = bench.login("10.0.0.7")
    record = bench.client.cache.carried(own, bench.now)
    assert record is not None
    assert honour(bench, record, "10.0.0.7") is own


def test_a_proxy_that_answers_nobody_honours_nobody() -> None:
    """keep_sessions = "drop": after the last agent is gone a cookie opens nothing either."""
    bench = served(keep_sessions="drop")
    bench.close()
    bench.run_s(5)
    with pytest.raises(NotHonoured, match="keep_sessions"):
        honour(bench)


def test_a_name_that_is_written_otherwise_here_is_refused() -> None:
    """user_names = "lower" came after the cookie: one user must not become two."""
    brought = attrs.evolve(BROUGHT, login=LOGIN._replace(user="Alice"))
    assert honour(served(), brought).user == "Alice"
    with pytest.raises(NotHonoured, match="user_names"):
        honour(served(user_names="lower"), brought)


def test_an_older_login_of_somebody_else_under_the_key_is_superseded() -> None:
    """As it was where the login was made: nobody surfaces behind it. That is told."""
    bench = served()
    bench.client.endings.start(bench.now)
    bob = bench.login(KEY, "bob")
    bench.pass_s(60)
    later = attrs.evolve(BROUGHT, login=LOGIN._replace(login_at=WALL_MS + 30_000), active_at=WALL_MS + 40_000)
    session = honour(bench, later)
    ended, opened = bench.client.endings.take()[1:]
    assert ended == SessionEnded(bob, "superseded") and opened == SessionOpened(session)
    assert bench.client.cache.table.record(bob.login_id).state == State.SUPERSEDED  # type: ignore[union-attr]
    assert {run.origin for report in bench.leave() for run in report.ends} == {bob.origin}


def test_what_is_refused_changes_nothing() -> None:
    """A later login holds the key: it goes on, and nothing is reported of the other."""
    bench = served()
    bob = bench.login(KEY, "bob")
    bench.leave()
    with pytest.raises(NotHonoured, match="another login"):
        honour(bench)
    assert bench.lookup(KEY) is bob and bench.leave() == []


def serve_and_listen(bench: Bench) -> list[Changes]:
    """An agent links and serves; everything that it was told."""
    told: list[Changes] = []
    step = bench.step

    def listen(event: events.Event) -> list[commands.Command]:
        did = step(event)
        told.extend(bench.reported())
        return did

    bench.step = listen  # type: ignore[method-assign]
    bench.serve()
    return told


# -- before the first link -----------------------------------------------------------------------------------------


def test_never_linked_it_honours_by_its_own_clock_and_seals_only_what_others_made() -> None:
    """The times of its own logins are not fixed yet; a cookie would hold what nobody ever sees."""
    bench = Bench()
    bench.start()
    own = bench.login("10.0.0.7")
    assert bench.client.service.carried(own, bench.now) is None
    session = honour(bench)
    carried = bench.client.service.carried(session, bench.now)
    assert carried is not None and carried.login == LOGIN and carried.active_at == WALL_MS


def test_the_first_link_moves_what_was_stamped_here_and_nothing_that_was_brought() -> None:
    """The wall clock was an hour ahead: login and end of the brought session stay exact, its activity comes back."""
    bench = Bench(wall_ms=WALL_MS + 3_000_000)
    bench.start()
    brought = attrs.evolve(BROUGHT, active_at=WALL_MS + 1_500_000)
    other = attrs.evolve(BROUGHT, login_id=LoginId(*OTHER, 6), login=LOGIN._replace(key="10.0.0.2"),
                         active_at=WALL_MS + 1_500_000)  # fmt: skip
    honour(bench, brought)
    honour(bench, other, "10.0.0.2")
    bench.logout("10.0.0.2")
    bench.cluster_ahead_ms = -3_000_000
    reported = serve_and_listen(bench)
    (told,) = [run for changes in reported for run in changes.logins if run.keys == [KEY]]
    assert (told.login_at, told.expires_at) == ([LOGIN.login_at], [LOGIN.expires_at])
    (end,) = [run for changes in reported for run in changes.ends]
    assert (end.keys, end.expires_at) == (["10.0.0.2"], [LOGIN.expires_at])
    assert all(at <= WALL_MS for changes in reported for run in changes.touches for at in run.active_at)
    table = bench.client.cache.table
    known, gone = table.record(brought.login_id), table.record(other.login_id)
    assert known is not None and known.login == brought.login and known.state == State.ALIVE
    assert known.active_at == WALL_MS + 1_500_000
    assert gone is not None and (gone.login, gone.state) == (other.login, State.LOGGED_OUT)
    assert table.counts.conflicts == 0


def test_who_was_logged_out_before_the_first_link_is_not_let_in() -> None:
    """logout(user) is a barrier that waits outside the table until then."""
    bench = Bench()
    bench.start()
    bench.logout(user="alice")
    with pytest.raises(NotHonoured, match="logged out"):
        honour(bench)


def test_a_session_that_is_over_is_not_carried() -> None:
    """Logged out, idle, or hidden by another login: there is no cookie of it."""
    bench = served()
    session = bench.login(KEY)
    assert bench.client.service.carried(session, bench.now) is not None
    bench.pass_s(1_801)
    assert bench.client.service.carried(session, bench.now) is None
    bench.logout(KEY)
    assert bench.client.service.carried(bench.login(KEY, "bob"), bench.now) is not None
    assert bench.client.service.carried(session, bench.now) is None


def test_what_is_carried_knows_the_latest_activity() -> None:
    """Look-ups within the interval of touches, which are not reported yet, count."""
    bench = served()
    session = bench.login(KEY)
    bench.pass_s(3)
    bench.lookup(KEY)
    record = bench.client.service.carried(session, bench.now)
    assert record is not None and record.active_at >= WALL_MS + 3_000
