"""From a socket to a link: deadlines, verdicts, and what the caller's log line says."""

import pytest
import trio
import trio.testing

from protocol import limits
from protocol.errors import Code
from protocol.framing import frame
from protocol.io.accept import accept
from protocol.io.dial import open_link
from protocol.io.link import LinkFailed, LinkRefused
from protocol.messages import Hello, Refusal
from tests.shell.links import admit_all
from tests.shell.memory import MemoryTransport, pipe
from tests.wire.pair import AGENT, LINE, OTHER_LINE, PROXY, identity


async def failure(far: MemoryTransport, admit: object = admit_all) -> LinkRefused | LinkFailed:
    """Why no link came of it."""
    try:
        await accept(far, AGENT, None, admit)  # type: ignore[arg-type]
    except (LinkRefused, LinkFailed) as caught:
        return caught
    raise AssertionError("there is a link")


async def test_silence_ends_at_the_deadline(autojump_clock: trio.testing.MockClock) -> None:
    """2 s for the handshake and no more than the farewell's time after it; the transport is closed."""
    near, far = pipe()
    started = trio.current_time()
    caught = await failure(far)
    assert trio.current_time() - started <= limits.HANDSHAKE_TIMEOUT_S + limits.FAREWELL_TIMEOUT_S
    assert isinstance(caught, LinkFailed) and caught.kind == "timed_out"
    assert str(caught) == "10.0.0.2:4711: no handshake within 2 s"
    assert far.closed and not near.closed


async def test_a_verdict_counts_against_the_deadline(autojump_clock: trio.testing.MockClock) -> None:
    """A judge that never comes to an end gets no link for anybody."""

    async def ponder(hello: Hello, host: str) -> None:
        await trio.sleep_forever()

    near, far = pipe()
    async with trio.open_nursery() as nursery:

        async def dial() -> None:
            with pytest.raises(LinkFailed):
                await open_link(near, PROXY, LINE.encode(), None)

        nursery.start_soon(dial)
        assert "proxy lan1/squid-1 at 10.0.0.2:4711: no handshake" in str(await failure(far, ponder))


async def test_nobody_is_judged_before_he_is_proven(autojump_clock: trio.testing.MockClock) -> None:
    """A stranger reaches no list and no clock."""
    judged: list[Hello] = []

    def admit(hello: Hello, host: str) -> None:
        judged.append(hello)

    near, far = pipe()
    async with trio.open_nursery() as nursery:

        async def dial() -> None:
            with pytest.raises(LinkRefused):
                await open_link(near, identity("proxy", "squid-1", OTHER_LINE), OTHER_LINE.encode(), None)

        nursery.start_soon(dial)
        await failure(far, admit)
    assert judged == []


async def test_a_judge_that_fails_leaves_no_socket_open(autojump_clock: trio.testing.MockClock) -> None:
    """His error is his caller's."""

    def admit(hello: Hello, host: str) -> Refusal:
        raise ZeroDivisionError

    near, far = pipe()
    async with trio.open_nursery() as nursery:

        async def dial() -> None:
            with pytest.raises(LinkFailed):
                await open_link(near, PROXY, LINE.encode(), None)

        nursery.start_soon(dial)
        with pytest.raises(ZeroDivisionError):
            await accept(far, AGENT, None, admit)
    assert far.closed


async def test_a_refusal_may_hold_any_text(autojump_clock: trio.testing.MockClock) -> None:
    """What the caller says is made fit for a message."""
    near, far = pipe()
    told: list[LinkRefused] = []
    async with trio.open_nursery() as nursery:

        async def dial() -> None:
            with pytest.raises(LinkRefused) as caught:
                await open_link(near, PROXY, LINE.encode(), None)
            told.append(caught.value)

        nursery.start_soon(dial)
        caught = await failure(far, lambda hello, host: Refusal(Code.UNLISTED, "no\nsuch " + "x" * 600))
    assert isinstance(caught, LinkRefused) and caught.code is Code.UNLISTED
    assert told[0].text.startswith("no such xxx")


async def test_the_log_line_has_no_word_of_a_stranger_but_his_name(autojump_clock: trio.testing.MockClock) -> None:
    """Garbage is described and not quoted."""
    near, far = pipe()
    near.send(frame(b"\x93\x05evil\nwords"))
    near.finish()
    text = str(await failure(far))
    assert "evil" not in text and text.isprintable()


async def test_cancelling_closes_the_transport(autojump_clock: trio.testing.MockClock) -> None:
    """A server that stops leaves nothing open."""
    _, far = pipe()
    with trio.move_on_after(0.5):
        await accept(far, AGENT, None, admit_all)
    assert far.closed
