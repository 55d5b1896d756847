"""Sections 1 and 2 of docs/reference/protocol.md: frames, and the handshake."""

import struct

import attrs
import msgpack
import pytest
import trio
import trio.testing

from protocol import limits
from protocol.codec import decode, encode
from protocol.connection import Phase
from protocol.errors import Code, RemoteProtocolError
from protocol.framing import FrameReader, frame
from protocol.io.accept import accept
from protocol.io.link import LinkFailed
from protocol.messages import ALL, BEFORE_PROOF, Error, Farewell, Ping, Pong, Refusal, Report, Welcome
from tests.spec import speakers


@pytest.mark.parametrize("length", [0, limits.BULK_FRAME_BYTES_MAX + 1, 0xFFFF_FFFF])
def test_lengths_out_of_bounds_end_the_link(length: int) -> None:
    """[P-1] A length of nothing, or beyond the bound, ends the link before any of the body is kept."""
    _, there = speakers.linked()

    with pytest.raises(RemoteProtocolError):
        there.receive_data(struct.pack(">I", length) + b"x" * 100, speakers.now())

    assert there.phase is Phase.CLOSED


def test_the_bound_grows_with_the_proof() -> None:
    """[P-2] A stranger gets 4,096 bytes a frame, a proven peer 1 MiB."""
    stranger = speakers.listener()
    with pytest.raises(RemoteProtocolError):
        stranger.receive_data(struct.pack(">I", 4_097), speakers.now())

    _, there = speakers.linked()
    big = frame(encode(Report(1, b"x" * 1_000_000)))
    assert [type(message) for message in there.receive_data(big, speakers.now())] == [Report]
    assert FrameReader(4_096).feed(struct.pack(">I", 4_096)) == []


@pytest.mark.parametrize(
    "value", [{}, 11, [], ["Ping", 1], [[11], 1], [11.0, 1], [-11, 1], [11, {"a": 1}], [11, msgpack.ExtType(1, b"x")]]
)
def test_a_body_is_an_array_that_begins_with_a_number(value: object) -> None:
    """[P-3] Anything but an array that begins with a number, and any map, float or extension in it, is refused."""
    with pytest.raises(RemoteProtocolError) as caught:
        decode(msgpack.packb(value))

    assert caught.value.code is Code.PROTOCOL


def test_an_unknown_number_is_answered_and_costs_nothing() -> None:
    """[P-4] Message 4711 is answered with Error(UNKNOWN_MESSAGE), and the next message is taken as ever."""
    here, there = speakers.linked()

    got = there.receive_data(frame(msgpack.packb([4711, b"new"])) + here.send(Report(1, b"")), speakers.now())

    assert got == [Report(1, b"")]
    (answer,) = map(decode, FrameReader(4_096).feed(there.replies()))
    assert isinstance(answer, Error)
    assert answer.code == Code.UNKNOWN_MESSAGE


def test_newer_fields_are_skipped_and_older_ones_filled_in() -> None:
    """[P-5] A field more is skipped, a field with a default may be missing, a field without one may not."""
    assert decode(msgpack.packb([5, 1, "no", 0, "", "a field of version 2"])) == Refusal(1, "no")
    assert decode(msgpack.packb([5, 1, "no"])) == Refusal(1, "no", 0, "")
    with pytest.raises(RemoteProtocolError):
        decode(msgpack.packb([5, 1]))


@pytest.mark.parametrize("value", [[11, True], [11, "1"], [11, None], [9, 1, b"text"], [9, 1, "x" * 513], [17, 1, 5]])
def test_types_are_exact_and_fields_have_bounds(value: list[object]) -> None:
    """[P-6] True is no integer, bytes are no text, and a text over 512 bytes is refused."""
    with pytest.raises(RemoteProtocolError):
        decode(msgpack.packb(value))


@pytest.mark.parametrize("value", [[11, -1], [9, 1, "two\nlines"], [9, 1, "\x1b[31mred"]])
def test_integers_and_texts_cannot_lie(value: list[object]) -> None:
    """[P-7] No integer is negative, and no text holds a line break or a colour."""
    with pytest.raises(RemoteProtocolError):
        decode(msgpack.packb(value))


@pytest.mark.parametrize("message", [message for message in ALL if message not in BEFORE_PROOF], ids=str)
def test_nothing_but_the_handshake_is_taken_before_the_proof(message: type) -> None:
    """[P-8] Every other message ends the connection of a stranger, whatever its fields."""
    there = speakers.listener()

    with pytest.raises(RemoteProtocolError):
        there.receive_data(frame(msgpack.packb([message.number])), speakers.now())


def test_a_step_of_the_handshake_cannot_be_skipped() -> None:
    """[P-8] A Welcome before the Challenge proves nothing and ends the connection."""
    here = speakers.dialler()
    here.start(speakers.now())

    with pytest.raises(RemoteProtocolError):
        here.receive_data(frame(encode(Welcome(b"v=none"))), speakers.now())


def test_no_common_version_is_refused_with_both() -> None:
    """[P-9] A dialler that speaks only version 2 is refused with VERSION by a listener that speaks only 1."""
    here, there = speakers.dialler(speakers.identity(version=2)), speakers.listener()
    speakers.shake_hands(here, there)

    assert here.refusal is not None
    assert here.refusal.code == Code.VERSION


