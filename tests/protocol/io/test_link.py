"""One link at its edges, on a virtual clock; tests/shell/test_link.py has the real sockets."""

import errno
from collections.abc import Callable
from pathlib import Path

import pytest
import trio
import trio.testing

from protocol import limits
from protocol.errors import Code, LocalProtocolError
from protocol.framing import frame
from protocol.io import tls
from protocol.io.link import Link, LinkClosed, code_of, printable
from protocol.messages import Bulk, Message, Pong, Refusal, Report
from tests.shell.memory import MemoryTransport, link_over, pipe


async def ending(link: Link) -> LinkClosed:
    """How the link ends; what comes before is read and dropped."""
    while True:
        try:
            await link.receive()
        except LinkClosed as closed:
            return closed


async def test_a_link_needs_no_socket(autojump_clock: trio.testing.MockClock) -> None:
    """Any transport carries it."""
    ours, theirs = await link_over(*pipe())
    ours.send(Pong(1))
    theirs.send(Report(1, bytes(200_000)))
    assert (await theirs.receive(), await ours.receive()) == ([Pong(1)], [Report(1, bytes(200_000))])


async def test_what_waits_is_sent_when_there_is_room(autojump_clock: trio.testing.MockClock) -> None:
    """In order, whether a frame was begun or not; queued_bytes says how much waits."""
    ours, theirs = await link_over(*pipe(room=1_000))
    for _ in range(3):  # each time the queue runs empty, and the next one must be seen to anew
        sent = [Report(number, bytes(700)) for number in range(40)]
        for message in sent:
            ours.send(message)
        assert 25_000 < ours.queued_bytes < 30_000
        received: list[Message] = []
        while len(received) < 40:
            received += await theirs.receive()
        assert received == sent
        assert ours.queued_bytes == 0


async def test_the_same_bytes_are_queued_and_not_copied(autojump_clock: trio.testing.MockClock) -> None:
    """A fan-out to slow followers holds one object."""
    near, far = pipe(room=1_000)
    ours, theirs = await link_over(near, far)
    ours.send(Bulk(1, bytes(5_000)))
    shared = frame(b"\x92\x0c\x05")
    for _ in range(3):
        ours.send_frames(shared)
    assert all(queued is shared for queued in ours._queue)
    received = []
    while len(received) < 4:
        received += await theirs.receive()
    assert received[1:] == [Pong(5)] * 3


async def test_a_slow_reader_loses_its_link_at_the_bound(autojump_clock: trio.testing.MockClock) -> None:
    """Not before OUTBOUND_BYTES_MAX is waiting, and then at once; what waited is let go."""
    ours, theirs = await link_over(*pipe())
    while ours.closed is None:
        assert ours.queued_bytes <= limits.OUTBOUND_BYTES_MAX
        ours.send(Bulk(1, bytes(500_000)))
    assert ours.closed.code is Code.SLOW_READER and "8 MiB" in ours.closed.text
    assert ours.queued_bytes == 0
    assert (await ending(theirs)).by_peer


async def test_wait_room_returns_when_the_link_ends(autojump_clock: trio.testing.MockClock) -> None:
    """Nobody waits for ever for a link that has gone."""
    ours, theirs = await link_over(*pipe())
    ours.send(Bulk(1, bytes(500_000)))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ours.wait_room, 1)
        await trio.testing.wait_all_tasks_blocked()
        theirs._transport.close()
        await ending(ours)


async def test_close_waits_for_the_peer_no_longer_than_its_deadline(autojump_clock: trio.testing.MockClock) -> None:
    """FAREWELL_TIMEOUT_S for what is queued and for the peer to close, together."""
    ours, theirs = await link_over(*pipe(room=1_000))
    ours.send(Bulk(1, bytes(50_000)))
    started = trio.current_time()
    ours.close(Code.STOPPING, "bye")
    await ours.wait_closed()
    assert trio.current_time() - started == pytest.approx(limits.FAREWELL_TIMEOUT_S)
    assert (await ending(theirs)).code is None


async def test_close_is_quick_when_the_peer_reads(autojump_clock: trio.testing.MockClock) -> None:
    """A peer that hears the farewell closes too."""
    ours, theirs = await link_over(*pipe())
    started = trio.current_time()
    ours.close(Code.STOPPING, "bye")
    assert (await ending(theirs)).code is Code.STOPPING
    await ours.wait_closed()
    assert trio.current_time() == started


async def test_receive_is_woken_by_close(autojump_clock: trio.testing.MockClock) -> None:
    """A task that waits for messages learns at once that the link was closed under it."""
    ours, _ = await link_over(*pipe())
    async with trio.open_nursery() as nursery:

        async def receive() -> None:
            assert (await ending(ours)).code is Code.SUPERSEDED

        nursery.start_soon(receive)
        await trio.testing.wait_all_tasks_blocked()
        started = trio.current_time()
        ours.close(Code.SUPERSEDED, "a newer link")
    assert trio.current_time() == started


