"""What the audience of the demo is shown."""

import io

import pytest

from authagent.demo.narrate import Narrator, Seen, StepFailed


class Terminal(io.StringIO):
    """An output that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_a_step_is_one_line_with_what_was_done_seen_and_measured() -> None:
    """Steps are numbered from 1 and hold all three parts on one line, without colours in a pipe."""
    out = io.StringIO()
    narrator = Narrator(out)
    narrator.step("log in", Seen("alice gets the page", "12 ms"))
    narrator.step("log out", Seen("alice is asked", "3 ms"))
    first, second = out.getvalue().splitlines()
    assert first.split()[0] == "1"
    assert second.split()[0] == "2"
    for part in ("log in", "alice gets the page", "12 ms"):
        assert part in first
    assert "\x1b" not in out.getvalue()


def test_a_failed_step_tells_expected_seen_and_where_the_logs_are() -> None:
    """All that is needed to look further stands in the output."""
    out = io.StringIO()
    Narrator(out).failed("heal", StepFailed("one master", "two"), "/tmp/folder")
    assert "one master" in out.getvalue()
    assert "two" in out.getvalue()
    assert "/tmp/folder" in out.getvalue()


def test_the_last_line_is_the_sum() -> None:
    """The counts come last, in the words that the documentation promises."""
    out = io.StringIO()
    Narrator(out).last(0, 2, 10.0)
    assert out.getvalue().splitlines()[-1] == "logins lost 0, logged-out users back 2"


def test_colours_only_on_a_terminal_that_wants_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal gets colours, unless NO_COLOR is set."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    coloured, plain = Terminal(), Terminal()
    Narrator(coloured).title("x")
    monkeypatch.setenv("NO_COLOR", "1")
    Narrator(plain).title("x")
    assert "\x1b" in coloured.getvalue()
    assert "\x1b" not in plain.getvalue()
