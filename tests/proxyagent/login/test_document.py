"""The pages as documents."""

import re
from base64 import b64encode
from hashlib import sha256

import pytest

from protocol.key import key
from proxyagent.login.document import Paper, Place, style_source
from proxyagent.login.texts import Texts

PAPER = Paper("en", Texts().choose("en")[1], "a token")


@pytest.mark.parametrize(
    ("its_key", "named"),
    [
        ("10.0.0.1", "A device at 10.0.0.1"),
        ("2001:db8::1", "A device at 2001:db8::1"),
        (key(cookie="x"), "Browser 2d71"),
        (key(address="10.0.0.1", cookie="x"), "Browser 2d71, A device at 10.0.0.1"),
        ("badge 4711", "Another kind of sign-in"),
        ("a secret+cookie:xyz", "Another kind of sign-in"),
    ],
)
def test_keys_are_named_harmlessly(its_key: str, named: str) -> None:
    """An address, four digits of a hash, or that it is something else; never the key itself."""
    page = PAPER.signed_in("alice", [Place("p:0:1", its_key, "lan1", 60.0, here=False)], "")
    assert f"<b>{named}</b>" in page
    assert its_key in named or its_key not in page


def test_what_others_chose_is_text() -> None:
    """Users, sites, addresses to go on to and troubles: none of them can be HTML."""
    evil = '"><script>alert(1)</script>'
    place = Place(evil, evil, evil, 0.0, here=True)
    for page in (PAPER.sign_in(evil, evil, evil, evil), PAPER.signed_in(evil, [place], evil), PAPER.trouble(evil),
                 PAPER.going_on(evil, evil)):  # fmt: skip
        assert "<script" not in page and "&gt;&lt;script&gt;" in page


def test_a_field_that_must_be_filled_has_the_focus() -> None:
    """The name first; after a wrong password that."""
    assert re.search(r'id="user"[^>]*autofocus', PAPER.sign_in(""))
    assert re.search(r'id="password"[^>]*autofocus', PAPER.sign_in("", "No.", user="alice"))


def test_the_style_sheet_is_the_one_that_the_policy_names() -> None:
    """Otherwise browsers would not use it; it asks for nothing from elsewhere, and knows light and dark."""
    (style,) = re.findall("<style>(.*)</style>", PAPER.trouble("x"), flags=re.DOTALL)
    assert style_source() == f"'sha256-{b64encode(sha256(style.encode()).digest()).decode()}'"
    assert not re.search(r"https?://|@import|url\(", style) and "prefers-color-scheme: dark" in style
    assert "<" not in style
