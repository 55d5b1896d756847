"""The looks that all pages share."""

import re

from protocol.io.http.look import look


def test_it_asks_for_nothing_elsewhere_and_knows_light_and_dark() -> None:
    """No import, no font, no picture; it may stand in a document as it is."""
    assert "prefers-color-scheme: dark" in look()
    assert not re.search(r"https?://|@import|url\(|<", look())
