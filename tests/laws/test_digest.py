"""The laws of digests: equal exactly when what counts is equal, and never dependent on the way there."""

import random

from hypothesis import given
from hypothesis import strategies as st

from protocol import limits
from protocol.changes import Changes
from protocol.digest import LEAVES
from protocol.session import LoginId, State
from protocol.table import Table
from tests.laws import strategies as some
from tests.laws.reference import Reference

NOW_MS = some.NOW_MS


def new_table() -> Table:
    return Table(digest_key=b"k" * 32)


def counting(reference: Reference, cut_min: int) -> tuple[dict[LoginId, State], dict[str, int]]:
    """What a digest at the cut is about, said plainly."""
    cut_ms = cut_min * some.MINUTE_MS
    return (
        {each.login_id: each.state for each in reference.records.values() if each.login.expires_at > cut_ms},
        {user: at for user, at in reference.barriers.items() if at + limits.BARRIER_KEPT_MS > cut_ms},
    )


def from_scratch(table: Table) -> Table:
    """The same records in a table that never answered for a digest before."""
    fresh = new_table()
    for batch in table.slices(0):
        fresh.merge(batch, NOW_MS)
    return fresh


@given(some.batches, some.batches, st.booleans())
def test_roots_are_equal_exactly_when_what_counts_is_equal(
    mine: list[Changes], yours: list[Changes], together: bool
) -> None:
    """At each of the three cuts: same ids, states and barriers, same root; anything else, another root."""
    tables, references = [new_table(), new_table()], [Reference(some.OFFSET_MS), Reference(some.OFFSET_MS)]
    for table, reference, batches in zip(tables, references, (mine, mine + yours if together else yours), strict=True):
        for batch in batches:
            table.merge(batch, NOW_MS)
            reference.merge(batch, NOW_MS)
    for cut_min in some.CUTS_MIN:
        equal = counting(references[0], cut_min) == counting(references[1], cut_min)
        assert (tables[0].root(cut_min) == tables[1].root(cut_min)) == equal
        barriers_equal = counting(references[0], cut_min)[1] == counting(references[1], cut_min)[1]
        assert (tables[0].barriers_hash(cut_min) == tables[1].barriers_hash(cut_min)) == barriers_equal


@given(some.batches, st.randoms(use_true_random=False))
def test_digests_kept_up_to_date_are_those_made_from_scratch(batches: list[Changes], chance: random.Random) -> None:
    """Whatever was asked in between, at whatever cut, every node of the trie is as if it were hashed anew."""
    table = new_table()
    for batch in batches:
        table.merge(batch, NOW_MS)
        for _ in range(chance.randrange(3)):
            table.root(some.CUT_MIN + chance.randrange(-4, 2))
    fresh = from_scratch(table)
    for cut_min in chance.sample(some.CUTS_MIN, 3):
        assert table.root(cut_min) == fresh.root(cut_min)
        assert table.children(cut_min, b"") == fresh.children(cut_min, b"")
        for top in range(16):
            assert table.children(cut_min, bytes([top])) == fresh.children(cut_min, bytes([top]))


@given(some.batches, st.sampled_from(some.CUTS_MIN))
def test_the_leaves_hold_every_page_that_counts(batches: list[Changes], cut_min: int) -> None:
    """Going through all leaves finds each record that counts once, with its state, and nothing else."""
    table, reference = new_table(), Reference(some.OFFSET_MS)
    for batch in batches:
        table.merge(batch, NOW_MS)
        reference.merge(batch, NOW_MS)
    found = {}
    for leaf in range(LEAVES):
        hashes = table.children(cut_min, bytes([leaf >> 8, leaf >> 4 & 15]))
        pages = table.pages(cut_min, leaf)
        assert bool(pages) == any(hashes[leaf % 16 * 8 :][:8])
        for origin, page, states in pages:
            assert len(states) == 256 and any(states)
            for place, state in enumerate(states):
                if state:
                    found[LoginId(*origin, page * 256 + place)] = State(state)
    assert found == counting(reference, cut_min)[0]


@given(some.batches, st.integers(0, 10 * some.MINUTE_MS))
def test_forgetting_early_or_late_makes_no_difference(batches: list[Changes], later_ms: int) -> None:
    """A node that swept and one that did not have the same root at every cut that may be asked for."""
    swept, other = new_table(), new_table()
    for batch in batches:
        swept.merge(batch, NOW_MS)
        other.merge(batch, NOW_MS)
    now_ms = NOW_MS + later_ms
    while not swept.sweep(now_ms, 2):
        pass
    for cut_min in range(now_ms // some.MINUTE_MS - 2, now_ms // some.MINUTE_MS + 1):
        assert swept.root(cut_min) == other.root(cut_min)
