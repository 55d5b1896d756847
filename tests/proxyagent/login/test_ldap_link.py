"""One connection to an LDAP server that is not what it should be: every answer is one line, and bounded."""

import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial

import pytest
import sansldap
import trio

from proxyagent.login import ldap_link
from proxyagent.login.ldap_link import LdapFailed, Server, open_link

Answer = Callable[[trio.SocketStream], Awaitable[None]]

BUSY_S_MAX = 5.0
"""Of processor time, for what takes a fraction of a second; sansldap takes minutes."""

PASSWORD = "keep me out of every error"


@asynccontextmanager
async def serving(answer: Answer) -> AsyncIterator[Server]:
    """A server that answers each connection so, after its first request."""

    async def converse(stream: trio.SocketStream) -> None:
        await stream.receive_some(4096)
        try:
            await answer(stream)
        except trio.BrokenResourceError:
            pass  # we have left

    async with trio.open_nursery() as nursery:
        (listener,) = await nursery.start(partial(trio.serve_tcp, converse, 0, host="127.0.0.1"))
        yield Server("127.0.0.1", listener.socket.getsockname()[1])
        nursery.cancel_scope.cancel()


def sending(data: bytes, times: int = 1) -> Answer:
    """An answer of these bytes."""

    async def answer(stream: trio.SocketStream) -> None:
        for _ in range(times):
            await stream.send_all(data)

    return answer


async def fails(answer: Answer) -> str:
    """What a bind comes to."""
    async with serving(answer) as server:
        with pytest.raises(LdapFailed) as caught, trio.fail_after(15):
            async with open_link(server) as link:
                await link.bind("cn=someone", PASSWORD)
    told = str(caught.value)
    assert told.startswith("127.0.0.1:") and "\n" not in told and PASSWORD not in told
    return told


def answered(code: int, *, message_id: int = 1, tag: int = 0x61) -> bytes:
    """A result of one octet: a bind's by default, an extended one's with tag 0x78."""
    return bytes([0x30, 0x0C, 0x02, 0x01, message_id, tag, 0x07, 0x0A, 0x01, code, 0x04, 0x00, 0x04, 0x00])


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"", "closed the connection"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "no LDAP"),
        (b"\x30\x05\x02\x01\x01\x61\x00", "no LDAP"),
        (b"\x30\x84\x00\x00", "closed the connection"),
        (answered(0, message_id=7), "no LDAP"),
        (answered(52), "answers a bind with unavailable (52)"),
        (answered(85), "answers a bind with unknown 0x00000055 (85)"),
    ],
)
async def test_what_is_no_answer_is_one_line(data: bytes, told: str) -> None:
    """Nothing, other protocols, half a message, somebody else's answer, codes that mean trouble."""
    assert told in await fails(sending(data))


async def test_an_answer_without_end_is_left() -> None:
    """A message that says it has two gigabytes, and goes on and on."""
    told = await fails(sending(b"\x30\x84\x7f\xff\xff\xff" + b"\0" * 65_536, times=1_000))
    assert f"more than {ldap_link.RECEIVED_BYTES_MAX // 1024:,} KiB" in told


def message(*parts: bytes) -> bytes:
    """A whole message, or another sequence."""
    content = b"".join(parts)
    return b"\x30\x84" + len(content).to_bytes(4, "big") + content


BUSY = {
    "a long number": message(b"\x02\x84\x00\x0f\x00\x00" + b"\x7f" * 0x0F0000, answered(0)[5:]),
    "a long code": message(b"\x02\x01\x01\x61\x84\x00\x0f\x00\x06\x0a\x84\x00\x0f\x00\x00" + b"\x7f" * 0x0F0000),
    "a long tag": message(b"\x02\x01\x01\x61\x84\x00\x0f\x00\x01\x1f" + b"\xff" * 0x0F0000),
    "no number": message(b"\x02\x00", answered(0)[5:]),
    "many elements": message(b"\x02\x01\x01\x64\x84\x00\x0f\x00\x00" + b"\x04\x00" * 0x078000),
    "deep": message(b"\x02\x01\x01\x63\x82\x40\x00" + b"\xa2\x82\x20\x00" * 0x1000),
    "a length without end": message(b"\x02\x01\x01\x61\x80"),
}
"""What sansldap would take minutes for, or raise something else at."""


