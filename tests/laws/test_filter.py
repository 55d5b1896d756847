"""The laws of filters between sites: what crosses makes selections equal, and who does not pass stays at home.

A login stays at home as long as it is alive: its end, and nothing else of it, is told.
"""

from hypothesis import given
from hypothesis import strategies as st

from protocol import crossing
from protocol.changes import Changes
from protocol.filter import Filter, between
from protocol.sections import RemoteEntry
from protocol.session import LoginId, Record, State
from protocol.table import Table
from tests.laws import strategies as some
from tests.laws.test_comparison import MOVES, STEPS, Step, apply, move
from tests.laws.test_crossing import gathered
from tests.laws.test_merge import NOW_MS, new_table
from tests.protocol import pairs
from tests.protocol.pairs import Pair

ENTRIES = st.builds(
    RemoteEntry,
    site=st.sampled_from(["lan1", "lan2"]),
    users=st.sets(st.sampled_from(["!alice", "bob", "c*", "!m*", "!user1*", "user?*"]), max_size=2).map(tuple),
    groups=st.sets(st.sampled_from(["staff", "!admin", "*"]), max_size=1).map(tuple),
    networks=st.sets(st.sampled_from(["!10.0.0.1", "10.0.0.2/31", "10.0.0.0/8"]), max_size=2).map(tuple),
)
FILTERS = st.lists(ENTRIES, min_size=1, max_size=2).map(lambda entries: between(entries, ("lan1", "lan2"))).filter(bool)


def records(table: Table) -> dict[LoginId, Record]:
    """Every record of a table, whatever it shows."""
    found = {}
    for changes in table.slices(0):
        for run in (*changes.logins, *changes.ends):
            for sequence in run.sequences:
                record = table.record(LoginId(*run.origin, sequence))
                assert record is not None
                found[record.login_id] = record
    return found


def cross(here: Table, batches: list[Changes], there: Table, filter: Filter) -> None:
    """What arises here, over the wire and merged there, where all is held that is alive there and passes."""
    held = {each.login_id for each in records(there).values() if not each.login.partial}
    for batch in gathered(here, batches).batches(lambda record: record.login_id in held, filter):
        for payload in crossing.encode(batch):
            there.merge(crossing.expand(crossing.decode(payload), there), NOW_MS)


def check_home(here: Table, there: Table, filter: Filter) -> None:
    """All that is there is shown by the filter as it stands here, and all ends are there."""
    known = records(there)
    for record in records(here).values():
        shown = filter.shown(record)
        other = known.get(record.login_id)
        assert (other is None) == (shown is None)
        assert shown is None or other is None or other.state == record.state
    assert not any(each.state == State.ALIVE and not filter.passes(each.login) for each in known.values())


def check_equal(here: Table, there: Table, filter: Filter) -> None:
    for cut_min in some.CUTS_MIN:
        assert here.selection(filter).root(cut_min) == there.selection(filter).root(cut_min)


@given(some.batches, some.batches, FILTERS)
def test_what_crosses_makes_selections_equal(before: list[Changes], after: list[Changes], filter: Filter) -> None:
    """[P-80] From nothing, and from equal selections: whatever happens at one side, and whichever logins lie."""
    here, there = new_table(), new_table()
    for batches in (before, after):
        cross(here, batches, there, filter)
        check_equal(here, there, filter)
        check_home(here, there, filter)


@given(some.batches, some.batches, FILTERS)
def test_an_empty_table_learns_the_selection_by_a_snapshot(
    before: list[Changes], after: list[Changes], filter: Filter
) -> None:
    """What is shown whole, one batch after another, is what the digest says is shown."""
    here, there = new_table(), new_table()
    for changes in before:
        here.merge(changes, NOW_MS)
    here.selection(filter).root(some.CUT_MIN)
    for changes in after:
        here.merge(changes, NOW_MS)
    for changes in here.selection(filter).slices(0):
        there.merge(changes, NOW_MS)
    check_equal(here, there, filter)
    check_home(here, there, filter)


def selected(steps: list[Step], filter: Filter) -> tuple[Pair, dict[LoginId, Record], dict[LoginId, Record]]:
    """Two tables with a history, compared as two sites do; and what each held before."""
    opener, answerer = pairs.make_table(), pairs.make_table()
    for step in steps:
        apply(step, opener, answerer)
    pair = Pair(opener, answerer, filter)
    return pair, records(opener), records(answerer)


def check_no_leak(before: dict[LoginId, Record], after: dict[LoginId, Record], filter: Filter) -> None:
    """Whatever is new passes, or has ended and is bare; what was there is there."""
    assert before.keys() <= after.keys()
    for login_id in after.keys() - before.keys():
        record = after[login_id]
        assert filter.shown(record) == record
    for login_id, record in before.items():
        if record.state == State.ALIVE and not filter.passes(record.login):
            assert after[login_id].active_at == record.active_at


@given(STEPS, FILTERS, st.booleans())
def test_comparisons_make_selections_equal_and_leak_nothing(
    steps: list[Step], filter: Filter, other_secret: bool
) -> None:
    """[P-80] By trie, snapshot or page by page under different secrets; the second one finds nothing to do."""
    pair, opener, answerer = selected(steps, filter)
    secret_ids = (b"old.", b"new.") if other_secret else (b"same", b"same")
    pair.compare(secret_ids=secret_ids)
    cut_min = pairs.NOW_MS // 60_000
    assert pair.opener.shown.root(cut_min) == pair.answerer.shown.root(cut_min)
    for side, before in ((pair.opener, opener), (pair.answerer, answerer)):
        check_no_leak(before, records(side.table), filter)
    pair.compare(since_ms=(pairs.NOW_MS + 10**6, pairs.NOW_MS + 10**6))
    assert pair.opener.machine is not None and pair.opener.machine.equal
    assert pair.opener.machine.sent == pair.opener.machine.received == 0


@given(STEPS, FILTERS, MOVES)
def test_a_comparison_cut_off_anywhere_leaks_nothing(steps: list[Step], filter: Filter, moves: list[int]) -> None:
    """Half a comparison discloses no more than a whole one, and the next completes it."""
    pair, opener, answerer = selected(steps, filter)
    pair.open()
    for which in moves:
        move(pair, which)
    for side, before in ((pair.opener, opener), (pair.answerer, answerer)):
        check_no_leak(before, records(side.table), filter)
    pair.compare()
    cut_min = pairs.NOW_MS // 60_000
    assert pair.opener.shown.root(cut_min) == pair.answerer.shown.root(cut_min)


@given(some.batches, some.batches, FILTERS)
def test_a_root_kept_up_to_date_is_one_made_anew(before: list[Changes], after: list[Changes], filter: Filter) -> None:
    """Whatever was asked in between, a selection is as one that was never asked before."""
    table, fresh = new_table(), new_table()
    shown = table.selection(filter)
    for changes in (*before, *after):
        table.merge(changes, NOW_MS)
        fresh.merge(changes, NOW_MS)
        shown.root(some.CUT_MIN)
        table.root(some.CUT_MIN - 1)
    for cut_min in some.CUTS_MIN:
        assert shown.root(cut_min) == fresh.selection(filter).root(cut_min)
