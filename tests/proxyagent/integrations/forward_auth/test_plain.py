"""Plain heads: what is read without h11 is what h11 would have read, and the fronts' own questions are plain."""

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxyagent.integrations.forward_auth import plain
from proxyagent.integrations.forward_auth.plain import HEADER_LINES_MAX, NOT_PLAIN, Request
from tests.proxyagent.integrations.forward_auth.asked import COOKIE, written

NAMES = st.sampled_from([b"Host", b"X-Forwarded-For", b"cookie", b"X_y", b"", b"a b", *sorted(NOT_PLAIN)])
VALUES = st.one_of(st.sampled_from([b"a", b"a b", b"", b" a", b"a ", b"a\tb", b"5", b"close", b"chunked"]), st.binary())
LINES = st.builds(b"%b%b%b".__mod__, st.tuples(NAMES, st.sampled_from([b": ", b":", b" : ", b":  "]), VALUES))
FIRST_LINES = st.builds(
    b"%b %b %b".__mod__,
    st.tuples(
        st.sampled_from([b"GET", b"POST", b"CONNECT", b"get", b""]),
        st.sampled_from([b"/auth", b"/", b"*", b"http://x/", b"/\xe4", b"/a b", b""]),
        st.sampled_from([b"HTTP/1.1", b"HTTP/1.0", b"HTTP/2.0", b""]),
    ),
)
HEADS = st.builds(
    lambda first, lines, end, more: b"\r\n".join([first, b"Host: auth", *lines]) + end + more,
    FIRST_LINES,
    st.lists(LINES, max_size=4),
    st.sampled_from([b"\r\n\r\n", b"\r\n", b"\n\n", b""]),
    st.sampled_from([b"", b"", b"GET /", b"\r\n"]),
)


def read_by_h11(data: bytes) -> Request | None:
    """The request if these bytes are one and no more, after which the connection goes on."""
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(data)
    try:
        event, end = connection.next_event(), connection.next_event()
    except h11.RemoteProtocolError:
        return None
    whole = isinstance(end, h11.EndOfMessage) and connection.their_state is h11.DONE
    if not isinstance(event, h11.Request) or not whole or connection.trailing_data != (b"", False):
        return None
    return Request(event.method, event.target, list(event.headers))


@given(HEADS)
def test_h11_reads_the_same(data: bytes) -> None:
    """Whatever is taken for plain, however the bytes were made, is one whole request to h11 too, and the same."""
    found = plain.read(data)
    assert found is None or found == read_by_h11(data)


@given(st.data(), st.binary(max_size=3))
def test_h11_reads_the_same_of_what_was_spoiled(data: st.DataObject, spoiled: bytes) -> None:
    """A plain head with some bytes of it changed is read as by h11, or left to it."""
    head = written("/auth401/x?y=1", x_forwarded_for="192.0.2.7, 10.0.0.1", cookie=f"__Host-login={COOKIE}")
    place = data.draw(st.integers(0, len(head)))
    head = head[:place] + spoiled + head[place + data.draw(st.integers(0, 3)) :]
    found = plain.read(head)
    assert found is None or found == read_by_h11(head)


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_what_fronts_ask_is_plain(method: str) -> None:
    """The headers of the four fronts, in any case, with blanks within."""
    data = written("/auth", method, x_forwarded_for="192.0.2.7, 10.0.0.1", cookie="a=1; b=2", accept="text/html, */*")
    found = plain.read(data)
    assert found == read_by_h11(data)
    assert found is not None and (b"x-forwarded-for", b"192.0.2.7, 10.0.0.1") in found.headers


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"GET /auth HTTP/1.1\r\n\r\n",
        written(more=b"Host: another\r\n"),
        written(more=b"Connection: close\r\n"),
        written(content_length="0"),
        written(expect="100-continue"),
        written(more=b"A: \r\n"),
        written(more=b"A: b\r\n c\r\n"),
        written(method="CONNECT"),
        written(more=b"A: b\r\n" * HEADER_LINES_MAX),
        written() + written(),
        written()[:-1],
    ],
)
def test_the_rest_is_left_to_h11(data: bytes) -> None:
    """No host or two, what decides how to go on, what is empty, folded, too much, too little or more than one."""
    assert plain.read(data) is None