@pytest.mark.parametrize("what", BUSY)
async def test_what_would_keep_its_reader_busy_is_not_read(what: str) -> None:
    """It is no LDAP, before TLS as after it, at once."""
    began_s = time.process_time()
    assert "no LDAP" in await fails(sending(BUSY[what]))
    assert time.process_time() - began_s < BUSY_S_MAX


async def test_controls_are_left_out() -> None:
    """Nobody asked for any: one with a long number in it is not looked at, and the answer counts."""
    size = b"\x30\x84\x00\x08\x00\x08\x02\x84\x00\x08\x00\x00" + b"\x7f" * 0x080000 + b"\x04\x00"
    paged = b"\x04\x161.2.840.113556.1.4.319\x04\x84" + len(size).to_bytes(4, "big") + size
    control = b"\x30\x84" + len(paged).to_bytes(4, "big") + paged
    controls = b"\xa0\x84" + len(control).to_bytes(4, "big") + control
    async with serving(sending(message(answered(0)[2:], controls))) as server, open_link(server) as link:
        assert await link.bind("cn=someone", PASSWORD) is True


async def test_an_answer_may_come_octet_by_octet() -> None:
    """And several in one piece: an entry is an entry however it is cut."""
    entry = b"\x02\x01\x01\x64\x15\x04\x04cn=x\x30\x0d\x30\x0b\x04\x03uid\x31\x04\x04\x00\x04\x00"
    data = message(entry) * 2 + answered(0, tag=0x65)

    async def answer(stream: trio.SocketStream) -> None:
        for place in range(len(data) - 20):
            await stream.send_all(data[place : place + 1])
        await stream.send_all(data[len(data) - 20 :])

    async with serving(answer) as server, open_link(server) as link:
        found = await link.search("dc=x", sansldap.FilterPresent("uid"), ["uid"])
    assert [(each.name, each.attributes) for each in found] == [("cn=x", {"uid": ("", "")})] * 2


@pytest.mark.parametrize("code", [7, 15, 70, 85, 118, 123, 127])
async def test_a_code_that_nobody_knows_lets_nobody_in(code: int) -> None:
    """sansldap takes such a code for equal to success: a bind, a search and StartTLS must not."""
    assert "answers a bind with" in await fails(sending(answered(code)))
    async with serving(sending(answered(code, tag=0x78))) as plain:
        server = Server(plain.host, plain.port, ssl.create_default_context(), start_tls=True)
        with pytest.raises(LdapFailed, match="refuses StartTLS"):
            async with open_link(server):
                raise AssertionError("TLS was not begun")
    async with serving(sending(answered(code, tag=0x65))) as server:
        with pytest.raises(LdapFailed, match="answers a search with"):
            async with open_link(server) as link:
                await link.search("dc=x", sansldap.FilterPresent("uid"), ["uid"])


@pytest.mark.parametrize("code", [49, 48, 50, 53, 19])
async def test_ways_to_refuse_somebody_are_a_no(code: int) -> None:
    """A wrong password, none set, a locked or an expired account."""
    async with serving(sending(answered(code))) as server, open_link(server) as link:
        assert await link.bind("cn=someone", PASSWORD) is False


async def test_without_start_tls_nothing_else_is_said() -> None:
    """A server that refuses it, or somebody in between, learns no name and no password."""
    heard = bytearray()

    async def refuse(stream: trio.SocketStream) -> None:
        await stream.send_all(answered(2, tag=0x78))
        async for data in stream:
            heard.extend(data)

    async with serving(refuse) as plain:
        server = Server(plain.host, plain.port, ssl.create_default_context(), start_tls=True)
        with pytest.raises(LdapFailed, match="refuses StartTLS: protocol_error"):
            async with open_link(server) as link:
                await link.bind("cn=someone", PASSWORD)
    assert not heard


async def test_what_comes_before_tls_is_forgotten() -> None:
    """An answer to a bind that was put in ahead of TLS counts for nothing: TLS fails first."""
    forged = answered(0, tag=0x78) + answered(0, message_id=2)
    async with serving(sending(forged)) as plain:
        server = Server(plain.host, plain.port, ssl.create_default_context(), start_tls=True)
        with pytest.raises(LdapFailed):
            async with open_link(server) as link:
                await link.bind("cn=someone", PASSWORD)


async def test_text_that_is_none_is_told() -> None:
    """An attribute in other bytes than UTF-8."""
    entry = sansldap.SearchResultEntry(1, [], "cn=x", [sansldap.PartialAttribute("uid", [b"\xff"])])
    with pytest.raises(LdapFailed, match="not text"):
        ldap_link._entry(entry)
