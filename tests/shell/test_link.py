"""Links over real sockets on loopback: plain, TLS and mutual TLS, and everything that goes wrong with them."""

import socket
import ssl
import struct
from pathlib import Path

import pytest
import trio

from protocol import limits
from protocol.errors import Code
from protocol.framing import frame
from protocol.handshake import Identity
from protocol.io import tls as tls_module
from protocol.io.dial import dial
from protocol.io.link import LinkFailed, LinkRefused
from protocol.io.tls import Tls
from protocol.messages import Bulk, Hello, Pong, Refusal, Report, Update
from tests.shell.links import (
    HOST,
    TIMEOUT_S,
    Authority,
    Listener,
    answering,
    any_client,
    close,
    closed_port,
    ending,
    linked,
    listening,
    raw,
    read_all,
    received,
    until,
)
from tests.wire.pair import LINE, OTHER_LINE, PROXY, identity


@pytest.fixture
def self_made(tmp_path: Path) -> Tls:
    (tmp_path / "agent").mkdir()
    return tls_module.self_made(tmp_path / "agent", "agent/lan1/1")


@pytest.fixture(params=["plain", "self-made", "mutual"])
def tls(request: pytest.FixtureRequest, tmp_path: Path) -> Tls | None:
    """Every kind of link there is; under mutual TLS both ends have one certificate that names both."""
    match request.param:
        case "plain":
            return None
        case "self-made":
            return tls_module.self_made(tmp_path, "agent/lan1/1")
        case _:
            (tmp_path / "authority").mkdir()
            return Authority(tmp_path / "authority").tls("agent/lan1/1", "squid-1", client_certificates=True)


async def refused(listener: Listener, who: Identity = PROXY, tls: Tls | None = None) -> LinkRefused:
    """What a dialler is told."""
    with pytest.raises(LinkRefused) as caught:
        await dial(HOST, listener.port, who, tls, TIMEOUT_S)
    return caught.value


async def failed(port: int, tls: Tls | None = None, timeout_s: float = TIMEOUT_S, host: str = HOST) -> LinkFailed:
    """What became of a dial."""
    with pytest.raises(LinkFailed) as caught:
        await dial(host, port, PROXY, tls, timeout_s)
    return caught.value


# -- what works ---------------------------------------------------------------------------------------------------


async def test_both_ends_know_each_other(tls: Tls | None) -> None:
    """After the handshake each end has the other's name, software, clock and secret."""
    async with linked(tls) as (ours, theirs):
        assert (ours.peer.kind, ours.peer.site, ours.peer.id, ours.dialled) == ("agent", "lan1", "1", True)
        assert (theirs.peer.kind, theirs.peer.site, theirs.peer.id, theirs.dialled) == (
            "proxy",
            "lan1",
            "squid-1",
            False,
        )
        assert theirs.peer.address.startswith(f"{HOST}:") and ours.peer.software == "test 0.1"
        assert abs(ours.peer.wall_offset_ms) < 1_000 and abs(theirs.peer.wall_offset_ms) < 1_000
        assert ours.peer.secret_id == theirs.peer.secret_id != b""


async def test_messages_pass_in_order(tls: Tls | None) -> None:
    """Small and large ones, both ways, through socket buffers that are filled many times over."""
    async with linked(tls) as (ours, theirs):
        sent = [Report(number, bytes(1 + number * 7_919 % 60_000)) for number in range(150)]
        for message in sent:
            ours.send(message)
        assert ours.queued_bytes > 0
        assert await received(theirs, 150) == sent
        await until(lambda: ours.queued_bytes == 0)
        theirs.send(Pong(1))
        assert await received(ours, 1) == [Pong(1)]


async def test_messages_that_came_together_are_received_together() -> None:
    """One receive hands out everything that has arrived."""
    async with linked() as (ours, theirs):
        frames = b"".join(frame(b"\x92\x0c" + bytes([number])) for number in range(50))
        ours.send_frames(frames)
        assert await theirs.receive() == [Pong(number) for number in range(50)]


async def test_a_farewell_tells_the_peer_why(tls: Tls | None) -> None:
    """Code, text and redirect arrive behind the messages sent before; both sides end with the same reason."""
    async with linked(tls) as (ours, theirs):
        ours.send(Pong(1))
        ours.close(Code.NOT_MASTER, "the master is\nagent 2", "2")
        ours.close(Code.STOPPING, "again")
        ours.send(Pong(2))
        assert await received(theirs, 1) == [Pong(1)]
        theirs_end, ours_end = await ending(theirs), await ending(ours)
        assert (theirs_end.code, theirs_end.text, theirs_end.elsewhere) == (
            Code.NOT_MASTER,
            "the master is agent 2",
            "2",
        )
        assert (ours_end.code, ours_end.by_peer, theirs_end.by_peer) == (Code.NOT_MASTER, False, True)
        with trio.fail_after(TIMEOUT_S):
            await ours.wait_closed()
            await theirs.wait_closed()


