"""Style sheet, script and icon."""

import re

from authagent.page import assets


def test_files_are_complete_and_ask_for_nothing_elsewhere() -> None:
    """No import, no font, no picture, no other host."""
    loaded = assets.load()
    assert set(loaded.files) == set(assets.KINDS)
    for name, content in loaded.files.items():
        text = content.decode().replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?://|@import|url\(|eval\(|new Function", text), name


def test_an_address_changes_with_the_content() -> None:
    """So that a browser may keep a file for a year."""
    one, other = (assets.Assets({"page.css": content}) for content in (b"a", b"b"))
    assert one.address("page.css") != other.address("page.css")
    assert one.address("page.css").startswith("/assets/page.css?")


def test_colours_for_light_and_dark_and_for_those_who_want_no_motion() -> None:
    """The style sheet asks what its reader prefers."""
    css = assets.load().files["page.css"].decode()
    assert "prefers-color-scheme: dark" in css and "prefers-reduced-motion" in css
