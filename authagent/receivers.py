"""Who is told what happens: each [[webhook]] of the file, with the files that it names read.

Rules of this file: what is wrong is MistakesFound, as with every other setting; nothing secret is in a repr or error.
"""

from pathlib import Path

import attrs

from protocol import places, secret
from protocol.configuration import Configuration
from protocol.io import secret_file
from protocol.mistakes import Mistake, MistakesFound
from protocol.secret import Secrets
from protocol.sections import WebhookEntry


@attrs.frozen
class Receiver:
    """One receiver. Two are equal when nothing about them differs."""

    url: str = attrs.field(repr=False)
    events: tuple[str, ...]
    secrets: Secrets
    authority: str = ""
    """The certificates in PEM that may vouch for it; empty for those of the system."""


def read(found: Configuration) -> tuple[Receiver, ...]:
    """Every receiver, in the order of the file. Raises MistakesFound. Blocks on the disk."""
    return tuple(read_one(found, number, entry) for number, entry in enumerate(found.webhooks, 1))


def read_one(found: Configuration, number: int, entry: WebhookEntry) -> Receiver:
    """The receiver that stands at this place of the file. Raises MistakesFound. Blocks on the disk."""
    return Receiver(entry.url, entry.events, _secrets(found, entry), _authority(found, entry, number))


def _secrets(found: Configuration, entry: WebhookEntry) -> Secrets:
    if entry.secret:
        return secret.parse(entry.secret)
    return secret_file.read(places.beside(found.path, entry.secret_file))


def _authority(found: Configuration, entry: WebhookEntry, number: int) -> str:
    if not entry.authority:
        return ""
    path = places.beside(found.path, entry.authority)
    try:
        return Path(path).read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not PEM"
        raise MistakesFound("", [Mistake(f"[[webhook]] {number} authority", f"{path}: {reason}")]) from None
