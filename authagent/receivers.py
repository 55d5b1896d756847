"""Who is told what happens: each [[webhook]] of the file, with the files that it names read.

Rules of this file: what is wrong is MistakesFound, as with every other setting; nothing secret is in a repr or error.
"""

from pathlib import Path

import attrs

from authagent.config import AgentSetup
from protocol import secret
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


def read(made: AgentSetup) -> tuple[Receiver, ...]:
    """Every receiver, in the order of the file. Raises MistakesFound. Blocks on the disk."""
    entries = enumerate(made.configuration.webhooks, 1)
    return tuple(
        Receiver(entry.url, entry.events, _secrets(made, entry), _authority(made, entry, number))
        for number, entry in entries
    )


def _secrets(made: AgentSetup, entry: WebhookEntry) -> Secrets:
    return secret.parse(entry.secret) if entry.secret else secret_file.read(made.file(entry.secret_file))


def _authority(made: AgentSetup, entry: WebhookEntry, number: int) -> str:
    if not entry.authority:
        return ""
    path = made.file(entry.authority)
    try:
        return Path(path).read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not PEM"
        raise MistakesFound("", [Mistake(f"[[webhook]] {number} authority", f"{path}: {reason}")]) from None