@pytest.mark.parametrize(
    ("fault", "text", "by_peer"),
    [
        (ConnectionResetError(errno.ECONNRESET, "reset"), "reset by the peer", True),
        (TimeoutError(errno.ETIMEDOUT, "timed out"), "nothing was acknowledged in time", False),
        (OSError(errno.EHOSTUNREACH, "No route to host"), "the network failed: No route to host", False),
    ],
)
async def test_the_network_fails_at_the_receiver(
    fault: OSError, text: str, by_peer: bool, autojump_clock: trio.testing.MockClock
) -> None:
    """A reset is the peer's own doing, silence and missing routes are not: the difference decides a failover."""
    near, far = pipe()
    ours, _ = await link_over(near, far)
    near.break_with(fault)
    end = await ending(ours)
    assert (end.code, end.text, end.by_peer) == (None, text, by_peer)


async def test_a_failed_send_is_told_by_receive(autojump_clock: trio.testing.MockClock) -> None:
    """send() raises nothing; what the peer said last is still read, and then the reason."""
    near, far = pipe()
    ours, theirs = await link_over(near, far)
    theirs.close(Code.NOT_MASTER, "go to 2", "2")
    await trio.testing.wait_all_tasks_blocked()
    near.fault = BrokenPipeError()
    ours.send(Pong(1))
    ours.send(Pong(2))
    near.fault = None
    end = await ending(ours)
    assert (end.code, end.elsewhere) == (Code.NOT_MASTER, "2")


async def test_a_failed_send_explains_an_end_without_words(autojump_clock: trio.testing.MockClock) -> None:
    """After a send that was never acknowledged, the end of the stream proves nothing about the peer."""
    near, far = pipe()
    ours, _ = await link_over(near, far)
    near.fault = TimeoutError(errno.ETIMEDOUT, "timed out")
    ours.send(Pong(1))
    near.fault = None
    far.close()
    assert not (await ending(ours)).by_peer


@pytest.mark.parametrize("ended", [lambda link: link.close(Code.STOPPING, ""), lambda link: link._transport.close()])
async def test_sending_after_the_end_does_nothing(
    ended: Callable[[Link], None], autojump_clock: trio.testing.MockClock
) -> None:
    """Whoever ended it, and however often it is closed again."""
    ours, _ = await link_over(*pipe())
    ended(ours)
    await ending(ours)
    ours.send(Pong(1))
    ours.send_frames(b"x")
    ours.close(Code.STOPPING, "again")
    assert ours.queued_bytes == 0


async def test_a_message_that_no_link_carries_is_our_own_mistake(autojump_clock: trio.testing.MockClock) -> None:
    """It is raised where it was made, and the link goes on."""
    ours, theirs = await link_over(*pipe())
    with pytest.raises(LocalProtocolError):
        ours.send(Refusal(1, ""))
    ours.send(Pong(1))
    assert await theirs.receive() == [Pong(1)]


async def test_a_closing_alert_ends_the_link_without_the_end_of_the_stream(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    """A peer that closes TLS and keeps TCP open has gone; what it said before counts."""
    near, far = pipe()
    ours, theirs = await link_over(near, far, tls.self_made(tmp_path, "agent/lan1/1"))
    cipher = ours._wire.cipher
    assert cipher is not None
    near.send(cipher.encrypt(frame(b"\x92\x0c\x05")) + cipher.close())
    assert await theirs.receive() == [Pong(5)]
    with trio.fail_after(1):
        assert (await ending(theirs)).text == "closed without a farewell"


async def test_the_end_is_raised_anew_each_time(autojump_clock: trio.testing.MockClock) -> None:
    """So that no traceback keeps the link alive in a circle."""
    ours, theirs = await link_over(*pipe())
    theirs._transport.close()
    first, second = await ending(ours), await ending(ours)
    assert first is not second and str(first) == str(second) == "closed without a farewell"
    assert ours.closed is not None and ours.closed.__traceback__ is None


async def test_a_lan_link_is_given_up_sooner_than_a_wan_link(autojump_clock: trio.testing.MockClock) -> None:
    """TCP's own patience follows the sites; both ends are of one here."""
    near, far = pipe()
    await link_over(near, far)
    assert near.patience_s == far.patience_s == limits.UNACKNOWLEDGED_TIMEOUT_S


def test_texts_are_made_fit_for_a_message() -> None:
    """One line, 512 bytes, no half letter."""
    assert printable("a\nb\x1b[1m") == "a b [1m"
    assert printable("é" * 400) == "é" * 256


def test_codes_of_a_newer_version_are_understood() -> None:
    """As what they are at least: an end by the rules of the protocol."""
    assert (code_of(2), code_of(200)) == (Code.NOT_MASTER, Code.PROTOCOL)


def test_a_memory_transport_is_a_transport() -> None:
    """The tests' own transport has all that links use."""
    from protocol.io.transport import Transport

    transport: Transport = MemoryTransport()
    assert transport.host
