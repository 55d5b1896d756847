"""One connection, byte by byte: what is a request is answered, what is none ends it with one refusal."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxyagent.integrations.forward_auth import conversation
from proxyagent.integrations.forward_auth.answer import answer
from proxyagent.integrations.forward_auth.conversation import Conversation
from proxyagent.integrations.forward_auth.doors import READ_BYTES_MAX
from proxyagent.integrations.forward_auth.plain import Request
from tests.proxyagent.integrations.forward_auth.asked import read, written


def said(request: Request) -> bytes:
    """An answer that says what was asked."""
    return answer(200, [("Target", request.target.decode("latin-1"))])


def targets(data: bytes) -> list[str]:
    """What the answers say."""
    return [headers["target"] for status, headers in read(data) if status == 200]


def test_one_request_after_another_is_answered() -> None:
    """On one connection, and none is waited for in between."""
    talk = Conversation(said)
    for number in range(3):
        assert targets(talk.receive(written(f"/{number}"))) == [f"/{number}"]
        assert not talk.waiting and not talk.over
    assert talk.receive(b"") == b"" and talk.over


def test_a_request_may_come_in_pieces_and_several_in_one() -> None:
    """Byte by byte, it is answered with its last; three and a half at once are three answers, and then the fourth."""
    talk = Conversation(said)
    data = written("/slow")
    for place in range(len(data) - 1):
        assert talk.receive(data[place : place + 1]) == b"" and talk.waiting
    assert targets(talk.receive(data[-1:])) == ["/slow"]

    assert targets(talk.receive(data * 3 + data[:10])) == ["/slow"] * 3 and talk.waiting
    assert targets(talk.receive(data[10:])) == ["/slow"] and not talk.waiting


@pytest.mark.parametrize("line", [b"GET /x HTTP/1.0\r\n\r\n", written("/x", connection="close")])
def test_a_front_that_wants_no_more_is_answered_and_left(line: bytes) -> None:
    """HTTP/1.0 and Connection: close."""
    talk = Conversation(said)
    assert targets(talk.receive(line)) == ["/x"] and talk.over


@pytest.mark.parametrize("form", [{"content_length": "5"}, {"transfer_encoding": "chunked"}, {"content_length": "0"}])
def test_a_body_is_dropped_and_the_connection_goes_on(form: dict[str, str]) -> None:
    """The answer comes when it is over, so that it is not taken for the next request."""
    body = {"5": b"a\nb\nc", "0": b""}.get(form.get("content_length", ""), b"5\r\na\nb\nc\r\n0\r\n\r\n")
    talk = Conversation(said)
    if body:
        assert talk.receive(written("/x", "POST", **form)) == b"" and talk.waiting
        assert targets(talk.receive(body)) == ["/x"]
    else:
        assert targets(talk.receive(written("/x", "POST", **form))) == ["/x"]
    assert targets(talk.receive(written("/y"))) == ["/y"] and not talk.over


def test_an_upgrade_is_a_request_like_any_other() -> None:
    """WebSockets are the front's business: the connection goes on as it was."""
    talk = Conversation(said)
    for _ in range(2):
        data = written("/x", connection="Upgrade", upgrade="websocket")
        assert targets(talk.receive(data)) == ["/x"] and not talk.over


HOSTILE = {
    "no HTTP": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
    "no host": (b"GET /auth HTTP/1.1\r\n\r\n", 400),
    "a forged line": (written(more=b"X-Forwarded-For : 1.1.1.1\r\n"), 400),
    "a folded NUL": (written(more=b"Cookie: a\x00b\r\n"), 400),
    "two lengths": (written(more=b"Content-Length: 1\r\nContent-Length: 2\r\n"), 400),
    "another version": (b"GET / HTTP/2.0\r\nHost: x\r\n\r\n", 505),
    "a tunnel": (b"CONNECT a.test:443 HTTP/1.1\r\nHost: a.test\r\n\r\n", 405),
    "a body that waits": (written(method="POST", content_length="5", expect="100-continue"), 417),
    "a long head": (b"GET /auth HTTP/1.1\r\nHost: x\r\nCookie: " + b"x" * conversation.HEADER_BYTES_MAX, 431),
    "a long cookie": (written(cookie="x" * 2 * conversation.HEADER_BYTES_MAX), 431),
    "many headers": (written(more=b"a:b\r\n" * conversation.HEADER_LINES_MAX), 431),
    "a long body": (
        written(method="POST", content_length="999999999") + b"x" * (conversation.BODY_BYTES_MAX + 1),
        413,
    ),
    "a body without an end": (
        written(method="POST", transfer_encoding="chunked") + b"fffff\r\n" + b"x" * (conversation.BODY_BYTES_MAX + 1),
        413,
    ),
}


@pytest.mark.parametrize(("data", "status"), HOSTILE.values(), ids=HOSTILE.keys())
@pytest.mark.parametrize("piece", [1_000, READ_BYTES_MAX])
def test_what_is_hostile_gets_one_refusal_and_is_over(data: bytes, status: int, piece: int) -> None:
    """Whatever is sent, in small pieces or as large as they are read: one answer, no 200, and that is the end."""
    talk = Conversation(said)
    sent = b""
    for place in range(0, len(data), piece):
        sent += talk.receive(data[place : place + piece])
        if talk.over:
            break
    ((found, headers),) = read(sent)

    assert talk.over and headers["connection"] == "close"
    assert found == status


def test_more_requests_at_once_than_any_front_sends_are_refused() -> None:
    """They share the bound of lines, so what one read can cost is bounded, too."""
    talk = Conversation(said)
    assert [status for status, _ in read(talk.receive(written() * conversation.HEADER_LINES_MAX))] == [431]


def test_who_leaves_in_mid_request_is_not_answered_with_a_permission() -> None:
    """Half a request is none."""
    talk = Conversation(said)
    talk.receive(written()[:-2])
    assert all(status != 200 for status, _ in read(talk.receive(b""))) and talk.over


def test_who_is_too_slow_is_told_so() -> None:
    """The one who holds the clock decides when."""
    talk = Conversation(said)
    talk.receive(written()[:-2])
    assert [status for status, _ in read(talk.time_out())] == [408] and talk.over


def test_a_mistake_of_ours_is_the_callers() -> None:
    """It is not taken for one of the front's: the connection must be closed, and nothing sent."""

    def fail(request: Request) -> bytes:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        Conversation(fail).receive(written())


PIECES = st.binary(max_size=60) | st.sampled_from([written("/x"), b"\r\n", b"GET /auth HTTP/1.1\r\n"])


@given(st.lists(PIECES, max_size=8))
def test_no_bytes_make_it_fail(pieces: list[bytes]) -> None:
    """Every answer is HTTP, and after `over` there is none."""
    talk = Conversation(said)
    for piece in pieces:
        if talk.over or not piece:
            break
        read(talk.receive(piece))
