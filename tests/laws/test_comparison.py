"""Laws of comparisons: from any two tables, with anything in between, both end as the join of both.

The join is known without any comparison: for each login the greater state and the later activity, for each user the
later barrier. So a variant that makes tables equal by losing or ending something breaks the law too; the last tests
prove that it would.
"""

from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import comparison, states
from protocol.changes import Barrier, Changes
from protocol.comparison import Way
from protocol.messages import Pages
from protocol.session import Origin, State
from protocol.table import Table
from tests.protocol.pairs import NOW_MS, Pair, Side, contents, ends, logins, make_table, touches

ORIGINS = (Origin("proxy1", 7), Origin("proxy1", 8), Origin("proxy2", 7))
ENDED = (State.SUPERSEDED, State.LOGGED_OUT, State.ADMINISTRATOR)


class Step(NamedTuple):
    """Something that happens at the opener's table, the answerer's, or both."""

    where: int  # bit 0 the opener, bit 1 the answerer
    changes: Changes


SEQUENCES = st.builds(
    lambda first, count, step: range(first, first + count * step, step),
    st.sampled_from([0, 1, 3, 200, 250, 256, 700, 2_560]),
    st.integers(1, 40),
    st.sampled_from([1, 1, 2, 17, 256]),
)
ORIGIN = st.sampled_from(ORIGINS)
CHANGES = st.one_of(
    st.builds(logins, ORIGIN, SEQUENCES),
    st.builds(ends, ORIGIN, SEQUENCES, st.sampled_from(ENDED)),
    st.builds(touches, ORIGIN, SEQUENCES, st.integers(1, 60).map(lambda minutes: NOW_MS - minutes * 60_000)),
    st.builds(
        lambda user, at: Changes(barriers=(Barrier(f"user{user}", NOW_MS - at),)),
        st.integers(0, 5),
        st.integers(0, 10_000),
    ),
)
STEPS = st.lists(st.builds(Step, st.integers(1, 3), CHANGES), max_size=12)
MOVES = st.lists(st.integers(0, 3), max_size=60)
CAUSES = st.sampled_from([(b"same", b"same"), (b"same", b"same"), (b"old.", b"new.")])


def apply(step: Step, opener: Table, answerer: Table) -> None:
    for bit, table in ((1, opener), (2, answerer)):
        if step.where & bit:
            table.merge(step.changes, NOW_MS)


def tables_of(steps: list[Step]) -> tuple[Table, Table]:
    tables = make_table(), make_table()
    for step in steps:
        apply(step, *tables)
    return tables


def join(*tables: Table) -> dict[object, tuple[object, ...]]:
    """What all tables know together."""
    whole = make_table()
    for table in tables:
        for changes in table.slices(NOW_MS):
            whole.merge(changes, NOW_MS)
    return contents(whole)


def move(pair: Pair, which: int) -> None:
    """One thing that a link may do next."""
    side = pair.opener if which & 1 else pair.answerer
    if which & 2:
        pair.deliver(side)
    else:
        pair.more(side)


