"""The page's texts: every language is whole, an operator's own count, and what they got wrong is said at start."""

from importlib import resources
from pathlib import Path
from string import Formatter

import pytest

from proxyagent.login.identity import BackendUnusable
from proxyagent.login.texts import LANGUAGES, Texts


def test_every_language_is_whole_and_puts_in_the_same() -> None:
    """German has every text of the English, with the same names in braces; no file is left out."""
    texts = Texts()
    _, english = texts.choose("en")
    for language in LANGUAGES:
        chosen, words = texts.choose(language)
        assert chosen == language and words.keys() == english.keys()
        for name, text in words.items():
            fields = [{field for _, field, _, _ in Formatter().parse(each)} for each in (text, english[name])]
            assert fields[0] == fields[1], (language, name)
    german = texts.choose("de")[1]
    assert [name for name in english if german[name] == english[name]] == ["in_browser"]
    folder = resources.files("proxyagent.login").joinpath("words")
    assert sorted(each.name for each in folder.iterdir()) == sorted(f"{each}.toml" for each in LANGUAGES)


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("", "en"), ("de", "de"), ("de-AT,en;q=0.5", "de"), ("fr, de;q=0.3, en;q=0.7", "en"),
        ("en;q=0, de;q=0.1", "de"), ("*", "en"), ("DE-ch", "de"), ("de;q=high, en", "en"),
        (", ;q=1,,," * 1000 + "de", "en"),
    ],
)  # fmt: skip
def test_a_browser_gets_the_language_it_likes_best(header: str, language: str) -> None:
    """Of those that are there; English else, and nothing costs more than a few looks."""
    assert Texts().choose(header)[0] == language


def test_an_operators_own_words_count(tmp_path: Path) -> None:
    """Some of another language, the rest English; some of ours, the rest as it was."""
    path = tmp_path / "texts.toml"
    path.write_text('[fr]\ntitle = "Connexion"\n[en]\ntitle = "Guests of Example Inc."\nsigned_in = "Hello {user}"\n')
    texts = Texts(str(path))
    language, french = texts.choose("fr-CA")
    assert (language, french["title"], french["user"]) == ("fr", "Connexion", "User name")
    assert texts.choose("en")[1]["signed_in"] == "Hello {user}"
    assert texts.choose("de")[1]["title"] == "Anmelden"


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ('[en]\ntitel = "x"\n', r"\[en\] titel: unknown;"),
        ('[en]\nsigned_in = "{password}"\n', r"in braces there may stand \{user\}"),
        ('[en]\nsigned_in = "{user.__class__}"\n', "in braces there may stand"),
        ('[en]\nsigned_in = "{user:d}"\n', r"in braces there may stand \{user\}"),
        ('[en]\nsigned_in = "{user:{page}}"\n', r"in braces there may stand \{user\}"),
        ('[en]\nsigned_in = "{user!x}"\n', r"in braces there may stand \{user\}"),
        ("x = " + "[" * 5_000, "recursion"),
        ('[en]\ntitle = "{"\n', "Single '{' encountered"),
        ("[en]\ntitle = 1\n", "a text is expected"),
        ('title = "x"\n', "a table for each language"),
        ('[English]\ntitle = "x"\n', "a table for each language"),
        ("[en\n", "Expected"),
    ],
)
def test_what_cannot_be_used_is_said(tmp_path: Path, content: str, told: str) -> None:
    """One line, that names file, language and text."""
    path = tmp_path / "texts.toml"
    path.write_text(content)
    with pytest.raises(BackendUnusable, match=told):
        Texts(str(path))
    with pytest.raises(BackendUnusable, match="No such file"):
        Texts(str(tmp_path / "missing"))
