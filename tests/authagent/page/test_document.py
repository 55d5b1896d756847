"""Whole documents: one style sheet, one script, nothing inline, nothing from elsewhere."""

import re

from authagent.page import assets, document
from authagent.page.document import Shown
from authagent.page.listing import Visitor
from protocol.io.http.markup import element
from tests.protocol.io.http.test_markup import read

ASSETS = assets.load()


def shown(visitor: Visitor) -> str:
    parts = dict.fromkeys(("headline", "picture", "numbers", "about"), "<p>part</p>")
    page = Shown(
        title="agent 1 of lan1",
        parts=parts,
        visitor=visitor,
        query='"><x>',
        sessions=element("p", None, "sessions"),
        answer=None,
        history=None,
        elsewhere="",
    )
    return document.status_page(page, ASSETS)


def test_nothing_is_inline_and_nothing_comes_from_elsewhere() -> None:
    """What the Content-Security-Policy forbids is not there to be forbidden."""
    asking = document.sign_in_page("t", "token", "wrong", True, ASSETS)
    for page in (shown(Visitor(token="t")), shown(Visitor()), asking):
        assert not re.search(r"\son\w+=|\sstyle=|javascript:|https?://|<style|<iframe", page)
        assert re.findall(r"<script[^>]*>(.*?)</script>", page) == [""]
        sources = re.findall(r'(?:src|href)="([^"]*)"', page)
        assert all(each.startswith(("/", "#")) for each in sources)


def test_the_parts_stand_in_their_order() -> None:
    """First the sentence, then picture, numbers, people."""
    page = shown(Visitor())
    places = [page.index(f'id="{name}"') for name in ("headline", "picture", "numbers", "people", "about")]
    assert places == sorted(places)
    assert '"><x>' not in page


def test_who_may_do_what() -> None:
    """A reader is asked to sign in; who has signed in can sign out, by a form with the token."""
    reader, administrator = shown(Visitor()), shown(Visitor(token="its token"))
    assert 'href="/sign-in"' in reader and "To log anybody out, sign in." in reader
    assert 'action="/sign-out"' in administrator and "its token" in administrator


def test_the_page_that_asks_for_the_password() -> None:
    """It carries its token and what was wrong, or says how there comes to be a password."""
    asked = document.sign_in_page("agent 1 of lan1", "its token", "That is <not> it", True, ASSETS)
    reader = read(asked)
    assert "its token" in reader.values and "That is <not> it" in reader.text
    assert 'autocomplete="current-password"' in asked
    assert "authagent passwd" in document.sign_in_page("t", "", "", False, ASSETS)
