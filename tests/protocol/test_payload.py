"""Runs of logins, ends and touches, barriers and marks as plain values."""

from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import limits, payload
from protocol.changes import Barrier, Changes, EndRun, LoginRun, Mark, TouchRun
from protocol.codec import decode_changes, encode_changes
from protocol.errors import LocalProtocolError, RemoteProtocolError
from protocol.session import Origin
from tests.wire import samples

names = st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1, max_size=10)
keys = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=30)
times = st.integers(0, limits.TIME_MS_MAX - limits.LIFETIME_MS_MAX)
origins = st.builds(Origin, names, st.integers(0, (1 << 64) - 1))


def column(draw: st.DrawFn, values: st.SearchStrategy[Any], count: int) -> list[Any]:
    return draw(st.lists(values, min_size=count, max_size=count))


@st.composite
def sequences(draw: st.DrawFn) -> Any:
    count = draw(st.integers(1, 6))
    if draw(st.booleans()):
        first = draw(st.integers(0, limits.SEQUENCE_MAX - count))
        return range(first, first + count)
    values = draw(st.lists(st.integers(0, limits.SEQUENCE_MAX), min_size=count, max_size=count))
    consecutive = range(values[0], values[0] + count)
    return consecutive if values == list(consecutive) else values


@st.composite
def login_runs(draw: st.DrawFn) -> LoginRun:
    taken = draw(sequences())
    count = len(taken)
    login_at = column(draw, times, count)
    lifetimes = column(draw, st.integers(1, limits.LIFETIME_MS_MAX), count)
    return LoginRun(
        draw(origins),
        taken,
        draw(names),
        column(draw, keys, count),
        column(draw, keys, count),
        login_at,
        [start + lifetime for start, lifetime in zip(login_at, lifetimes, strict=True)],
        column(draw, st.integers(limits.IDLE_TIMEOUT_S_MIN, limits.IDLE_TIMEOUT_S_MAX), count),
        column(draw, st.sampled_from([(), samples.STAFF, (("a", "b"),)]), count),
        draw(st.none() | st.just(column(draw, times, count))),
        draw(st.none() | st.binary(min_size=count, max_size=count).map(lambda b: bytes(1 + x % 5 for x in b))),
    )


@st.composite
def end_runs(draw: st.DrawFn) -> EndRun:
    taken = draw(sequences())
    count = len(taken)
    states = bytes(column(draw, st.integers(2, 5), count))
    return EndRun(
        draw(origins), taken, states, column(draw, keys, count), column(draw, keys, count), column(draw, times, count)
    )


@st.composite
def touch_runs(draw: st.DrawFn) -> TouchRun:
    taken = draw(sequences())
    return TouchRun(draw(origins), taken, column(draw, times, len(taken)))


def several(of: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.lists(of, max_size=3).map(tuple)


changes = st.builds(
    Changes,
    several(login_runs()),
    several(end_runs()),
    several(touch_runs()),
    several(st.builds(Barrier, keys, times)),
    several(st.builds(Mark, keys, times)),
)


@given(changes)
def test_changes_come_back(given_changes: Changes) -> None:
    """Whatever they are, encoding and decoding gives the same, and twice gives the same bytes."""
    encoded = encode_changes(given_changes)
    assert decode_changes(encoded) == given_changes
    assert encode_changes(decode_changes(encoded)) == encoded


def test_empty_parts_take_no_bytes() -> None:
    """One touch is [[], [], [run]] and no more."""
    row = payload.pack(Changes(touches=samples.CHANGES.touches))
    assert row == ((), (), (("squid-1", samples.ORIGIN.epoch, (7, 3), (samples.NOW_MS, b"\0\1\2")),))
    assert payload.pack(Changes()) == ()


def test_what_a_newer_version_adds_is_skipped() -> None:
    """Further parts, and further columns of a run."""
    logins, ends, touches, barriers, marks, *items = payload.pack(samples.CHANGES)
    runs = tuple((*run, "new") for run in touches)
    ends = tuple((*run, "new") for run in ends)
    longer = ((*logins[1], "new"),)
    items = items or [()]
    assert payload.unpack((logins, ends, runs, barriers, marks, *items, "new")) == samples.CHANGES
    assert payload.unpack((longer,)).logins == samples.CHANGES.logins[1:]


def test_more_maps_than_an_index_holds_are_more_runs() -> None:
    """300 different maps go as two runs, and say the same."""
    count = 300
    run = LoginRun(
        samples.ORIGIN,
        range(count),
        "lan1",
        [f"k{number}" for number in range(count)],
        ["alice"] * count,
        [samples.NOW_MS] * count,
        [samples.NOW_MS + 1] * count,
        [60] * count,
        [(("n", str(number)),) for number in range(count)],
    )
    first, second = decode_changes(encode_changes(Changes((run,)))).logins
    assert (first.sequences, second.sequences) == (range(150), range(150, 300))
    assert first.attributes + second.attributes == run.attributes


def login(**different: Any) -> Changes:
    return Changes((attrs.evolve(samples.LOGIN, **different),))


@pytest.mark.parametrize(
    "broken",
    [
        login(keys=[]),
        login(keys=["a", "b"]),
        login(sequences=range(0)),
        login(sequences=[limits.SEQUENCE_MAX + 1]),
        login(sequences=[-1]),
        login(site=""),
        login(site="x" * 65),
        login(origin=Origin("", 1)),
        login(origin=Origin("a\nb", 1)),
        login(origin=Origin("squid-1", 1 << 64)),
        login(keys=["x" * 257]),
        login(users=["a\0b"]),
        login(login_at=[-1]),
        login(login_at=[limits.TIME_MS_MAX + 1]),
        login(expires_at=[samples.NOW_MS]),
        login(expires_at=[samples.NOW_MS + limits.LIFETIME_MS_MAX + 1]),
        login(idle_timeout_s=[59]),
        login(active_at=[]),
        login(states=b"\0"),
        Changes(ends=(attrs.evolve(samples.ENDS, states=b"\1\1"),)),
        Changes(touches=(TouchRun(samples.ORIGIN, range(5_000), [1] * 5_000),)),
        Changes(barriers=(Barrier("", 1),)),
        Changes(marks=(Mark("a", -1),)),
    ],
)
def test_no_change_of_our_own_leaves_that_breaks_a_bound(broken: Changes) -> None:
    """Every bound is held on the way out too."""
    with pytest.raises(LocalProtocolError):
        encode_changes(broken)


@pytest.mark.parametrize(
    "row",
    [
        (5,),
        ((5,),),
        (((),),),
        ((("squid-1", 1, (0, 1)),),),
        ((), (("squid-1", 1, (0, 1), 2),)),
        ((), (), (("squid-1", 1, (0, 1)),)),
        ((), (), (("squid-1", True, (0, 1), 5),)),
        ((), (), ((7, 1, (0, 1), 5),)),
        ((), (), (), ("alice",)),
        ((), (), (), (b"alice", 1)),
        ((), (), (), 5),
        ((), (), (), ("\0" * 5_000, 1)),
        ((), (), (), ("a\0" * limits.FRAME_CHANGES_MAX + "a", 1)),
    ],
)
def test_what_is_no_run_is_a_breach(row: tuple[Any, ...]) -> None:
    """Parts that are no arrays, runs with too few columns, origins that are none."""
    with pytest.raises(RemoteProtocolError):
        payload.unpack(row)
