"""Mistakes and hints."""

from protocol.mistakes import Mistake, MistakesFound, nearest, quoted


def test_all_mistakes_stand_in_the_text_one_line_each() -> None:
    """str() names the file, the key and the mistake on a line of its own for each."""
    found = MistakesFound("a.toml", [Mistake("x", "first"), Mistake("", "second")])
    assert str(found).splitlines() == ["a.toml: x: first", "a.toml: second"]
    assert isinstance(found, ValueError)


def test_the_nearest_word_is_offered_or_all_of_them() -> None:
    """A near miss gets one word, a far one the list."""
    assert nearest("idle_timeot", ("idle_timeout", "port")) == "did you mean idle_timeout?"
    assert nearest("zzz", ("idle_timeout", "port")) == "known: idle_timeout, port"
    assert quoted(("a", "b")) == '"a", "b"'
