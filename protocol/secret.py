"""The shared secret: its lines, its name on the wire, and whether it is strong enough.

Rules of this file:

- The content never appears in a repr, an error or a log. A line is named by its id, 4 bytes of a keyed hash: enough to
  tell lines apart, and nothing that helps to guess one.
- One or two lines, newest first. All are accepted, the dialler tries them in order; so a secret is changed without a
  break: add, copy, reload everywhere, drop, copy, reload (DESIGN section 5).
- The digest of tables is keyed from the oldest line, so that adding a line changes no digest.

Theory. SCRAM does not stop an active attacker who plays the listener from guessing offline, so only a secret with
enough chance in it is accepted: `authagent init` makes 256 bits. A hand-made one is judged by its length and by how
many different characters it has, which is no proof of strength but refuses what is surely weak.
"""

import hashlib
import hmac
import math
from collections import Counter
from itertools import pairwise
from typing import final

LINES_MAX = 2
"""The newest and the one that is being replaced."""

LINE_CHARACTERS_MIN = 20
"""20 random letters and digits are 119 bits; 128 random bits in base64 have 22."""

LINE_CHARACTERS_MAX = 512
"""A longer line is a file given by mistake."""

ENTROPY_BITS_MIN = 64.0
"""Length times the entropy of the line's own characters; below it a line is refused."""

ENTROPY_BITS_GOOD = 80.0
"""Below it `authagent check` warns. 32 random hex digits have more than 90 by this measure."""

_WORDS = ("secret", "password", "passwort", "changeme", "change-me", "example", "authagent", "qwerty", "12345678")


@final
class Secrets:
    """The lines of one secret file, newest first. Equal when their lines are."""

    __slots__ = ("_lines",)

    def __init__(self, lines: tuple[str, ...]) -> None:
        if not 1 <= len(lines) <= LINES_MAX:
            raise ValueError(f"a secret file has one or two lines, this one has {len(lines)}")
        if len(set(lines)) != len(lines):
            raise ValueError("both lines of the secret file are the same; keep one")
        self._lines = tuple(line.encode() for line in lines)

    @property
    def lines(self) -> tuple[bytes, ...]:
        """All lines in the order of the file, newest first."""
        return self._lines

    @property
    def newest(self) -> bytes:
        """The line that a dialler tries first."""
        return self._lines[0]

    @property
    def oldest(self) -> bytes:
        """The line that keys the digests of tables."""
        return self._lines[-1]

    def by_id(self, wanted: bytes) -> bytes | None:
        """The line with this id, or None."""
        return next((line for line in self._lines if hmac.compare_digest(secret_id(line), wanted)), None)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secrets) and hmac.compare_digest(b"\n".join(self._lines), b"\n".join(other._lines))

    def __hash__(self) -> int:
        return hash(self._lines)

    def __repr__(self) -> str:
        return f"<Secrets of {len(self._lines)} line(s)>"


def parse(text: str) -> Secrets:
    """The lines of a secret file; empty ones and `#` comments are skipped.

    Raises ValueError, in one line that never quotes the content, when there are none, too many, or a weak one.
    """
    lines = tuple(line.strip() for line in text.splitlines() if line.strip() and not line.strip().startswith("#"))
    for number, line in enumerate(lines, 1):
        reason = weakness(line.encode())
        if reason is not None:
            raise ValueError(f"line {number} is weak: {reason}; make one with: authagent secret add")
    return Secrets(lines)


def secret_id(line: bytes) -> bytes:
    """The 4 bytes that name a line on the wire. They tell lines apart and reveal nothing worth having."""
    return hashlib.blake2b(b"secret id", key=_key(line), digest_size=4).digest()


def digest_key(line: bytes) -> bytes:
    """The 32 bytes that key the digests of tables; use the oldest line."""
    return hashlib.blake2b(b"digest key", key=_key(line), digest_size=32).digest()


def _key(line: bytes) -> bytes:
    """A line of any length as a key of 32 bytes."""
    return hashlib.blake2b(line, digest_size=32, person=b"authagent").digest()


def weakness(line: bytes) -> str | None:
    """Why a line is too weak to be a secret, in words without its content; None when it will do."""
    try:
        text = line.decode("ascii")
    except UnicodeDecodeError:
        return "it has characters beyond ASCII, which machines may write differently"
    if not text.isprintable() or " " in text:
        return "it has blanks or control characters"
    if len(text) < LINE_CHARACTERS_MIN:
        return f"it is shorter than {LINE_CHARACTERS_MIN} characters"
    if len(text) > LINE_CHARACTERS_MAX:
        return f"it is longer than {LINE_CHARACTERS_MAX} characters"
    rest = text.lower()
    for word in _WORDS:
        rest = rest.replace(word, "")
    if len(rest) < LINE_CHARACTERS_MIN and rest != text.lower():
        return "it is made of a well-known word"
    if _entropy_bits(rest) < ENTROPY_BITS_MIN or _regular(rest):
        return "its characters repeat or follow each other"
    return None


def advice(line: bytes) -> str | None:
    """Why an accepted line should be replaced all the same; None when it is good."""
    if _entropy_bits(line.decode("ascii")) < ENTROPY_BITS_GOOD:
        return f"less than {ENTROPY_BITS_GOOD:.0f} bits by its characters; make a better one with: authagent secret add"
    return None


def _entropy_bits(text: str) -> float:
    """Length times the Shannon entropy of the text's own characters."""
    counts = Counter(text).values()
    return -sum(count * math.log2(count / len(text)) for count in counts)


def _regular(text: str) -> bool:
    """Whether the text is one piece again and again, or mostly runs such as 012345 or aaaa."""
    periodic = (text + text).find(text, 1) < len(text)
    steps = sum(abs(ord(a) - ord(b)) > 1 for a, b in pairwise(text))
    return periodic or steps < len(text) // 2
