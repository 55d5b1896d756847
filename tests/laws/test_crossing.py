"""The law of what crosses between sites: the other table becomes equal, however little is said."""

from hypothesis import given

from authagent.core.gathering import Gathering
from protocol import crossing
from protocol.changes import Changes
from protocol.session import LoginId
from protocol.table import Table
from tests.laws import strategies as some
from tests.laws.test_merge import NOW_MS, contents, new_table


def gathered(table: Table, batches: list[Changes]) -> Gathering:
    """What arises at a table, merged there and waiting to cross."""
    gathering = Gathering(table)
    for changes in batches:
        table.merge(changes, NOW_MS)
        gathering.add(changes)
        for run in changes.touches:
            for sequence in run.sequences:
                gathering.touch(LoginId(*run.origin, sequence))
    return gathering


def crossed(gathering: Gathering, there: Table, held: frozenset[LoginId]) -> None:
    """Everything that waits, over the wire and merged at the other side, which is known to hold `held`."""
    for batch in gathering.batches(lambda record: record.login_id in held):
        for payload in crossing.encode(batch):
            there.merge(crossing.expand(crossing.decode(payload), there), NOW_MS)


def table_of(batches: list[Changes]) -> Table:
    table = new_table()
    for changes in batches:
        table.merge(changes, NOW_MS)
    return table


def logins_of(table: Table) -> frozenset[LoginId]:
    return frozenset(each for each in contents(table) if isinstance(each, LoginId))


@given(some.batches, some.batches)
def test_what_crosses_makes_tables_equal(before: list[Changes], after: list[Changes]) -> None:
    """From equal tables, with outs for all that both hold: whatever happens at one, they are equal again."""
    here, there = table_of(before), table_of(before)
    held = logins_of(there)
    crossed(gathered(here, after), there, held)
    assert contents(there) == contents(here)


@given(some.batches)
def test_an_empty_table_learns_all_that_is_gathered(after: list[Changes]) -> None:
    """Nothing is vouched for: every end crosses whole, and stands as a tombstone."""
    here, there = new_table(), new_table()
    crossed(gathered(here, after), there, frozenset())
    assert contents(there) == contents(here)


@given(some.batches, some.batches)
def test_crossing_twice_changes_nothing(before: list[Changes], after: list[Changes]) -> None:
    """A replay after a lost link repeats what was said: harmless, as all merging is."""
    here, there = table_of(before), table_of(before)
    held = logins_of(there)
    gathering = gathered(here, after)
    crossed(gathering, there, held)
    crossed(gathering, there, held)
    assert contents(there) == contents(here)
