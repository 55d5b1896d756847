"""A form counts only when it came from our page: by its origin and by its token."""

import pytest
from starlette.requests import Request

from protocol.io.http.forms import Refused, fields

OURS = {"host": "page.example", "origin": "http://page.example"}


def request(body: bytes, **headers: str) -> Request:
    """A POST to http://page.example/."""

    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": body, "more_body": False}

    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items() if value]
    scope = {"type": "http", "method": "POST", "scheme": "http", "path": "/", "query_string": b"", "headers": raw}
    return Request({**scope, "server": ("page.example", 80)}, receive)


async def test_a_form_of_ours_gives_its_fields_without_the_token() -> None:
    """Each field once, decoded."""
    asked = request(b"token=t&user=J%C3%BCrgen&user=twice", **OURS, sec_fetch_site="same-origin")
    assert await fields(asked, "t") == {"user": "Jürgen"}


async def test_the_scheme_is_that_of_the_browser() -> None:
    """Behind a proxy that speaks TLS the request comes as http, and the browser says https."""
    with pytest.raises(Refused):
        await fields(request(b"token=t", host="page.example", origin="https://page.example"), "t")
    assert await fields(request(b"token=t", host="page.example", origin="https://page.example"), "t", "https") == {}


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        (403, {"origin": "http://evil.example"}),
        (403, {"origin": "null"}),
        (403, {"origin": ""}),
        (403, {"origin": "http://page.example:81"}),
        (403, {"origin": "http://["}),
        (403, {"origin": "htt\tp://page.example"}),
        (403, {"origin": "http://page.example/"}),
        (403, {"sec_fetch_site": "cross-site"}),
        (403, {"sec_fetch_site": "same-site"}),
    ],
)
async def test_a_form_from_elsewhere_is_refused(status: int, headers: dict[str, str]) -> None:
    """Whatever its token."""
    with pytest.raises(Refused) as caught:
        await fields(request(b"token=t", **{**OURS, **headers}), "t")
    assert caught.value.status == status


@pytest.mark.parametrize(
    ("body", "token", "status"),
    [
        (b"token=wrong", "t", 403),
        (b"user=a", "t", 403),
        (b"token=", "", 403),
        (b"&&&", "t", 400),
        (b"token=t&" + b"a=b&" * 20, "t", 400),
        (b"\xff\xfe=1", "t", 400),
    ],
)
async def test_what_is_no_form_of_ours_is_refused(body: bytes, token: str, status: int) -> None:
    """Without our token, or not to be read."""
    with pytest.raises(Refused) as caught:
        await fields(request(body, **OURS), token)
    assert caught.value.status == status


async def test_a_form_that_does_not_come_whole_is_refused() -> None:
    """Its sender has left: that is no mistake of ours, which would be an alarm in the log for each."""
    came = iter([{"type": "http.request", "body": b"token=t&us", "more_body": True}, {"type": "http.disconnect"}])

    async def receive() -> dict[str, object]:
        return next(came)

    with pytest.raises(Refused, match="the form came to an early end") as caught:
        await fields(Request(request(b"", **OURS).scope, receive), "t")
    assert caught.value.status == 400