async def test_a_farewell_passes_what_is_queued(tls: Tls | None) -> None:
    """What was sent before close still arrives when the peer reads it in time."""
    async with linked(tls) as (ours, theirs):
        for number in range(1, 40):
            ours.send(Bulk(number, bytes(100_000)))
        assert ours.queued_bytes > 0
        ours.close(Code.STOPPING, "bye")
        assert await received(theirs, 39) == [Bulk(number, bytes(100_000)) for number in range(1, 40)]
        assert (await ending(theirs)).code is Code.STOPPING


async def test_a_closed_link_gives_up_on_a_peer_that_does_not_read() -> None:
    """close() never waits longer than its deadline, however much is queued."""
    async with linked() as (ours, theirs):
        for number in range(60):
            ours.send(Bulk(number, bytes(100_000)))
        ours.close(Code.STOPPING, "bye")
        with trio.fail_after(TIMEOUT_S):
            await ours.wait_closed()
        assert theirs.closed is None


async def test_wait_room_gives_way(tls: Tls | None) -> None:
    """It returns at once with room, waits without, and returns when the link ends."""
    async with linked(tls) as (ours, theirs):
        with trio.fail_after(TIMEOUT_S):
            await ours.wait_room(1)
        for number in range(60):
            ours.send(Bulk(number, bytes(100_000)))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ours.wait_room, 100_000)
            await trio.testing.wait_all_tasks_blocked()
            assert ours.queued_bytes >= 100_000
            await received(theirs, 60)
        assert ours.queued_bytes < 100_000


async def test_receiving_may_be_cancelled() -> None:
    """A cancelled receive loses nothing."""
    async with linked() as (ours, theirs):
        with trio.move_on_after(0.01):
            await theirs.receive()
        ours.send(Pong(1))
        assert await received(theirs, 1) == [Pong(1)]


async def test_the_second_line_of_the_secret_is_tried() -> None:
    """A dialler with a newer line first still reaches an agent that knows only the older one."""
    async with listening(identity("agent", "1", OTHER_LINE)) as listener:
        link = await dial(HOST, listener.port, identity("proxy", "squid-1", LINE, OTHER_LINE), None, TIMEOUT_S)
        assert link.peer.id == "1"
        await close(link)
        failure = await listener.failure()
        assert isinstance(failure, LinkRefused) and failure.code is Code.UNKNOWN_SECRET


async def test_the_listener_may_take_time_to_judge() -> None:
    """`admit` may be asynchronous, sees the address without port, and a clock as of now."""
    seen: list[tuple[Hello, str]] = []

    async def admit(hello: Hello, host: str) -> Refusal | None:
        seen.append((hello, host))
        await trio.sleep(0)
        return Refusal(Code.DUPLICATE, "10.0.0.9:1 holds this id", 700, "2")

    async with listening(admit=admit) as listener:
        refusal = await refused(listener)
    assert (refusal.code, refusal.elsewhere, refusal.retry_after_ms) == (Code.DUPLICATE, "2", 700)
    assert refusal.text == f"{HOST}:{listener.port} refuses: 10.0.0.9:1 holds this id"
    assert [(hello.id, host) for hello, host in seen] == [("squid-1", HOST)]


# -- who is refused, and is told so ---------------------------------------------------------------------------------


async def test_a_wrong_secret_is_refused(tls: Tls | None) -> None:
    """A dialler with another secret is told that its line is unknown, and the listener says who it was."""
    async with listening(tls=tls) as listener:
        assert (await refused(listener, identity("proxy", "squid-1", OTHER_LINE), tls)).code is Code.UNKNOWN_SECRET
        assert "proxy lan1/squid-1 at 127.0.0.1:" in str(await listener.failure())
        assert LINE not in str(await listener.failure())


async def test_an_unlisted_id_is_refused(tls: Tls | None) -> None:
    """Whoever is proven but not in the file is told so."""
    async with listening(
        tls=tls, admit=lambda hello, host: Refusal(Code.UNLISTED, f"{hello.id}: no such id")
    ) as listener:
        refusal = await refused(listener, tls=tls)
        assert (refusal.code, "squid-1: no such id" in refusal.text) == (Code.UNLISTED, True)


