"""Mistakes in what an operator wrote: gathered, named by key, each with what would be right.

Rules of this file:

- Reading a file finds all its mistakes, not the first: who has to correct five lines is told of five lines.
- A mistake is one line: its key, what is wrong, what would be right. It never repeats the value of an unknown key,
  which might be a secret in the wrong place.
"""

import difflib
from collections.abc import Iterable, Sequence
from typing import NamedTuple


class Mistake(NamedTuple):
    """One thing to correct. `key` is written as in the file: `[session] idle_timeout`, `[[authagent]] 2 port`."""

    key: str
    text: str

    def __str__(self) -> str:
        return f"{self.key}: {self.text}" if self.key else self.text


class MistakesFound(ValueError):
    """What was read cannot be used. `mistakes` lists all that is wrong; str() is one line for each.

    The programs print it and end with exit code 2; the library raises its own ConfigurationError instead.
    """

    def __init__(self, path: str, mistakes: Iterable[Mistake]) -> None:
        self.path = path
        self.mistakes = tuple(mistakes)
        where = f"{path}: " if path else ""
        super().__init__("\n".join(f"{where}{mistake}" for mistake in self.mistakes))


def nearest(word: str, words: Sequence[str]) -> str:
    """A hint: the one of `words` that was probably meant, or all of them when none is near."""
    close = difflib.get_close_matches(word.lower(), words, n=1, cutoff=0.6)
    return f"did you mean {close[0]}?" if close else f"known: {', '.join(words)}"


def quoted(words: Iterable[str]) -> str:
    """The words as a TOML reader would write them, joined for a sentence."""
    return ", ".join(f'"{word}"' for word in words)
