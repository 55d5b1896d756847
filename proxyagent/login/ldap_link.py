"""One connection to an LDAP server: bind, search, StartTLS. sansldap speaks, trio carries.

Rules of this file:

- Deadlines are the caller's: everything here can be cancelled, and closes its connection then.
- Filters are values, never text put together: nothing that a user writes can change what is asked (LDAP injection).
- A certificate is checked, and its name, before anything is sent.
- What a server sends is bounded, and looked through before sansldap reads it: that takes minutes for a long number
  (each octet anew for all before it) and raises IndexError or RecursionError for odd ones, also before TLS has begun.
  No error quotes a name or a password.
- Results are compared by their numbers, never as sansldap's codes (see _code).

Source: RFC 4511; RFC 4513 sections 3.1 and 5.1.
"""

import ssl
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TypeVar

import attrs
import sansldap
import trio
from sansldap import LDAPResultCode as Code

from protocol.io.tls import reason

RECEIVED_BYTES_MAX = 1024 * 1024
"""In one conversation: a user with thousands of groups has some 100 KiB of them."""

_READ_BYTES = 16 * 1024

ELEMENTS_MAX = 1_000
"""Of one message: an entry has nine and one for each value. sansldap takes 10 us for each."""

_DEPTH_MAX = 16
_NUMBER_OCTETS_MAX = 4
_SEQUENCE, _INTEGER, _ENUMERATED = 0x30, 0x02, 0x0A
_NO_LDAP = "what it sends is no LDAP"

SUCCESS: int = Code.SUCCESS.value

WRONG_PASSWORD = frozenset(code.value for code in (
    Code.INVALID_CREDENTIALS, Code.INAPPROPRIATE_AUTHENTICATION, Code.INSUFFICIENT_ACCESS_RIGHTS,
    Code.UNWILLING_TO_PERFORM, Code.CONSTRAINT_VIOLATION, Code.NO_SUCH_OBJECT, Code.INVALID_DN_SYNTAX,
))  # fmt: skip
"""How servers refuse somebody: the password is wrong, there is none, or the account is locked or ended."""

Answer = TypeVar("Answer", sansldap.BindResponse, sansldap.ExtendedResponse, sansldap.SearchResultDone)


class LdapFailed(Exception):
    """The server did not answer as it should; one line."""


@attrs.frozen
class Server:
    """One server of a directory, as its URL names it."""

    host: str
    port: int
    tls: ssl.SSLContext | None = attrs.field(default=None, repr=False)
    """None: passwords go over the network as they are."""
    start_tls: bool = False
    """TLS begins inside the connection, instead of with it."""

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


@attrs.frozen
class Entry:
    """One entry of a directory: its name, and the texts of the attributes asked for, by names in small letters."""

    name: str
    attributes: Mapping[str, tuple[str, ...]]


