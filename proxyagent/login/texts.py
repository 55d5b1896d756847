"""The page's texts, by language: those that come with it, and an operator's own over them.

Rules of this file:

- English is whole; what another language leaves out is English.
- What an operator writes is checked when the page is opened: languages, names, and what stands in braces.
- A browser gets the first language that it asks for and that is there; English else.
"""

import re
import tomllib
from collections.abc import Mapping
from importlib import resources
from string import Formatter
from typing import Any

from protocol.mistakes import nearest
from proxyagent.login.identity import BackendUnusable

DEFAULT = "en"
LANGUAGES = ("en", "de")
ASKED_MAX = 16
"""Of the languages in a header, so many are looked at."""

_LANGUAGE = re.compile(r"[a-z]{2,3}(-[a-z0-9]{2,8})*")


class Texts:
    """All texts by language. Reads files."""

    def __init__(self, path: str = "") -> None:
        """`path` is the operator's own file, empty for none. Raises BackendUnusable for one that cannot be used."""
        folder = resources.files("proxyagent.login").joinpath("words")
        own: dict[str, dict[str, str]] = {}
        for language in LANGUAGES:
            own |= tomllib.loads(folder.joinpath(f"{language}.toml").read_text(encoding="utf-8"))
        english = own[DEFAULT]
        for language, table in (_read(path, english) if path else {}).items():
            own[language] = own.get(language, {}) | table
        self._by_language = {language: {**own[DEFAULT], **table} for language, table in own.items()}

    def choose(self, accept_language: str) -> tuple[str, Mapping[str, str]]:
        """The language for an Accept-Language header, and its texts."""
        for wanted in _wanted(accept_language):
            for language in (wanted, wanted.partition("-")[0]):
                if language in self._by_language:
                    return language, self._by_language[language]
        return DEFAULT, self._by_language[DEFAULT]


def _wanted(accept_language: str) -> list[str]:
    """The languages of a header in the order in which they are liked."""
    liked: list[tuple[float, str]] = []
    for item in accept_language.split(",")[:ASKED_MAX]:
        language, _, quality = item.partition(";")
        weight = re.fullmatch(r"\s*q=([01](?:\.[0-9]{0,3})?)\s*", quality)
        if not quality or weight:
            liked.append((float(weight[1]) if weight else 1.0, language.strip().lower()))
    return [language for weight, language in sorted(liked, key=lambda each: -each[0]) if weight > 0]


def _read(path: str, english: Mapping[str, str]) -> dict[str, dict[str, str]]:
    try:
        with open(path, "rb") as file:
            found = tomllib.load(file)
        for language, table in found.items():
            _check(language, table, english)
    except OSError as error:
        raise BackendUnusable(f"[login] texts {path}: {error.strerror or error}") from None
    except (ValueError, RecursionError) as error:
        raise BackendUnusable(f"[login] texts {path}: {error}") from None
    return found


def _check(language: str, table: Any, english: Mapping[str, str]) -> None:
    """Raises ValueError for what is no table of texts, or names what the page does not put in."""
    if not _LANGUAGE.fullmatch(language) or not isinstance(table, dict):
        raise ValueError(f'"{language}": write a table for each language, such as [fr] or [pt-br]')
    for name, text in table.items():
        if name not in english:
            raise ValueError(f"[{language}] {name}: unknown; {nearest(name, tuple(english))}")
        if not isinstance(text, str):
            raise ValueError(f"[{language}] {name}: a text is expected")
        known, given = _fields(english[name]), _fields(text)
        if not given <= known:
            allowed = ", ".join(f"{{{each}}}" for each in sorted(known)) or "nothing"
            raise ValueError(f"[{language}] {name}: in braces there may stand {allowed}")


def _fields(text: str) -> set[str]:
    """What stands in braces, with all that is said about its form: nothing may be, a page would break over it."""
    found = set()
    for _, field, form, conversion in Formatter().parse(text):
        if field is not None:
            found.add(field + (f"!{conversion}" if conversion else "") + (f":{form}" if form else ""))
    return found
