"""Style sheet, script and icon of the page, read once; their addresses change with their content."""

import hashlib
from importlib import resources

import attrs

from protocol.io.http.look import look

KINDS = {"page.css": "text/css", "page.js": "text/javascript", "icon.svg": "image/svg+xml"}


@attrs.frozen
class Assets:
    """The files by name."""

    files: dict[str, bytes]

    def address(self, name: str) -> str:
        """Where a browser gets this file, for as long as it is this file."""
        return f"/assets/{name}?{hashlib.sha256(self.files[name]).hexdigest()[:12]}"


def load() -> Assets:
    """Reads the files. Blocks on the disk."""
    folder = resources.files("authagent.page").joinpath("files")
    files = {name: folder.joinpath(name).read_bytes() for name in KINDS}
    return Assets({**files, "page.css": look().encode() + files["page.css"]})
