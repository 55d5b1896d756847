"""What is counted, and what stands in the log: a line each while they are few, then a count."""

from collections.abc import Mapping

from authagent.core.border import Traffic
from authagent.tally import Tally
from protocol.changes import Barrier, Changes, EndRun, LoginRun, TouchRun
from protocol.io.log import Log, Severity
from protocol.io.log_limit import LINES_PER_SECOND_MAX
from protocol.session import Origin, State
from tests.protocol.build import HOUR_MS, NOW_MS, all_logged_in, login, new_table

ORIGIN = Origin("p1", 7)


class Book:
    """A tally and the lines that it wrote, at a time that stands still until it is moved."""

    def __init__(self, level: int = 1) -> None:
        self.lines: list[tuple[str, Mapping[str, object]]] = []
        self.now_s = 100.0
        self.log = Log(self._line, level=level, monotonic_s=lambda: self.now_s)
        self.tally = Tally(self.log)

    def _line(self, severity: Severity, event: str, values: Mapping[str, object]) -> None:
        self.lines.append((event, values))

    def take(self) -> list[tuple[str, Mapping[str, object]]]:
        lines, self.lines = self.lines, []
        return lines


def logins(*pairs: tuple[str, str], states: bytes | None = None) -> LoginRun:
    keys, users = [key for key, _ in pairs], [user for _, user in pairs]
    count = len(pairs)
    times = [NOW_MS] * count, [NOW_MS + HOUR_MS] * count, [1800] * count
    return LoginRun(ORIGIN, range(count), "lan1", keys, users, *times, [()] * count, None, states)


def ends(*each: tuple[str, str, State]) -> EndRun:
    keys, users, states = [e[0] for e in each], [e[1] for e in each], bytes(e[2] for e in each)
    return EndRun(ORIGIN, range(len(each)), states, keys, users, [NOW_MS + HOUR_MS] * len(each))


def test_each_login_and_logout_has_a_line_without_its_key() -> None:
    """Level 1 names user, site, proxy and reason; keys are for level 2."""
    book = Book()
    book.tally.changes("p2", Changes(logins=(logins(("10.0.0.1", "alice")),)))
    book.tally.changes("operator", Changes(ends=(ends(("10.0.0.1", "alice", State.ADMINISTRATOR)),)))
    assert book.take() == [
        ("session.opened", {"user": "alice", "site": "lan1", "proxy": "p1", "by": "p2"}),
        ("session.ended", {"user": "alice", "reason": "administrator", "by": "operator"}),
    ]
    detailed = Book(level=2)
    detailed.tally.changes("p1", Changes(logins=(logins(("10.0.0.1", "alice")),)))
    assert detailed.take()[0][1]["key"] == "10.0.0.1"


def test_reasons_are_those_that_every_surface_has() -> None:
    """A conflict is told as superseded: another login has taken its name."""
    book = Book()
    ended = [("k", "u", state) for state in State if state > State.ALIVE]
    book.tally.changes("p1", Changes(ends=(ends(*ended),)))
    assert [values["reason"] for _, values in book.take()] == [
        "superseded", "logged_out", "administrator", "superseded",
    ]  # fmt: skip


def test_who_logs_in_again_has_not_gone() -> None:
    """Superseded by the same user on the same key is counted, not told; by another user it is told."""
    book = Book()
    again = Changes(logins=(logins(("k", "alice")),), ends=(ends(("k", "alice", State.SUPERSEDED)),))
    other = Changes(logins=(logins(("k", "bob")),), ends=(ends(("k", "alice", State.SUPERSEDED)),))
    book.tally.changes("p1", again)
    assert [event for event, _ in book.take()] == ["session.opened"]
    book.tally.changes("p1", other)
    assert [event for event, _ in book.take()] == ["session.opened", "session.ended"]
    assert (book.tally.logins_total, book.tally.superseded_total, book.tally.logouts_total) == (2, 2, 0)


def test_touches_are_counted_and_never_told() -> None:
    """Not at level 2 either."""
    book = Book(level=2)
    book.tally.changes("p1", Changes(touches=(TouchRun(ORIGIN, range(3), [NOW_MS] * 3),)))
    assert book.tally.touches_total == book.tally.events_total == 3
    assert book.take() == []


