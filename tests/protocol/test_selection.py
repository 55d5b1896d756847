"""Tests of protocol.selection: what another site is shown of a table. The laws are in tests/laws/test_filter.py."""

from collections.abc import Iterator

from protocol.changes import Changes
from protocol.filter import Filter, between
from protocol.sections import RemoteEntry
from protocol.session import Login, Origin, State
from protocol.table import Table
from tests.protocol.build import (
    HOUR_MS,
    NOW_MS,
    ORIGIN,
    all_logged_in,
    ended,
    logged_in,
    login,
    login_id,
    new_table,
    touched,
)

CUT_MIN = NOW_MS // 60_000
ALL = b"\xff" * 32
NO_GUESTS = between([RemoteEntry(site="lan2", users=("!guest",))], ("lan1", "lan2"))
SECRET = (("groups", ("secret",)),)


def guest(key: str = "10.0.0.9", **more: object) -> Login:
    return login(key, "guest", attributes=SECRET, **more)  # type: ignore[arg-type]


def mixed(count: int = 6) -> Table:
    """Every other login is a guest's."""
    table = new_table()
    rows = [login(f"k{n}") if n % 2 else guest(f"k{n}") for n in range(count)]
    table.merge(all_logged_in(range(count), rows), NOW_MS)
    return table


def told(all_changes: Iterator[Changes] | list[Changes]) -> dict[int, tuple[str, State, bool]]:
    """By sequence: the user, the state, and whether the whole content is there."""
    found: dict[int, tuple[str, State, bool]] = {}
    for changes in all_changes:
        for run in changes.logins:
            states = run.states or bytes([State.ALIVE]) * len(run.sequences)
            for place, sequence in enumerate(run.sequences):
                found[sequence] = (run.users[place], State(states[place]), True)
        for end in changes.ends:
            for place, sequence in enumerate(end.sequences):
                found[sequence] = (end.users[place], State(end.states[place]), False)
    return found


def test_who_does_not_pass_is_absent_while_alive_and_a_bare_end_afterwards() -> None:
    """In slices, in what is selected from a page, and in its states."""
    table = mixed()
    shown = table.selection(NO_GUESTS)
    alive = dict.fromkeys((1, 3, 5), ("alice", State.ALIVE, True))
    assert told(shown.slices(NOW_MS)) == told([shown.select(ORIGIN, 0, ALL)]) == alive
    assert shown.states(ORIGIN, 0, CUT_MIN)[:6] == bytes([0, 1, 0, 1, 0, 1])
    table.merge(ended(2, guest("k2")), NOW_MS)
    table.merge(ended(3, login("k3")), NOW_MS)
    gone = {2: ("guest", State.LOGGED_OUT, False), 3: ("alice", State.LOGGED_OUT, True)}
    assert told(shown.slices(NOW_MS)) == told([shown.select(ORIGIN, 0, ALL)]) == alive | gone
    assert shown.states(ORIGIN, 0, CUT_MIN)[:6] == bytes([0, 1, 3, 3, 0, 1])
    assert shown.select(Origin("nobody", 1), 0, ALL) == Changes()


def test_activity_of_who_does_not_pass_stays_here() -> None:
    """The others' is told."""
    table = mixed()
    for n in range(6):
        table.merge(touched(n, NOW_MS + 5), NOW_MS)
    for since_ms in (NOW_MS, NOW_MS + 5):
        (changes,) = table.selection(NO_GUESTS).touched_since(since_ms)
        assert [list(run.sequences) for run in changes.touches] == [[1, 3, 5]]
    assert list(table.selection(NO_GUESTS).touched_since(NOW_MS + 6)) == []


def test_the_root_is_that_of_a_table_that_holds_no_more() -> None:
    """Guests come and are active, and it stays; they go, and it is that of whoever knows the end alone."""
    table, other = mixed(), new_table()
    shown = table.selection(NO_GUESTS)
    other.merge(table.selection(NO_GUESTS).select(ORIGIN, 0, ALL), NOW_MS)
    assert shown.root(CUT_MIN) == other.root(CUT_MIN) != table.root(CUT_MIN)
    for n in range(8, 700, 7):
        table.merge(logged_in(n, guest(f"k{n}")), NOW_MS)
        assert shown.root(CUT_MIN) == other.root(CUT_MIN)
    for n in (2, 15, 699):
        table.merge(ended(n, guest(f"k{n}")), NOW_MS)
        other.merge(ended(n, guest(f"k{n}")), NOW_MS)
        assert shown.root(CUT_MIN) == other.root(CUT_MIN) == other.selection(NO_GUESTS).root(CUT_MIN)


