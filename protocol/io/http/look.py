"""The looks that all pages of ours share, as a style sheet, read once."""

from functools import cache
from importlib import resources


@cache
def look() -> str:
    """The style sheet. Blocks on the disk at its first call."""
    return resources.files("protocol.io.http").joinpath("look.css").read_text(encoding="utf-8")
