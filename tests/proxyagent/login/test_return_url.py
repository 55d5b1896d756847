"""Where a browser may be sent after a login, and where not: by hand, and by any text at all."""

import html
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxyagent.login.return_url import LETTERS_MAX, host_of, safe

HOSTS = ("app.example", "*.apps.example", "10.0.0.7", "[::1]")


@pytest.mark.parametrize(
    "url",
    [
        "/", "/a/b?c=d&e=f#g", "/?next=//evil.example", "/a?copy=1&copy=2", "/a%2f%5c",
        "http://app.example", "https://app.example:8443/x?y#z", "HTTP://APP.EXAMPLE/", "http://app.example./",
        "https://a.apps.example/", "https://a.b.apps.example/", "http://10.0.0.7:81/", "http://[::1]:80/",
    ],
)  # fmt: skip
def test_paths_and_listed_hosts_are_let_through(url: str) -> None:
    """As they are."""
    assert safe(url, HOSTS) == url


@pytest.mark.parametrize(
    "url",
    [
        "", "a", "a/b", "?x", "#x", "//evil.example", "///evil.example", "/\\evil.example", "\\\\evil.example",
        "http://evil.example/", "https://app.example.evil.example/", "http://evilapps.example/",
        "http://apps.example/", "http://app.example@evil.example/", "http://x@app.example/", "http://app.example:x@e/",
        "http:app.example", "http:/app.example", "http:///app.example", "http:\\\\app.example", "//app.example/",
        "javascript:alert(1)", "JavaScript:alert(1)//http://app.example", "data:text/html,x", "ftp://app.example/",
        " http://app.example/", "/a b", "/a\tb", "\t//evil.example", "/\n/evil.example", "/a\x00", "/ä", "/\u2028",
        "/\uff0fevil.example", "http://app.example\uff0eevil.example/", "http://[::1", "http://app.example:99999/",
        "http://app.example:0/", "http://app.example../",
        "http://[::1].evil.example/", "http://[::1]x:80/", "/" + "a" * LETTERS_MAX,
    ],
)  # fmt: skip
def test_everything_else_is_nowhere(url: str) -> None:
    """Schemes, users, tabs, backslashes, other hosts and what only looks like ours."""
    assert safe(url, HOSTS) == ""


def test_what_squid_escapes_is_read() -> None:
    """`%u` is HTML-escaped, then URL-encoded; the query has undone the latter."""
    asked = "http://app.example/search?q=a&amp;l=&quot;b&quot;&amp;x=&#39;y&#39;"
    assert safe(asked, HOSTS) == "http://app.example/search?q=a&l=\"b\"&x='y'"


@pytest.mark.parametrize("asked", ["/&#47;evil.example", "/&#92;evil.example", "/&#9;/e", "&#106;avascript:x"])
def test_nothing_is_hidden_by_escapes(asked: str) -> None:
    """What is there after unescaping is what is judged."""
    assert safe(asked, HOSTS) == ""


def test_a_star_is_every_host_and_still_no_other_scheme() -> None:
    """For captive portals."""
    assert safe("http://anywhere.example/x", ("*",)) == "http://anywhere.example/x"
    assert safe("javascript://anywhere.example/%0aalert(1)", ("*",)) == ""
    assert safe("//anywhere.example/", ("*",)) == ""


def test_hosts_are_named_for_people() -> None:
    """With their port; a path has none."""
    assert (host_of("https://app.example:8443/x"), host_of("/x")) == ("app.example:8443", "")


@given(st.text() | st.text(alphabet="/\\:@.?#&;%htpsajvcripx0123 \t\n\u2044"))
def test_whatever_is_asked_the_host_is_ours_or_listed(asked: str) -> None:
    """For any text: a browser that follows the answer stays here or goes to app.example."""
    for given_text in (asked, html.escape(asked), f"http://app.example{asked}", f"/{asked}"):
        url = safe(given_text, ("app.example",))
        if url:
            found = urlsplit(url)
            here, listed = (found.scheme, found.hostname) == ("", None), found.scheme in ("http", "https")
            assert here or (listed and found.hostname in ("app.example", "app.example."))
            assert "\\" not in url and not url.startswith("//") and url.isascii() and url.isprintable()