async def test_another_version_is_refused(tls: Tls | None) -> None:
    """Both ends name their versions."""
    async with listening(tls=tls) as listener:
        refusal = await refused(listener, identity("proxy", "squid-1", versions=(2, 3)), tls)
        assert refusal.code is Code.VERSION
        assert "versions 2 to 3 are spoken there, 1 to 1 here" in refusal.text


# -- what is no listener ---------------------------------------------------------------------------------------------


async def test_nobody_listens() -> None:
    """A refused connection is known at once and as such."""
    failure = await failed(port := closed_port())
    assert (failure.kind, failure.text) == ("refused", f"{HOST}:{port}: connection refused; nothing listens there")


async def test_an_unknown_host(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name without an address is told by name."""

    async def unknown(*args: object, **keywords: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(trio.socket, "getaddrinfo", unknown)
    failure = await failed(9023, host="agent.invalid")
    assert (failure.kind, failure.text) == ("unknown_host", "agent.invalid:9023: unknown host agent.invalid")


async def test_a_silent_listener_is_given_up(tls: Tls | None) -> None:
    """The deadline of dial holds for everything after the connection too."""
    async with answering(lambda stream: trio.sleep_forever()) as port:
        failure = await failed(port, tls, 0.2)
        assert (failure.kind, failure.text) == (
            "timed_out",
            f"{HOST}:{port}: timed out after 200 ms, waiting for the handshake",
        )


async def test_a_listener_that_resets(tls: Tls | None) -> None:
    """A connection closed in the handshake is told as such."""

    async def close(stream: trio.SocketStream) -> None:
        await stream.receive_some(1)
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        await stream.aclose()

    async with answering(close) as port:
        assert (await failed(port, tls)).kind == "reset"


async def test_a_listener_without_tls(self_made: Tls) -> None:
    """Something else answers a TLS dialler: it speaks no TLS."""

    async def greet(stream: trio.SocketStream) -> None:
        await stream.send_all(b"220 mail.example ESMTP\r\n")
        await read_all(stream)

    async with answering(greet) as port:
        failure = await failed(port, self_made)
        assert (failure.kind, "speaks no TLS" in failure.text) == ("no_tls", True)


async def test_a_tls_dialler_at_a_plain_listener(self_made: Tls) -> None:
    """Both ends are told that TLS is on at one end only."""
    async with listening() as listener:
        assert (await failed(listener.port, self_made)).kind == "no_tls"
        failure = await listener.failure()
        assert "the peer speaks TLS and this side does not" in str(failure)


async def test_a_plain_dialler_at_a_tls_listener(self_made: Tls) -> None:
    """The refusal comes in plain words, because the dialler could read nothing else."""
    async with listening(tls=self_made) as listener:
        refusal = await refused(listener)
        assert (refusal.code, "TLS is spoken here" in refusal.text) == (Code.PROTOCOL, True)
        failure = await listener.failure()
        assert isinstance(failure, LinkFailed) and failure.kind == "no_tls"


async def test_a_listener_that_speaks_something_else() -> None:
    """Garbage for an answer is the protocol, not a reset."""

    async def shout(stream: trio.SocketStream) -> None:
        await stream.send_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await read_all(stream)

    async with answering(shout) as port:
        assert (await failed(port)).kind == "protocol"


# -- certificates ----------------------------------------------------------------------------------------------------


async def test_an_untrusted_certificate(self_made: Tls, tmp_path: Path) -> None:
    """A dialler with an authority refuses a self-made certificate, and the listener learns why."""
    dialler = Authority(tmp_path / "ours").tls("squid-1")
    async with listening(tls=self_made) as listener:
        failure = await failed(listener.port, dialler)
        assert (failure.kind, "certificate not trusted" in failure.text) == ("untrusted", True)
        theirs = await listener.failure()
        assert isinstance(theirs, LinkFailed)
        assert (theirs.kind, "does not trust our certificate" in theirs.text) == ("untrusted", True)


async def test_mutual_tls_wants_a_certificate(tmp_path: Path) -> None:
    """A dialler without one is told so, although TLS 1.3 lets it know only afterwards."""
    authority = Authority(tmp_path)
    async with listening(tls=authority.tls("agent/lan1/1", client_certificates=True)) as listener:
        failure = await failed(listener.port, tls_module.dialling_only())
        assert (failure.kind, "certificate required" in failure.text) == ("untrusted", True)
        assert "the peer shows no certificate" in str(await listener.failure())


async def test_mutual_tls_wants_a_certificate_of_its_authority(tmp_path: Path) -> None:
    """A certificate of somebody else's authority is refused, with the reason at both ends."""
    ours, others = Authority(tmp_path / "ours"), Authority(tmp_path / "others")
    stranger = others.tls("squid-1", client_certificates=True, authority=ours.file)
    async with listening(tls=ours.tls("agent/lan1/1", client_certificates=True)) as listener:
        assert (await failed(listener.port, stranger)).kind == "untrusted"
        assert "certificate not trusted" in str(await listener.failure())


async def test_mutual_tls_binds_the_id_to_the_certificate(tmp_path: Path) -> None:
    """Who holds the secret and a certificate cannot pose as another id, at either end."""
    authority = Authority(tmp_path)
    proxy = authority.tls("squid-2", client_certificates=True)
    async with listening(tls=authority.tls("agent/lan1/1", client_certificates=True)) as listener:
        assert (await refused(listener, tls=proxy)).code is Code.UNLISTED
    proxy = authority.tls("squid-1", client_certificates=True)
    async with listening(tls=authority.tls("agent/lan1/2", client_certificates=True)) as listener:
        assert (await failed(listener.port, proxy)).kind == "untrusted"


async def test_a_man_in_the_middle_is_found_out(self_made: Tls, tmp_path: Path) -> None:
    """One who ends TLS with his own certificate and passes everything on gets no link, though nobody checks it."""
    (tmp_path / "middle").mkdir()
    his = tls_module.self_made(tmp_path / "middle", "agent/lan1/1")
    assert his.listening is not None
    his_listening = his.listening

    async with listening(tls=self_made) as listener:

        async def relay(stream: trio.SocketStream) -> None:
            near = trio.SSLStream(stream, his_listening, server_side=True, https_compatible=True)
            far = trio.SSLStream(await raw(listener.port), any_client(), https_compatible=True)
            await near.do_handshake()
            await far.do_handshake()
            try:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(copy, near, far)
                    nursery.start_soon(copy, far, near)
            finally:
                await trio.aclose_forcefully(far)

        async def copy(source: trio.SSLStream, target: trio.SSLStream) -> None:  # type: ignore[type-arg]
            try:
                async for piece in source:
                    await target.send_all(piece)
                await target.aclose()
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                pass

        async with answering(relay) as port:
            with pytest.raises(LinkRefused, match="somebody is between us") as caught:
                await dial(HOST, port, PROXY, self_made, TIMEOUT_S)
            assert caught.value.code is Code.UNAUTHORIZED
        assert listener.links == []


# -- what attacks ------------------------------------------------------------------------------------------------------


async def test_a_connection_that_sends_nothing_is_closed_in_time(tls: Tls | None) -> None:
    """The handshake has 2 s in total."""
    async with listening(tls=tls) as listener:
        stream = await raw(listener.port)
        started = trio.current_time()
        assert await read_all(stream) == b""
        assert limits.HANDSHAKE_TIMEOUT_S - 0.1 < trio.current_time() - started < limits.HANDSHAKE_TIMEOUT_S + 1.5
        failure = await listener.failure()
        assert isinstance(failure, LinkFailed) and failure.kind == "timed_out"
        await stream.aclose()


async def test_dripping_bytes_gain_no_time() -> None:
    """A byte now and then does not put the deadline off."""
    async with listening() as listener:
        stream = await raw(listener.port)
        started = trio.current_time()
        with trio.move_on_after(2 * TIMEOUT_S):
            for byte in frame(b"\x9d" + bytes(4_000)):
                try:
                    await stream.send_all(bytes([byte]))
                except trio.BrokenResourceError:
                    break
                await trio.sleep(0.05)
        assert trio.current_time() - started < limits.HANDSHAKE_TIMEOUT_S + 1.5
        assert str(await listener.failure()).endswith("no handshake within 2 s")
        await stream.aclose()


@pytest.mark.parametrize(
    "garbage", [b"\xff\xff\xff\xff", b"GET / HTTP/1.1\r\n\r\n", frame(b"\xc1"), frame(b"\x92\x0b\x05")]
)
async def test_garbage_is_refused_with_the_reason(garbage: bytes) -> None:
    """A length of 4 GiB, another protocol, broken msgpack, a message too early: each is told why, at once."""
    async with listening() as listener:
        stream = await raw(listener.port)
        await stream.send_all(garbage)
        assert (await read_all(stream))[4:7] == b"\x95\x05\x09"  # a Refusal with PROTOCOL
        await stream.aclose()
        failure = await listener.failure()
        assert isinstance(failure, LinkFailed) and failure.kind == "protocol"


async def test_a_refusal_outlives_what_the_peer_still_sends() -> None:
    """Bytes that nobody reads would make TCP reset the connection, and the reason would be lost."""
    async with listening() as listener:
        stream = await raw(listener.port)
        await stream.send_all(frame(b"\xc1") + bytes(400_000))
        await listener.failure()
        assert (await read_all(stream))[4:7] == b"\x95\x05\x09"
        await stream.aclose()


@pytest.mark.parametrize("garbage", [b"\xff\xff\xff\xff", frame(b"\xc1"), frame(b"\x9d\x01")])
async def test_garbage_on_a_proven_link_ends_it_with_the_reason(tls: Tls | None, garbage: bytes) -> None:
    """The peer is told what it broke; what came before the garbage was received."""
    async with linked(tls) as (ours, theirs):
        ours.send(Pong(1))
        ours.send_frames(garbage)
        assert await received(theirs, 1) == [Pong(1)]
        assert ((await ending(theirs)).code, (await ending(ours)).code) == (Code.PROTOCOL, Code.PROTOCOL)


async def test_an_unknown_message_does_not_cost_the_link(tls: Tls | None) -> None:
    """A number of a newer version is answered with an Error, and the link goes on."""
    async with linked(tls) as (ours, theirs):
        ours.send_frames(frame(b"\x91\xcc\xc8"))
        ours.send(Pong(1))
        assert await received(theirs, 1) == [Pong(1)]
        (error,) = await received(ours, 1)
        assert (type(error).__name__, error.code) == ("Error", Code.UNKNOWN_MESSAGE)  # type: ignore[attr-defined]


async def test_a_peer_that_stops_reading_loses_its_link(tls: Tls | None) -> None:
    """What waits for it is bounded; the sender goes on at once and knows why."""
    async with linked(tls) as (ours, theirs):
        for number in range(400):
            ours.send(Update(number, "lan1", bytes(60_000)))
            assert ours.queued_bytes <= limits.OUTBOUND_BYTES_MAX
        assert ours.closed is not None and ours.closed.code is Code.SLOW_READER
        assert not ours.closed.by_peer
        assert (await ending(ours)).code is Code.SLOW_READER
        assert (await ending(theirs)).code is None


async def test_a_peer_that_vanishes_is_noticed_at_once(tls: Tls | None) -> None:
    """A reset or an end without a farewell has no code, and counts as the peer's own doing."""
    async with linked(tls) as (ours, theirs):
        ours._transport.close()  # as the kernel does for a killed process
        end = await ending(theirs)
        assert (end.code, end.by_peer) == (None, True)
        theirs.send(Pong(1))


async def test_truncated_tls_is_told_from_an_end_in_order(self_made: Tls) -> None:
    """A stream cut without TLS's closing alert is called cut off."""
    async with linked(self_made) as (ours, theirs):
        ours._transport.finish()
        end = await ending(theirs)
        assert (end.code, end.text) == (None, "cut off: TLS was not closed")


async def test_spoiled_tls_ends_the_link(self_made: Tls) -> None:
    """Bytes changed on the way are noticed by TLS, and the peer is sent its alert."""
    async with linked(self_made) as (ours, theirs):
        ours._transport.send(b"\x17\x03\x03\x00\x20" + bytes(32))
        end = await ending(theirs)
        assert end.text.startswith("TLS failed") and not end.by_peer
        assert "TLS failed" in (await ending(ours)).text


async def test_old_tls_is_refused(self_made: Tls) -> None:
    """TLS 1.2 is not spoken."""
    context = any_client()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    async with listening(tls=self_made) as listener:
        stream = trio.SSLStream(await raw(listener.port), context)
        with pytest.raises(trio.BrokenResourceError):
            await stream.do_handshake()
        await trio.aclose_forcefully(stream)
        failure = await listener.failure()
        assert isinstance(failure, LinkFailed) and failure.kind == "protocol"


def test_a_link_has_a_name_for_people(self_made: Tls) -> None:
    """Its repr says who is at the other end, and whether it is open."""

    async def main() -> str:
        async with linked(self_made) as (ours, _):
            return repr(ours)

    assert trio.run(main).startswith("<Link agent lan1/1 at 127.0.0.1:")
