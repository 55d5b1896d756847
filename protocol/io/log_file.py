"""The log of a whole program: a file that is reopened after rotation, or standard error.

Rules of this file:

- What is written and what never is was decided in protocol.io.log; here is only how a line reaches its file.
- Writing never raises and stops nothing: a log on a full disk loses lines, not logins. Lost lines are counted.
- Lines are written at once and in the calling thread, so that a crash loses none.
- structlog is imported when a log is opened, not before, and nothing global is configured.
"""

import json
import os
import sys
from collections.abc import Callable, Mapping
from typing import Any, TextIO

from protocol.io.log import Log, Severity, render_line

_LOG_FILE_MODE = 0o640


class ProgramLog(Log):
    """A log of a whole program, on standard error or in a file of its own.

    `level`, `path` and `form` are the [logging] settings. Raises OSError when the file cannot be opened.
    """

    def __init__(self, *, level: int, path: str, form: str, monotonic_s: Callable[[], float]) -> None:
        self._file = LogFile(path, form)
        super().__init__(self._file, level=level, monotonic_s=monotonic_s)

    @property
    def lost_lines(self) -> int:
        """Lines that could not be written."""
        return self._file.lost_lines

    def reopen(self) -> None:
        """Follow a rotation (SIGHUP). A file that cannot be opened is told in the old one, which goes on."""
        try:
            self._file.reopen()
        except OSError as error:
            self.warning("log.reopen_failed", error=error)

    def close(self) -> None:
        """Tell what was held back, and close the file."""
        self.settle()
        self._file.close()


class LogFile:
    """Where a program's lines go: a file that can be reopened after rotation, or standard error.

    `path` empty means standard error. `form` is `text` or `json`. Opening a file may raise OSError; writing never
    does.
    """

    def __init__(self, path: str = "", form: str = "text") -> None:
        assert form in ("text", "json"), f"log format {form}"
        self.lost_lines = 0
        self._path = path
        self._stream = _open_stream(path)
        self._logger = _structured_logger(self._put, form)

    def __call__(self, severity: Severity, event: str, values: Mapping[str, object]) -> None:
        self._logger.msg(event, severity=severity.value, values=values)

    def reopen(self) -> None:
        """Open the file again by its name (SIGHUP, after rotation).

        Raises OSError when that fails, and goes on with the one that is open.
        """
        if self._path:
            old, self._stream = self._stream, _open_stream(self._path)
            _close_quietly(old)

    def close(self) -> None:
        """Close the file; standard error stays open. Later lines are lost and counted."""
        if self._path:
            _close_quietly(self._stream)

    def _put(self, line: str) -> None:
        try:
            self._stream.write(line + "\n")
            self._stream.flush()
        except (OSError, ValueError):  # a full disk, a closed pipe, a closed file
            self.lost_lines += 1


def _open_stream(path: str) -> TextIO:
    if not path:
        return sys.stderr
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, _LOG_FILE_MODE)
    return os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace")


def _close_quietly(stream: TextIO) -> None:
    try:
        stream.close()
    except OSError:
        pass


class _LinePrinter:
    """What structlog calls at the end of its chain."""

    def __init__(self, put: Callable[[str], None]) -> None:
        self._put = put

    def msg(self, line: str) -> None:
        self._put(line)


def _structured_logger(put: Callable[[str], None], form: str) -> Any:
    """A structlog logger whose chain ends in `put`. Nothing global is configured."""
    import structlog

    def text(logger: object, method: str, entry: Any) -> str:
        return f"{entry['time']} {entry['severity']} {render_line(entry['event'], entry['values'])}"

    def json_line(logger: object, method: str, entry: Any) -> str:
        head = {"time": entry["time"], "severity": entry["severity"], "event": entry["event"]}
        return json.dumps({**head, **entry["values"], **head}, default=_plain_json)  # the head first, and it wins

    return structlog.wrap_logger(
        _LinePrinter(put),
        processors=[
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
            text if form == "text" else json_line,
        ],
        wrapper_class=structlog.BoundLogger,
        cache_logger_on_first_use=True,
    )


def _plain_json(value: object) -> object:
    """What stands in a JSON line for a value that JSON has no word for."""
    if isinstance(value, bytes | bytearray | memoryview):
        return f"<{len(value)} bytes>"
    return str(value)