def test_a_proof_holds_for_its_speaker_only() -> None:
    """[P-10] A Hello that is changed on the way to name another proxy is refused."""
    here, there = speakers.dialler(), speakers.listener()
    hello = decode(here.start(speakers.now())[4:])
    forged = attrs.evolve(hello, id="proxy2")
    there.receive_data(frame(encode(forged)), speakers.now())
    here.receive_data(there.replies(), speakers.now())

    assert here.refusal is not None
    assert here.refusal.code == Code.UNAUTHORIZED


@pytest.mark.parametrize(("ours", "theirs"), [(b"c" * 32, None), (None, b"c" * 32), (b"c" * 32, b"d" * 32)])
def test_the_proof_is_bound_to_tls(ours: bytes | None, theirs: bytes | None) -> None:
    """[P-11] Neither a missing binding, nor one too many, nor one to another certificate is let in."""
    here, there = speakers.dialler(binding=ours), speakers.listener(binding=theirs)
    speakers.shake_hands(here, there)

    assert here.phase is Phase.CLOSED
    assert here.refusal is not None
    assert here.refusal.code == Code.UNAUTHORIZED


def test_an_unknown_line_of_the_secret_is_named() -> None:
    """[P-12] A line that the listener does not have is refused with UNKNOWN_SECRET, before any proof."""
    here = speakers.dialler(speakers.identity("proxy", "proxy1", speakers.OTHER_SECRET), line=speakers.OTHER_SECRET)
    speakers.shake_hands(here, speakers.listener())

    assert here.refusal is not None
    assert here.refusal.code == Code.UNKNOWN_SECRET


def test_the_listener_must_know_the_secret_too() -> None:
    """[P-13] A listener whose last message does not prove the secret is not taken for an agent."""
    here, there = speakers.dialler(), speakers.listener()
    there.receive_data(here.start(speakers.now()), speakers.now())
    here.receive_data(there.replies(), speakers.now())

    with pytest.raises(RemoteProtocolError) as caught:
        here.receive_data(frame(encode(Welcome(b"v=bm90IHRoZSBwcm9vZg=="))), speakers.now())

    assert caught.value.code is Code.UNAUTHORIZED


def test_a_listener_cannot_make_a_dialler_compute_for_long() -> None:
    """[P-13] A challenge that asks for a million rounds of hashing ends the handshake."""
    here, there = speakers.dialler(), speakers.listener()
    there.receive_data(here.start(speakers.now()), speakers.now())
    challenge = decode(there.replies()[4:])
    rounds = attrs.evolve(challenge, proof=challenge.proof.rpartition(b"i=")[0] + b"i=1000000")  # type: ignore[attr-defined]

    with pytest.raises(RemoteProtocolError, match="rounds"):
        here.receive_data(frame(encode(rounds)), speakers.now())


@pytest.mark.slow
async def test_a_stranger_has_two_seconds() -> None:
    """[P-14] A connection that sends a byte now and then is closed 2 s after it was accepted."""
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    stranger = await trio.testing.open_stream_to_socket_listener(listeners[0])
    accepted = await listeners[0].accept()

    async def drip() -> None:
        with trio.move_on_after(5):
            while True:
                try:
                    await stranger.send_all(b"\x00")
                except trio.BrokenResourceError:
                    return
                await trio.sleep(0.8)

    async with trio.open_nursery() as nursery, stranger, listeners[0]:
        nursery.start_soon(drip)
        began_s = trio.current_time()
        with pytest.raises(LinkFailed):
            await accept(accepted, speakers.identity("agent", "1"), None, lambda hello, address: None)
        assert 1.9 < trio.current_time() - began_s < 4
        nursery.cancel_scope.cancel()


def test_a_refusal_says_why() -> None:
    """[P-15] What the shell refuses after the proof reaches the dialler with code and text."""
    here, there = speakers.dialler(), speakers.listener()
    there.receive_data(here.start(speakers.now()), speakers.now())
    here.receive_data(there.replies(), speakers.now())
    there.receive_data(here.replies(), speakers.now())

    here.receive_data(there.refuse(Refusal(Code.UNLISTED, "add proxy1 to the file")), speakers.now())

    assert here.refusal == Refusal(Code.UNLISTED, "add proxy1 to the file")
    assert here.phase is there.phase is Phase.CLOSED


def test_no_message_has_a_field_for_a_password() -> None:
    """[P-16] No field of any message is named for a password."""
    names = {field.name for message in ALL for field in attrs.fields(message)}

    assert not [name for name in names if "pass" in name or "credential" in name]


def test_a_ping_is_answered_at_once() -> None:
    """[P-18] A Ping comes back as a Pong with its nonce, and its receiver's owner never sees it."""
    here, there = speakers.linked()

    assert there.receive_data(here.send(Ping(99)), speakers.now()) == []
    assert here.receive_data(there.replies(), speakers.now()) == [Pong(99)]


def test_nothing_counts_after_a_farewell() -> None:
    """[P-19] What follows a Farewell is ignored, and so is what is not even a frame."""
    here, there = speakers.linked()
    last = here.send(Report(1, b"")) + here.say_farewell(Code.STOPPING, "stopping")

    assert there.receive_data(last + b"\xff" * 50, speakers.now()) == [Report(1, b"")]
    assert there.farewell == Farewell(Code.STOPPING, "stopping")
    assert there.phase is Phase.CLOSED