def check_join(pair: Pair, **options: tuple[bytes, bytes]) -> None:
    """The law: a comparison ends, and leaves both sides with what both knew together."""
    opener, answerer = pair.opener.table, pair.answerer.table
    expected = join(opener, answerer)
    pair.compare(**options)
    assert contents(opener) == expected
    assert contents(answerer) == expected
    assert opener.root(NOW_MS // 60_000) == answerer.root(NOW_MS // 60_000)


@given(STEPS)
def test_any_two_tables_become_their_join(steps: list[Step]) -> None:
    """Whatever two nodes know, afterwards both know all of it, and a second comparison finds nothing to do."""
    pair = Pair(*tables_of(steps))
    check_join(pair)
    pair.compare(since_ms=(NOW_MS + 10**6, NOW_MS + 10**6))
    assert pair.opener.machine is not None
    assert pair.opener.machine.way is Way.EQUAL
    assert pair.opener.machine.sent == pair.opener.machine.received == 0


@given(STEPS)
def test_roots_are_not_needed_for_it(steps: list[Step]) -> None:
    """Under different secrets the outcome is the same."""
    pair = Pair(*tables_of(steps))
    check_join(pair, secret_ids=(b"old.", b"new."))


@given(STEPS, MOVES, st.lists(st.tuples(st.integers(0, 59), st.builds(Step, st.integers(1, 2), CHANGES)), max_size=6))
def test_changes_in_between_do_no_harm(steps: list[Step], moves: list[int], live: list[tuple[int, Step]]) -> None:
    """Changes on either side during a comparison, in any interleaving, travel live; then both have everything."""
    opener, answerer = tables_of(steps)
    pair = Pair(opener, answerer)
    pair.open()
    for number, which in enumerate(moves):
        for at, step in live:
            if at == number:
                apply(step, opener, answerer)
        move(pair, which)
    pair.run()
    for step in (step for at, step in live if at < len(moves)):
        apply(Step(3, step.changes), opener, answerer)
    # A touch travels after its login, so both find it; a touch that found no login anywhere is lost everywhere.
    expected = join(opener, answerer)
    assert contents(opener).keys() == contents(answerer).keys() == expected.keys()
    for name, value in expected.items():
        assert contents(opener)[name][:4] == contents(answerer)[name][:4] == value[:4]


@given(STEPS, MOVES, MOVES, CAUSES)
def test_a_comparison_cut_off_anywhere_is_taken_up_by_the_next(
    steps: list[Step], moves: list[int], more_moves: list[int], secret_ids: tuple[bytes, bytes]
) -> None:
    """Links break at any moment: nothing is lost or ended by half a comparison, and the next one completes it."""
    opener, answerer = tables_of(steps)
    expected = join(opener, answerer)
    pair = Pair(opener, answerer)
    for attempt in (moves, more_moves):
        pair.open(secret_ids=secret_ids)
        for which in attempt:
            move(pair, which)
        assert join(opener, answerer) == expected
    check_join(pair, secret_ids=secret_ids)
    assert contents(opener) == expected


@given(STEPS)
def test_the_cost_follows_the_differences(steps: list[Step]) -> None:
    """Equal tables cost 256 bytes; each page that differs costs its way through the trie and its records, no more."""
    opener, answerer = tables_of(steps)
    cut = NOW_MS // 60_000
    differing = [
        (origin, page)
        for origin in ORIGINS
        for page in range(60)
        if opener.states(origin, page, cut) != answerer.states(origin, page, cut)
    ]
    records = sum(
        a != b
        for origin, page in differing
        for a, b in zip(opener.states(origin, page, cut), answerer.states(origin, page, cut), strict=True)
    )
    pair = Pair(opener, answerer)
    spent = pair.compare(since_ms=(NOW_MS + 10**6, NOW_MS + 10**6))
    barriers = len(list(opener.barriers()))
    assert spent <= 512 + len(differing) * 800 + records * 100 + barriers * 50


# -- variants that must be caught --------------------------------------------------------------------------------

DIFFERENT = [
    Step(3, logins(ORIGINS[0], range(300))),
    Step(1, logins(ORIGINS[1], range(20))),
    Step(2, logins(ORIGINS[2], range(20))),
    Step(1, ends(ORIGINS[0], range(5, 300, 50))),
    Step(2, ends(ORIGINS[0], range(7, 300, 50))),
]


class Forgetful(Pair):
    """An owner who takes what the peer does not announce for deleted, and ends it."""

    def deliver(self, side: Side) -> bool:
        sender = self.answerer if side is self.opener else self.opener
        was = list(sender.sent_messages)
        delivered = super().deliver(side)
        for message in was:
            if isinstance(message, Pages):
                for origin in ORIGINS[1:]:
                    if (origin.proxy, origin.epoch) not in zip(message.proxies, message.epochs, strict=True):
                        side.table.merge(ends(origin, range(20)), NOW_MS)
        return delivered


def test_the_examples_obey_the_law() -> None:
    """The tables of the tests below are made equal by the true machine: so what fails there is the variant."""
    check_join(Pair(*tables_of(DIFFERENT)))


def test_absence_taken_for_deletion_is_caught() -> None:
    """Tables can be equal because both have lost something; the law notices."""
    with pytest.raises(AssertionError):
        check_join(Forgetful(*tables_of(DIFFERENT)))


def test_keeping_back_what_the_peer_lacks_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that mends states but sends no record that is missing breaks the law."""
    true = states.lacking

    def variant(low: bytes, high: bytes) -> tuple[bytes, bytes]:
        return (b"", b"") if low == states.NOTHING else true(low, high)

    monkeypatch.setattr(comparison, "lacking", variant)
    with pytest.raises(AssertionError):
        check_join(Pair(*tables_of(DIFFERENT)))


def test_mending_one_direction_only_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that only asks and never gives breaks the law."""
    monkeypatch.setattr(comparison.Comparison, "_owe", lambda self, debts: None)
    with pytest.raises(AssertionError):
        check_join(Pair(*tables_of(DIFFERENT)))


def test_ends_without_their_state_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that compares presence and not states leaves the logged out alive, and is caught."""
    true = states.lacking

    def variant(low: bytes, high: bytes) -> tuple[bytes, bytes]:
        return true(low, high)[0], b""

    monkeypatch.setattr(comparison, "lacking", variant)
    with pytest.raises(AssertionError):
        check_join(Pair(*tables_of(DIFFERENT)))
