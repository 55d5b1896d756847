"""What crosses between sites, as bytes and back."""

import msgpack
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from protocol import limits
from protocol.changes import Barrier, Changes, Mark
from protocol.crossing import Batch, Out, decode, encode, expand
from protocol.errors import LocalProtocolError, RemoteProtocolError
from protocol.session import Origin, State
from tests.protocol.build import NOW_MS, ORIGIN, OTHER, all_logged_in, login, login_id, new_table
from tests.protocol.test_payload import changes

OUT = [State.SUPERSEDED, State.LOGGED_OUT, State.ADMINISTRATOR, State.CONFLICT]


@st.composite
def outs(draw: st.DrawFn) -> Out:
    found = sorted(draw(st.sets(st.integers(0, limits.SEQUENCE_MAX), min_size=1, max_size=6)))
    states = draw(st.lists(st.sampled_from(OUT), min_size=len(found), max_size=len(found)))
    return Out(Origin("p", draw(st.integers(0, (1 << 64) - 1))), found, bytes(states))


several_outs = st.lists(outs(), max_size=3).map(tuple)
batches = st.builds(Batch, changes, several_outs, several_outs, st.integers(0, limits.TIME_MS_MAX))


@given(batches)
def test_a_batch_comes_back_as_it_went(batch: Batch) -> None:
    """Whatever may cross, crosses."""
    (payload,) = encode(batch)
    assert decode(payload) == batch


def test_a_batch_too_long_for_one_frame_is_several() -> None:
    """All of it arrives, outs first, and none of the parts is longer than a frame may be."""
    made = [login(f"key-{number:04}-{'x' * 200}", "u" * 200) for number in range(400)]
    batch = Batch(all_logged_in(range(400), made), (Out(OTHER, [1, 5], bytes([3, 4])),))
    parts = [decode(payload) for payload in encode(batch)]
    assert len(parts) > 2
    assert parts[0].outs == batch.outs and not any(part.outs for part in parts[1:])
    keys = [key for part in parts for run in part.changes.logins for key in run.keys]
    assert keys == [each.key for each in made]


def test_outs_are_filled_up_from_the_table() -> None:
    """Key, user and expiry are what the receiver holds; what it does not hold is left out; marks stand for keys."""
    table = new_table()
    table.merge(all_logged_in(range(3), [login("a"), login("b", "bob"), login("c", "carol")]), NOW_MS)
    batch = Batch(
        outs=(Out(ORIGIN, [0, 9], bytes([State.SUPERSEDED, State.LOGGED_OUT])),),
        marked=(Out(ORIGIN, [1], bytes([State.LOGGED_OUT])), Out(OTHER, [1], bytes([State.LOGGED_OUT]))),
        marked_at=NOW_MS + 5,
    )
    expanded = expand(batch, table)
    assert expanded.marks == (Mark("b", NOW_MS + 5),)
    assert [(run.keys, run.users, list(run.sequences)) for run in expanded.ends] == [
        (["a"], ["alice"], [0]),
        (["b"], ["bob"], [1]),
    ]
    table.merge(expanded, NOW_MS)
    states = [table.record(login_id(number)).state for number in range(3)]  # type: ignore[union-attr]
    assert states == [State.SUPERSEDED, State.LOGGED_OUT, State.ALIVE]


def test_a_hundred_logins_and_logouts_keep_to_their_budgets() -> None:
    """DESIGN section 10, on a batch as 1,000 a second make: 20 bytes a login with address keys, 3 a logout."""
    made = [login(f"10.{n % 256}.{n * 7 % 256}.{n * 13 % 256}", f"user{n * 7919 % 100_000}") for n in range(100)]
    (logins,) = encode(Batch(all_logged_in(range(1000, 1100), made)))
    spread = Out(ORIGIN, [1000 * n + n * n % 997 for n in range(100)], bytes([State.LOGGED_OUT]) * 100)
    (logouts,) = encode(Batch(marked=(spread,), marked_at=NOW_MS))
    assert len(logins) <= 20 * 100
    assert len(logouts) <= 3 * 100


# -- hostile bytes ---------------------------------------------------------------------------------------------------


def packed(*row: object) -> bytes:
    return zstandard.ZstdCompressor().compress(msgpack.packb(row))


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"no zstd",
        packed(),
        packed((), ()),
        packed(1, (), (), 0),
        packed((), 1, (), 0),
        packed((), (), (), -1),
        packed((), (), (), 1 << 60),
        packed((), ((),), (), 0),
        packed((), (("p", 1, 5, 2, 0, 3),), (), 0),  # a step of nothing
        packed((), (("p", 1, -1, 1, 0, 3),), (), 0),
        packed((), (("p", 1, 0, 0, 0, 3),), (), 0),
        packed((), (("p", 1, 0, 1, 0, 1),), (), 0),  # an end that is alive
        packed((), (("p", 1, limits.SEQUENCE_MAX, 2, 1, 3),), (), 0),
        packed((), (("p", 1, 0, 4_097, 1, 3),), (), 0),
        packed((), (("p", 1, 0, 4_000, 1, 3),), (("p", 1, 0, 4_000, 1, 3),), 0),
        packed((), (("", 1, 0, 1, 0, 3),), (), 0),
        zstandard.ZstdCompressor().compress(bytes(10_000_000)),
        zstandard.ZstdCompressor(write_content_size=False).compress(msgpack.packb(((), (), (), 0))),
        packed((), (), (), 0) + b"more",
        packed((), (), (), 0)[:-3],
    ],
)
def test_what_is_no_batch_is_refused(payload: bytes) -> None:
    """[P-74] One error whatever the bytes, before anything is made as long as they claim."""
    with pytest.raises(RemoteProtocolError):
        decode(payload)


def test_a_change_longer_than_a_batch_is_a_mistake_of_ours() -> None:
    """Nothing that cannot be sent is sent in part."""
    attributes = tuple((f"name{n:02}", "x" * 1000) for n in range(3))
    made = [login(f"k{n}", attributes=attributes) for n in range(2)]
    assert sum(1 for _ in encode(Batch(all_logged_in(range(2), made)))) == 1
    with pytest.raises(LocalProtocolError):
        list(encode(Batch(Changes(barriers=(Barrier("x" * 70_000, 1),)))))


