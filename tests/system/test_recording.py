"""What looks for passwords finds them: in every disguise, wherever they stand."""

import html
import json
from base64 import b64encode
from urllib.parse import quote_plus

import pytest

from tests.system.recording import finds

SECRET = "Zebra&Quokka=77 Straße"


@pytest.mark.parametrize("offset", range(6))
def test_base64_is_seen_through_at_every_offset(offset: int) -> None:
    """Whatever stands before and behind it."""
    assert finds(SECRET, b64encode(b"x" * offset + SECRET.encode() + b"y" * offset))


def test_other_disguises_are_seen_through() -> None:
    """Forms, pages, JSON, hex; and what is not there is not found."""
    plain = SECRET.encode()
    for disguised in (plain, plain.hex().encode(), quote_plus(SECRET).encode(), html.escape(SECRET).encode(),
                      json.dumps({"a": SECRET}).encode(), SECRET.encode("utf-16-le")):  # fmt: skip
        assert finds(SECRET, b"before" + disguised + b"after")
    assert not finds(SECRET, b"Zebra&Quokka" + b64encode(b"something else of some length"))