def test_cuts_forgetting_and_a_new_key_leave_it_right() -> None:
    """At each cut, after pages have gone, and under another key it is as if it were made anew."""
    table = mixed(1_000)
    shown = table.selection(NO_GUESTS)
    soon = NOW_MS + 60_000
    late = Origin("proxy2", 5)
    table.merge(all_logged_in(range(300), [login("a", expires_at=soon), guest(expires_at=soon)] * 150, late), NOW_MS)

    def check(now_ms: int) -> None:
        fresh = new_table()
        if key != b"k" * 32:
            fresh.rekey(key)
        for changes in table.slices(now_ms):
            fresh.merge(changes, now_ms)
        for cut_min in range(now_ms // 60_000 - 2, now_ms // 60_000 + 1):
            assert shown.root(cut_min) == fresh.selection(NO_GUESTS).root(cut_min)

    key = b"k" * 32
    check(NOW_MS)
    check(soon + 1)
    now_ms = NOW_MS + HOUR_MS
    while not table.sweep(now_ms, 16):
        pass
    assert table.records == 1_000 and shown.select(late, 0, ALL) == Changes()
    table.merge(logged_in(0, guest(at=now_ms), late), now_ms)  # its page is a new one under an old handle
    check(now_ms)
    key = b"n" * 32
    table.rekey(key)
    check(now_ms)
    table.merge(ended(0, guest("k0")), now_ms)
    check(now_ms)


def test_an_end_that_was_first_bare_does_not_uncover_its_login() -> None:
    """The login of a guest comes after its end: what is shown stays an end."""
    table = new_table()
    shown = table.selection(NO_GUESTS)
    table.merge(ended(1, guest()), NOW_MS)
    table.merge(logged_in(2, guest("k2")), NOW_MS)
    before = told(shown.slices(NOW_MS)), shown.root(CUT_MIN)
    table.merge(logged_in(1, guest()), NOW_MS)
    assert table.record(login_id(1)).login.attributes == SECRET  # type: ignore[union-attr]
    assert (told(shown.slices(NOW_MS)), shown.root(CUT_MIN)) == before
    assert before[0] == {1: ("guest", State.LOGGED_OUT, False)}


def test_a_conflict_is_shown_by_the_content_that_is_kept() -> None:
    """A login that passed and is kept with a content that does not pass is a bare end in conflict."""
    table = new_table()
    shown = table.selection(NO_GUESTS)
    table.merge(logged_in(1, login("k1", "zoe")), NOW_MS)
    assert told(shown.slices(NOW_MS)) == {1: ("zoe", State.ALIVE, True)}
    table.merge(logged_in(1, guest("k1")), NOW_MS)
    assert told(shown.slices(NOW_MS)) == {1: ("guest", State.CONFLICT, False)}


def test_a_login_is_judged_once() -> None:
    """However often its page changes or is asked for."""
    judged: list[str] = []

    class Counting(Filter):
        def passes(self, login: Login) -> bool:
            judged.append(login.key)
            return super().passes(login)

    table = mixed(300)
    shown = table.selection(Counting(NO_GUESTS.rules))
    for n in range(300):
        table.merge(touched(n, NOW_MS + 5), NOW_MS)
        table.merge(ended(n, login(f"k{n}") if n % 2 else guest(f"k{n}")), NOW_MS)
        shown.root(CUT_MIN)
        shown.select(ORIGIN, 0, ALL)
    assert sorted(judged) == sorted(f"k{n}" for n in range(300))


def test_what_others_ask_costs_a_table_without_filters_nothing() -> None:
    """No selection, nothing gathered for one; with one, only what changed."""
    table = mixed()
    table.root(CUT_MIN)
    assert table._digest.others == []
    shown = table.selection(NO_GUESTS)
    assert shown is table.selection(Filter(NO_GUESTS.rules))
    shown.root(CUT_MIN)
    assert table._digest.others == [set()]
    table.merge(ended(1, login("k1")), NOW_MS)
    table.root(CUT_MIN)
    assert [len(changed) for changed in table._digest.others] == [1]


def test_a_page_that_goes_before_it_was_hashed_is_not_missed() -> None:
    """It changed, the table's own digest knows, this one was not asked since; then the page is forgotten."""
    table = new_table()
    shown = table.selection(NO_GUESTS)
    shown.root(CUT_MIN)
    table.merge(logged_in(1, guest(expires_at=NOW_MS + 1_000)), NOW_MS)
    table.root(CUT_MIN)
    while not table.sweep(NOW_MS + HOUR_MS, 16):
        pass
    assert table.records == 0
    assert shown.root(CUT_MIN) == new_table().selection(NO_GUESTS).root(CUT_MIN)
