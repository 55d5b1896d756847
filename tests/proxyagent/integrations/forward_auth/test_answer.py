"""Answers are HTTP whatever a user is called, and the log-in page gets its address back."""

from urllib.parse import parse_qs, unquote, urlsplit

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxyagent.integrations.forward_auth import answer
from tests.proxyagent.integrations.forward_auth.asked import one


@pytest.mark.parametrize(
    ("user", "written"),
    [
        ("alice", "alice"),
        ("alice@example.org", "alice@example.org"),
        ("EXAMPLE\\alice", "EXAMPLE\\alice"),
        ("cn=Alice Smith,ou=people,dc=example", "cn=Alice Smith,ou=people,dc=example"),
        ("100%", "100%25"),
        ("Zoë", "Zo%C3%AB"),
        (" alice ", "%20alice%20"),
        ("alice\r\nRemote-User: root", "alice%0D%0ARemote-User: root"),
    ],
)
def test_a_name_stands_in_its_header_as_it_is_where_it_can(user: str, written: str) -> None:
    """What cannot is percent-encoded as UTF-8."""
    assert one(answer.allowed(user, ()))[1]["remote-user"] == written


@given(st.text(min_size=1), st.lists(st.text(min_size=1), max_size=5))
def test_any_name_and_any_groups_survive(user: str, groups: list[str]) -> None:
    """Unquoted, and the groups split at commas, they are what they were; there is one answer, and nothing more."""
    status, headers = one(answer.allowed.__wrapped__(user, (("groups", tuple(groups)),)))

    assert status == 200
    assert unquote(headers["remote-user"]) == user
    assert [unquote(each) for each in headers["remote-groups"].split(",") if each] == groups


def test_groups_are_there_even_if_there_are_none() -> None:
    """A front that copies the header then overwrites a forged one; a single text is one group."""
    assert one(answer.allowed("alice", ()))[1]["remote-groups"] == ""
    assert one(answer.allowed("alice", (("groups", "a,b"),)))[1]["remote-groups"] == "a%2Cb"
    assert one(answer.allowed("alice", (("groups", ("a", "b")), ("mail", "x"))))[1]["remote-groups"] == "a,b"


def test_a_cookie_to_hand_on_is_in_its_header() -> None:
    """Beside the names."""
    _, headers = one(answer.allowed_with_cookie("alice", (), "one-login=x; Path=/"))
    assert headers["set-cookie"] == "one-login=x; Path=/" and headers["remote-user"] == "alice"


def test_what_is_no_header_is_never_written() -> None:
    """h11 judges every value: better no answer than a forged one."""
    with pytest.raises(h11.LocalProtocolError):
        answer.answer(200, [("Set-Cookie", "a\r\nRemote-User: root")])


@pytest.mark.parametrize(
    ("location", "redirect", "status"),
    [("/login", True, 302), ("/login", False, 401), (None, True, 401), (None, False, 401)],
)
def test_a_refusal_redirects_only_where_there_is_a_place(location: str | None, redirect: bool, status: int) -> None:
    """Without a log-in page everybody gets 401; no cache keeps any of it."""
    found, headers = one(answer.refused(location, redirect=redirect))
    assert found == status and headers.get("location") == location
    assert headers["cache-control"] == "no-store"


@pytest.mark.parametrize("page", [b"/x?a=b&url=c#d", b"/%26\xff;'\"<>"])
@pytest.mark.parametrize(
    ("login_url", "before"),
    [
        ("/login/", "https://a.test/login/?url="),
        ("/in?a=b", "https://a.test/in?a=b&url="),
        ("https://login.test/in?from=auth", "https://login.test/in?from=auth&url="),
    ],
)
def test_the_log_in_page_gets_the_address_back(login_url: str, before: str, page: bytes) -> None:
    """Quoted once, so that it is one parameter, whatever it holds; to another host with the host that was asked."""
    location = answer.login_location(login_url, b"https://a.test", page)
    (back,) = parse_qs(urlsplit(location).query, encoding="latin-1")["url"]

    assert location.startswith(before) and location.isascii()
    assert back == ("" if login_url.startswith("/") else "https://a.test") + page.decode("latin-1")


def test_what_is_not_known_is_left_out() -> None:
    """Without a page there is none to come back to; without a host a path is the front's business."""
    assert answer.login_location("/login", b"https://a.test", None) == "https://a.test/login"
    assert answer.login_location("/login", None, b"/x") == "/login?url=%2Fx"
    assert answer.login_location("https://login.test/", None, b"/x") == "https://login.test/"
