"""The log of both programs: an event name and its keys, one line each.

    2026-01-31T12:00:00.000Z info session.opened user=alice site=lan1 proxy=proxy1
    2026-01-31T12:00:09.000Z alarm store.broken error="the disk is full"

Rules of this file:

- A line is an event name (`noun.past_participle`) with keys; units come last in a key (`lag_s`).
- Levels (DESIGN section 7): 0 name and start; 1 and what is exchanged, never touches; 2 and keys and digests.
  Warnings and alarms are written at every level.
- The names in DETAIL_NAMES are written at level 2 only, whatever line they stand on, so that no caller can forget.
- Bytes are never written, only how many they are: a secret that strays into a value stays out of the log.
- Nothing that a peer or a user chose can forge a line: whatever is not plain is written as a JSON string in ASCII.
- A program's lines go to a file of its own (log_file.py). The library part of proxyagent hands its lines to the
  standard `logging` (StandardLogging) and configures nothing.

The clock is an argument, as everywhere but in the one file of a program that reads it.
"""

import enum
import json
import logging
from collections.abc import Callable, Mapping
from typing import TypeAlias

from protocol.io.log_limit import LineLimit

DETAIL_NAMES = frozenset({"key", "keys", "digest", "root"})
"""Names whose values are written at level 2 only: who is where is nobody's business in an ordinary log."""

_VALUE_CHARACTERS_MAX = 1_000  # a value that a peer chose cannot make a line longer than a terminal's scrollback


class Severity(enum.Enum):
    """How much a line should worry its reader."""

    DETAIL = "detail"
    INFO = "info"
    WARNING = "warning"
    ALARM = "alarm"


Write: TypeAlias = Callable[[Severity, str, Mapping[str, object]], None]
"""Writes one line, or loses it; never raises."""


class Log:
    """Decides which lines are written; `write` writes them and must not raise."""

    def __init__(self, write: Write, *, level: int, monotonic_s: Callable[[], float]) -> None:
        assert level in (0, 1, 2), f"log level {level}"
        self.level = level
        self._write = write
        self._monotonic_s = monotonic_s
        self._limit = LineLimit()

    def started(self, event: str, /, **values: object) -> None:
        """A line that every level shows: the program's name, its start and its end."""
        self._emit(Severity.INFO, event, values)

    def note(self, event: str, /, **values: object) -> None:
        """A line of level 1 that comes now and then: a link, a role, a comparison."""
        if self.level >= 1:
            self._emit(Severity.INFO, event, values)

    def session(self, event: str, /, **values: object) -> bool:
        """A line of level 1 that comes once a login, logout or timeout: at most 200 a second, then a count.

        False when it was held back; who has more of the same then spares making them (`hold_back`).
        """
        if self.level < 1:
            return False
        self.settle()
        if not self._limit.admit(self._monotonic_s()):
            return False
        self._emit(Severity.INFO, event, values)
        return True

    def hold_back(self, count: int) -> None:
        """Count session lines that were not made because one before them was held back."""
        if self.level >= 1:
            self._limit.hold_back(count)

    def detail(self, event: str, /, **values: object) -> None:
        """A line of level 2."""
        if self.level >= 2:
            self._emit(Severity.DETAIL, event, values)

    def warning(self, event: str, /, **values: object) -> None:
        """Something an operator should look at some day."""
        self._emit(Severity.WARNING, event, values)

    def alarm(self, event: str, /, **values: object) -> None:
        """Something an operator should look at now."""
        self._emit(Severity.ALARM, event, values)

    def settle(self) -> None:
        """Tell how many session lines were held back, if any. Call it now and then, once a second at most."""
        count = self._limit.settle(self._monotonic_s())
        if count:
            self._emit(Severity.INFO, "log.suppressed", {"count": count})

    def _emit(self, severity: Severity, event: str, values: Mapping[str, object]) -> None:
        if self.level < 2:
            values = {name: value for name, value in values.items() if name not in DETAIL_NAMES}
        self._write(severity, event, values)


def quiet_log() -> Log:
    """A log that writes nothing, for tests and for those who were given none."""
    return Log(lambda severity, event, values: None, level=0, monotonic_s=lambda: 0.0)


# -- how a line looks ---------------------------------------------------------------------------------------------


def render_value(value: object) -> str:
    """One value as it stands behind its `=`."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.3f}".rstrip("0").rstrip(".")
    if isinstance(value, bytes | bytearray | memoryview):
        return f"<{len(value)}_bytes>"
    text = str(value)
    if len(text) > _VALUE_CHARACTERS_MAX:
        text = text[:_VALUE_CHARACTERS_MAX] + "..."
    plain = text and text.isascii() and text.isprintable() and not any(character in text for character in ' "=\\')
    return text if plain else json.dumps(text)


def render_line(event: str, values: Mapping[str, object]) -> str:
    """`event key=value ...`, without time and severity."""
    return " ".join([event, *(f"{name}={render_value(value)}" for name, value in values.items())])


class StandardLogging:
    """Hands lines to a logger of the standard `logging`; for the library, inside a program that is not ours."""

    _LEVELS: Mapping[Severity, int] = {
        Severity.DETAIL: logging.DEBUG,
        Severity.INFO: logging.INFO,
        Severity.WARNING: logging.WARNING,
        Severity.ALARM: logging.ERROR,
    }

    def __init__(self, name: str) -> None:
        self._logger = logging.getLogger(name)

    def __call__(self, severity: Severity, event: str, values: Mapping[str, object]) -> None:
        level = self._LEVELS[severity]
        if self._logger.isEnabledFor(level):
            self._logger.log(level, "%s", render_line(event, values), extra={"event": event})