def test_tombstones_that_a_comparison_brings_are_no_logins() -> None:
    """Of a run with states only those alive count."""
    book = Book()
    run = logins(("a", "alice"), ("b", "bob"), states=bytes([State.LOGGED_OUT, State.ALIVE]))
    book.tally.changes("authagent-2", Changes(logins=(run,)))
    assert book.tally.logins_total == 1
    assert [values["user"] for _, values in book.take()] == ["bob"]


def test_a_logout_of_a_user_is_one_line() -> None:
    """The barrier itself is told."""
    book = Book()
    book.tally.changes("p1", Changes(barriers=(Barrier("alice", NOW_MS),)))
    assert book.take() == [("user.logged_out", {"user": "alice", "by": "p1"})]


def test_a_flood_becomes_200_lines_and_a_count() -> None:
    """Logins, logouts and timeouts share the bound; what was held back is told once the second is over."""
    book = Book()
    many = [(f"k{n}", f"u{n}") for n in range(500)]
    book.tally.changes("p1", Changes(logins=(logins(*many),)))
    book.tally.changes("p1", Changes(ends=(ends(*((*each, State.LOGGED_OUT) for each in many)),)))
    assert len(book.take()) == LINES_PER_SECOND_MAX
    book.now_s += 1.0
    book.log.settle()
    assert book.take() == [("log.suppressed", {"count": 1_000 - LINES_PER_SECOND_MAX})]
    assert (book.tally.logins_total, book.tally.logouts_total) == (500, 500)


def test_timeouts_have_a_line_each_with_the_reason() -> None:
    """What upkeep found is idle, or expired where the lifetime came first."""
    book, table = Book(), new_table()
    table.watch_timeouts()
    idle, old = login("a", user="alice", idle_timeout_s=60), login("b", user="bob", expires_at=NOW_MS + 30_000)
    table.merge(all_logged_in(range(2), [idle, old]), NOW_MS)
    table.sweep(NOW_MS, 9)
    table.sweep(NOW_MS + 60_000, 9)
    book.tally.timeouts(table.watch_timeouts())
    told = [(event, values["user"], values["reason"]) for event, values in book.take()]
    assert told == [("session.ended", "alice", "idle"), ("session.ended", "bob", "expired")]
    assert (book.tally.timeouts_total, book.tally.events_total) == (2, 0)


def test_statistics_tell_who_is_there_and_what_happened_since() -> None:
    """Users now; logins, logouts and timeouts since the line before."""
    book = Book()
    book.tally.changes("p1", Changes(logins=(logins(("a", "alice"), ("b", "bob")),)))
    book.take()
    book.tally.statistics(alive=2)
    book.tally.changes("p1", Changes(ends=(ends(("a", "alice", State.LOGGED_OUT)),)))
    book.take()
    book.tally.statistics(alive=1)
    book.tally.statistics(alive=1)
    assert [values for _, values in book.take()] == [
        {"users": 1, "logins": 0, "logouts": 1, "timeouts": 0},
        {"users": 1, "logins": 0, "logouts": 0, "timeouts": 0},
    ]


def test_site_statistics_tell_what_crossed_since() -> None:
    """Each site for itself; how it stands is passed on."""
    book, there, elsewhere = Book(), Traffic(), Traffic()
    there.left(10, 150)
    book.tally.site_statistics("lan2", there, linked=True)
    there.left(1, 20)
    there.came(2, 40)
    book.tally.site_statistics("lan2", there, linked=True)
    book.tally.site_statistics("lan3", elsewhere, linked=False)
    nothing = {"events_out": 0, "bytes_out": 0, "events_in": 0, "bytes_in": 0}
    assert book.take() == [
        ("site.statistics", {"site": "lan2", "linked": True, **nothing, "events_out": 10, "bytes_out": 150}),
        ("site.statistics", {"site": "lan2", "linked": True, "events_out": 1, "bytes_out": 20, "events_in": 2,
                             "bytes_in": 40}),
        ("site.statistics", {"site": "lan3", "linked": False, **nothing}),
    ]  # fmt: skip


def test_level_0_is_silent() -> None:
    """Nothing of what is exchanged is written, and it is counted all the same."""
    book = Book(level=0)
    book.tally.changes("p1", Changes(logins=(logins(("a", "alice")),)))
    book.tally.statistics(alive=1)
    book.now_s += 2
    book.log.settle()
    assert book.take() == []
    assert book.tally.logins_total == 1
