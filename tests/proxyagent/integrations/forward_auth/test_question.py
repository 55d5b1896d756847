"""What is read of a request, and what is not."""

import pytest

from proxyagent.integrations.forward_auth import question
from proxyagent.integrations.forward_auth.question import Front
from tests.proxyagent.integrations.forward_auth.asked import request

PAGE = {"x_forwarded_proto": "https", "x_forwarded_host": "a.test", "x_forwarded_uri": "/x?a=b"}


@pytest.mark.parametrize(
    ("target", "front"),
    [
        ("/auth", Front.PASSES_ON),
        ("/auth?a=b", Front.PASSES_ON),
        ("/auth/", Front.PASSES_ON),
        ("/auth/auth401/x?/auth401", Front.PASSES_ON),
        ("/auth401", Front.TAKES_401),
        ("/auth401/x?y", Front.TAKES_401),
        ("/", None),
        ("/authority", None),
        ("/auth402", None),
        ("//auth", None),
        ("*", None),
        ("http://a.test/auth", None),
    ],
)
def test_the_beginning_of_the_path_says_how_a_refusal_must_look(target: str, front: Front | None) -> None:
    """Envoy appends its client's path and query to the one it was given: they change nothing."""
    assert question.front_of(target.encode()) is front


def test_a_list_may_come_in_several_headers_and_of_others_the_last_counts() -> None:
    """Fronts append: what a client has sent stands in front of what they say."""
    more = b"X-Forwarded-For: 2.2.2.2\r\nX-Forwarded-Host: b.test\r\ncookie: c=d\r\nRemote-User: mallory\r\n"
    found = question.headers_of(request(more=more, x_forwarded_for="1.1.1.1", x_forwarded_host="a.test", cookie="a=b"))

    assert question.forwarded_for(found) == ["1.1.1.1", "2.2.2.2"]
    assert found[b"x-forwarded-host"] == b"b.test"
    assert question.cookie(found, b"a") == "b" and question.cookie(found, b"c") == "d"
    assert b"remote-user" not in found


@pytest.mark.parametrize(
    ("cookies", "value"),
    [
        ("sid=a", "a"),
        ("other=1; sid=a=b; another", "a=b"),
        ("sid=a; sid=b", "b"),
        ("xsid=a; sid2=b; SID=c", None),
        ("sid", ""),
        (";;;=;= ;sid = a", None),
        ("", None),
    ],
)
def test_a_cookie_is_found_among_rubbish(cookies: str, value: str | None) -> None:
    """Names are taken whole; of two the last one counts."""
    assert question.cookie(question.headers_of(request(cookie=cookies)), b"sid") == value


@pytest.mark.parametrize(
    ("method", "headers", "is_one"),
    [
        ("GET", {"accept": "text/html,*/*;q=0.8"}, True),
        ("GET", {"accept": "Text/HTML", "x_forwarded_method": "GET"}, True),
        ("GET", {"accept": "text/html", "x_forwarded_method": "POST"}, False),
        ("POST", {"accept": "text/html"}, False),
        ("GET", {"accept": "application/json"}, False),
        ("GET", {}, False),
    ],
)
def test_a_browser_is_whoever_gets_html(method: str, headers: dict[str, str], is_one: bool) -> None:
    """The method is the client's, which all but Envoy tell in a header."""
    asked = request(method=method, **headers)
    assert question.is_browser(asked, question.headers_of(asked)) is is_one


@pytest.mark.parametrize(
    ("changed", "origin"),
    [
        ({}, b"https://a.test"),
        ({"x_forwarded_proto": "http", "x_forwarded_host": "[fd00::1]:8080"}, b"http://[fd00::1]:8080"),
        ({"x_forwarded_proto": "javascript"}, None),
        ({"x_forwarded_proto": "https, http"}, None),
        ({"x_forwarded_host": "a.test, b.test"}, None),
        ({"x_forwarded_host": "user@a.test"}, None),
        ({"x_forwarded_host": "a.test/path"}, None),
        ({"x_forwarded_host": "a" * 254}, None),
        ({"x_forwarded_host": ""}, None),
    ],
)
def test_a_host_is_what_the_front_says_or_nothing(changed: dict[str, str], origin: bytes | None) -> None:
    """Hostile values give none, and no error."""
    assert question.origin(question.headers_of(request(**{**PAGE, **changed}))) == origin


@pytest.mark.parametrize(
    ("changed", "page"),
    [
        ({}, b"/x?a=b"),
        ({"x_forwarded_method": "HEAD"}, b"/x?a=b"),
        ({"x_forwarded_method": "POST"}, None),
        ({"x_forwarded_uri": "x"}, None),
        ({"x_forwarded_uri": "https://b.test/"}, None),
        ({"x_forwarded_uri": "/" + "x" * 2_048}, None),
        ({"x_forwarded_uri": b"/\xff\xfe"}, b"/\xff\xfe"),
    ],
)
def test_a_page_is_what_the_front_says_or_nothing(changed: dict[str, str], page: bytes | None) -> None:
    """What nobody could come back to by a GET is none."""
    asked = request(**{**PAGE, **changed})
    assert question.page(asked, question.headers_of(asked)) == page