class LdapLink:
    """A connection that is open; open_link makes it."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self.stream: trio.abc.Stream = stream
        self._client = sansldap.LDAPClient()
        self._waiting = bytearray()
        self._received_bytes = 0

    async def bind(self, name: str, password: str) -> bool:
        """Whether the password of an entry is right; whatever is asked next is asked as this entry, if so."""
        self._client.bind_simple(name, password)
        done, _ = await self._answer(sansldap.BindResponse)
        code = _code(done)
        if code != SUCCESS and code not in WRONG_PASSWORD:
            raise LdapFailed(f"the server answers a bind with {_named(done)}")
        return code == SUCCESS

    async def search(
        self, base: str, wanted: sansldap.LDAPFilter, attributes: Sequence[str], most: int = 0
    ) -> list[Entry]:
        """The entries below `base` that fit, `most` of them at most (0: all)."""
        self._client.search_request(base, filter=wanted, attributes=list(attributes), size_limit=most)
        done, found = await self._answer(sansldap.SearchResultDone)
        if _code(done) not in (SUCCESS, Code.SIZE_LIMIT_EXCEEDED.value):
            raise LdapFailed(f"the server answers a search with {_named(done)}")
        return [_entry(each) for each in found if isinstance(each, sansldap.SearchResultEntry)]

    async def begin_tls(self, server: Server) -> None:
        """Go on over TLS, from the start or by StartTLS."""
        assert server.tls is not None, "a server without TLS"
        if server.start_tls:
            self._client.extended_request(sansldap.ExtendedOperations.LDAP_START_TLS.value)
            done, _ = await self._answer(sansldap.ExtendedResponse)
            if _code(done) != SUCCESS:
                raise LdapFailed(f"the server refuses StartTLS: {_named(done)}")
            self._client = sansldap.LDAPClient()  # what else came before TLS could be anybody's, and is forgotten
            self._waiting.clear()
        stream = trio.SSLStream(self.stream, server.tls, server_hostname=server.host)  # noqa: TID251 - we only dial
        await stream.do_handshake()
        self.stream = stream

    async def _answer(self, kind: type[Answer]) -> tuple[Answer, list[sansldap.LDAPMessage]]:
        """Send what is to be sent; the message that ends the answer, and those before it."""
        await self.stream.send_all(self._client.data_to_send())
        before: list[sansldap.LDAPMessage] = []
        while True:
            data = await self.stream.receive_some(_READ_BYTES)
            self._received_bytes += len(data)
            if not data:
                raise LdapFailed("the server closed the connection")
            if self._received_bytes > RECEIVED_BYTES_MAX:
                raise LdapFailed(f"the server sends more than {RECEIVED_BYTES_MAX // 1024:,} KiB")
            self._waiting += data
            for whole in _cut(self._waiting):
                read = self._client.receive(whole)
                if len(read) != 1:  # something in it ends too early, and sansldap waits for more
                    raise LdapFailed(_NO_LDAP)
                if isinstance(read[0], kind):
                    return read[0], before
                before += read


@asynccontextmanager
async def open_link(server: Server) -> AsyncIterator[LdapLink]:
    """A connection to one server for the body of an `async with`, over TLS where the server is to have it.

    Raises LdapFailed, also for what goes wrong in the body's questions.
    """
    try:
        stream = await trio.open_tcp_stream(server.host, server.port)
        link = LdapLink(stream)
        try:
            if server.tls is not None:
                await link.begin_tls(server)
            yield link
        finally:
            await trio.aclose_forcefully(stream)
    except sansldap.LDAPError:
        raise LdapFailed(f"{server}: what it sends is no LDAP, or it ends the session") from None
    except (OSError, trio.BrokenResourceError) as error:
        raise LdapFailed(f"{server}: {reason(error)}") from None
    except LdapFailed as error:
        raise LdapFailed(f"{server}: {error}") from None


def _cut(waiting: bytearray) -> Iterator[bytes]:
    """The messages that have come whole, which are taken away, without controls: none was asked for."""
    while (found := _header(waiting, 0)) is not None:
        tag, start, end = found
        if tag != _SEQUENCE:
            raise LdapFailed(_NO_LDAP)
        if end > len(waiting):
            return
        message = bytes(waiting[:end])
        del waiting[:end]
        _look_through(message, start)
        asked = _header(message, start)
        said = asked and _header(message, asked[2])
        content = message[start : said[2] if said else end]
        yield bytes((_SEQUENCE, 0x84)) + len(content).to_bytes(4, "big") + content


def _look_through(message: bytes, start: int) -> None:
    """Raise LdapFailed for what is no message, or would keep its reader busy."""
    within, count = [(start, len(message), 0)], 0
    while within:
        place, end, depth = within.pop()
        while place < end:
            found, count = _header(message, place), count + 1
            if found is None or found[2] > end or count > ELEMENTS_MAX or depth > _DEPTH_MAX:
                raise LdapFailed(_NO_LDAP)
            tag, begins, place = found
            if tag in (_INTEGER, _ENUMERATED) and not 0 < place - begins <= _NUMBER_OCTETS_MAX:
                raise LdapFailed(_NO_LDAP)
            if tag & 0x20:
                within.append((begins, place, depth + 1))


def _header(data: bytes | bytearray, place: int) -> tuple[int, int, int] | None:
    """Tag, beginning and end of the element of BER at this place; None where its header is not whole."""
    head = data[place : place + 6]
    if len(head) < 2:
        return None
    octets = head[1] - 0x80 if head[1] & 0x80 else 0
    if head[0] & 0x1F == 0x1F or head[1] == 0x80 or octets > 4:  # a tag, or a length, that LDAP has not
        raise LdapFailed(_NO_LDAP)
    if len(head) < 2 + octets:
        return None
    length = int.from_bytes(head[2 : 2 + octets], "big") if octets else head[1]
    start = place + 2 + octets
    return head[0], start, start + length


def _entry(found: sansldap.SearchResultEntry) -> Entry:
    try:
        texts = {each.name.lower(): tuple(value.decode() for value in each.values) for each in found.attributes}
    except UnicodeDecodeError:
        raise LdapFailed("an attribute that was asked for is not text") from None
    return Entry(found.object_name, texts)


def _code(done: Answer) -> int:
    """The number of a result. Codes are not to be compared themselves: one that sansldap knows not equals SUCCESS."""
    return int(done.result.result_code.value)


def _named(done: Answer) -> str:
    return f"{done.result.result_code.name.lower()} ({_code(done)})"
