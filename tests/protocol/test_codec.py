"""Messages and changes to bytes and back."""

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import codec, limits
from protocol.changes import Changes, LoginRun, Mark
from protocol.errors import Code, LocalProtocolError, RemoteProtocolError
from protocol.messages import Compared, Farewell, Heartbeat, Ping, Role, Update
from protocol.session import Attributes, Origin
from tests.wire import samples

NOW_MS = samples.NOW_MS


def logins(count: int, key_bytes: int = 10, attributes: Attributes = ()) -> LoginRun:
    return LoginRun(
        Origin("squid-1", 1),
        range(count),
        "lan1",
        [f"{number:0{key_bytes}}" for number in range(count)],
        [f"user{number}" for number in range(count)],
        [NOW_MS + number % 7 for number in range(count)],
        [NOW_MS + number % 7 + 3_600_000 for number in range(count)],
        [1800] * count,
        [attributes] * count,
    )


def joined(parts: list[Changes]) -> dict[object, object]:
    """What all parts together say of each login id."""
    return {
        (run.origin, sequence): (run.keys[place], run.users[place], run.expires_at[place])
        for part in parts
        for run in part.logins
        for place, sequence in enumerate(run.sequences)
    }


def test_fields_of_a_newer_version_are_skipped() -> None:
    """Promise 12: what is added at the end costs nothing."""
    assert codec.decode(msgpack.packb([11, 5, "new", [1, 2]])) == Ping(5)


def test_fields_that_an_older_version_lacks_take_their_defaults() -> None:
    """Promise 12, the other way round; but what always was there must be there."""
    assert codec.decode(msgpack.packb([28, 3, 12])) == Compared(3, 12, True)
    assert codec.decode(msgpack.packb([9, 1, "bye"])) == Farewell(1, "bye", "")
    with pytest.raises(RemoteProtocolError, match="Farewell has 1 fields; it needs 2"):
        codec.decode(msgpack.packb([9, 1]))


def test_an_unknown_message_is_told_apart() -> None:
    """Its code lets the connection answer and go on."""
    with pytest.raises(RemoteProtocolError) as caught:
        codec.decode(msgpack.packb([200, 1, 2]))
    assert caught.value.code is Code.UNKNOWN_MESSAGE


@pytest.mark.parametrize(
    "body", [b"", b"\x90", b"\x80", b"\xa0", b"\x91\xff", b"\x91\xc3", b"\x92\x0b\x05\x00", b"\x92\x0b"]
)
def test_what_is_no_message_is_a_breach(body: bytes) -> None:
    """Nothing, no array, no number, a number below 0, a bool for one, trailing bytes, a field too few."""
    with pytest.raises(RemoteProtocolError) as caught:
        codec.decode(body)
    assert caught.value.code is Code.PROTOCOL


def test_no_text_of_the_peer_is_quoted() -> None:
    """An error may be logged, so it holds nothing that the peer sent."""
    with pytest.raises(RemoteProtocolError) as caught:
        codec.decode(msgpack.packb([9, 1, "evil\nline"]))
    assert "evil" not in str(caught.value)


def test_enums_travel_as_integers() -> None:
    """A Role or Code is put into a message as it is and comes out as a number."""
    assert codec.decode(codec.encode(Farewell(Code.STOPPING, ""))) == Farewell(1, "")
    beat = codec.decode(codec.encode(samples.MESSAGES[5]))
    assert isinstance(beat, Heartbeat) and beat.role == Role.MASTER


@pytest.mark.parametrize(
    "message", [Ping(-1), Ping(1 << 64), Ping("1"), Update(1, "\ud800", b"x"), Update(1, "", b"x")]
)  # type: ignore[arg-type]
def test_our_own_breaches_are_local_errors(message: Ping | Update) -> None:
    """What no peer would accept does not leave."""
    with pytest.raises(LocalProtocolError):
        codec.encode(message)


def test_a_full_batch_of_ordinary_logins_fits_a_frame() -> None:
    """500 logins with cookie keys and the same few attributes take half of an ordinary frame at most."""
    run = logins(limits.BATCH_CHANGES_MAX, 39, samples.STAFF)
    payload = codec.encode_changes(Changes((run,)))
    assert len(payload) < limits.FRAME_BYTES_MAX // 2
    assert codec.decode_changes(payload) == Changes((run,))
    assert list(codec.encode_payloads(Changes((run,)))) == [payload]


def test_changes_that_do_not_fit_are_sent_in_parts() -> None:
    """Long keys and large attributes are split by bytes, and nothing is lost or repeated."""
    large: Attributes = (("note", "x" * 4_000),)
    changes = Changes((logins(700, 256), logins(40, 10, large)), marks=(Mark("10.0.0.1", NOW_MS),))
    payloads = list(codec.encode_payloads(changes))
    parts = [codec.decode_changes(payload) for payload in payloads]
    assert max(map(len, payloads)) <= codec.PAYLOAD_BYTES_MAX
    assert max(map(len, parts)) <= limits.BATCH_CHANGES_MAX
    assert joined(parts) == joined([changes]) and sum(map(len, parts)) == len(changes)


def test_the_greatest_single_change_fits_a_frame() -> None:
    """A login whose every part is at its bound goes into one frame, even when it must stand alone."""
    widest: Attributes = tuple((f"{number:02}", "x" * 121) for number in range(32))
    run = logins(2, 256, widest)
    run.users[:] = ["u" * 256, "v" * 256]
    run.attributes[1] = tuple((name, "y" * 121) for name, _ in widest)
    (first, second) = codec.encode_payloads(Changes((run,)), 8 * 1024)
    assert len(codec.decode_changes(first)) == len(codec.decode_changes(second)) == 1


def test_nothing_takes_no_payload() -> None:
    """No changes are no frames."""
    assert list(codec.encode_payloads(Changes())) == []
    assert codec.decode_changes(codec.encode_changes(Changes())) == Changes()


@given(st.integers(1, 30), st.integers(1, 40))
def test_split_keeps_every_change_once(changes_max: int, count: int) -> None:
    """Parts are full but for the last, in order, and together what was split."""
    changes = Changes((logins(count),), samples.CHANGES.ends, samples.CHANGES.touches, samples.CHANGES.barriers)
    parts = codec.split(changes, changes_max)
    assert [len(part) for part in parts[:-1]] == [changes_max] * (len(parts) - 1)
    assert sum(map(len, parts)) == len(changes)
    assert joined(parts) == joined([changes])
    assert [barrier for part in parts for barrier in part.barriers] == list(changes.barriers)
