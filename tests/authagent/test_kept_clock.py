"""The site's time on disk: read again in the same run of the machine, and in no other."""

import pytest

from authagent import kept_clock
from protocol import limits

BOOT = "6f1c0f5e-8f0e-4f6e-9a55-0f6c1b8d2a11"


@pytest.mark.parametrize("offset_ms", [0, 1_790_000_000_000, -5_000, limits.TIME_MS_MAX])
def test_what_is_written_is_read(offset_ms: int) -> None:
    """In the same run of the machine."""
    assert kept_clock.read(kept_clock.write(offset_ms, BOOT), BOOT) == offset_ms


def test_another_run_of_the_machine_knows_nothing() -> None:
    """Its boot clock began anew; one without a name may be another, too."""
    text = kept_clock.write(5_000, BOOT)
    assert kept_clock.read(text, "another") is None
    assert kept_clock.read(text, "") is None
    assert kept_clock.write(5_000, "") == ""


def test_what_is_forgotten_is_nothing() -> None:
    """An agent that was stopped leaves no time behind."""
    assert kept_clock.write(None, BOOT) == "" and kept_clock.read("", BOOT) is None


@pytest.mark.parametrize("said", ["", " ", "x", "--5", "- 5", "1.5", "9" * 16, "5 5"])
def test_what_makes_no_sense_is_nothing(said: str) -> None:
    """A file that somebody has edited, or that a later version has written."""
    assert kept_clock.read(f"{BOOT} {said}", BOOT) is None
    assert kept_clock.read(said, BOOT) is None
