"""Asking a control socket: one line of JSON out, one or more back.

Rules of this file:

- Only the standard library, and little of it: a verb on the command line starts in under 100 ms, most of which is the
  interpreter's. No trio, attrs, structlog or rich, here or in what this imports (tests assert it).
- The language, both ways lines of JSON in UTF-8, at most REQUEST_BYTES_MAX in a request:
      request   {"verb": "lookup", "key": "10.3.4.5"}            and "deadline_s" if the answer may take long
      answer    {"ok": true, ...}                                the last line of an answer
                {"ok": true, "more": true, ...}                  others follow
                {"ok": false, "error": "...", "code": 3}         the last line; code is the exit code
- Exit codes are those of DESIGN section 6, and every error here carries one.
- What answers may be of another version, or nobody of ours: an answer that is not understood is one line.
"""

from __future__ import annotations

import enum
import errno
import functools
import json
import os
import socket

TYPE_CHECKING = False
if TYPE_CHECKING:  # `typing` takes 3 ms to import, a third of what the rest of this file takes
    from collections.abc import Callable, Iterator
    from typing import Any, ParamSpec

    Given = ParamSpec("Given")

REQUEST_BYTES_MAX = 64 * 1024
"""One request; attributes of 4 KiB are the longest thing in it."""

ANSWER_BYTES_MAX = 16 * 1024 * 1024
"""One line of an answer; long lists come in several."""

PATH_BYTES_MAX = 107
"""What the system takes as the path of a Unix socket (sockaddr_un, less the final NUL)."""

_TEXT_LETTERS_MAX = 1_000

TIMEOUT_S = 10.0
"""For connecting and for each line of an answer, unless the caller says otherwise."""


class ExitCode(enum.IntEnum):
    """What a command ends with."""

    DONE = 0  # done, or yes
    NO = 1  # "no", and nothing else
    USAGE = 2  # usage or configuration
    UNREACHABLE = 3  # cannot reach, or not permitted
    UNFINISHED = 4  # not finished in time
    INTERNAL = 70


_CODES = [code for code in ExitCode if code]
"""Those of an error."""


class ControlError(Exception):
    """The question was not answered. The text is one line; `code` is the exit code of a command."""

    def __init__(self, text: str, code: int) -> None:
        super().__init__(text)
        self.code = code


def ask(path: str, verb: str, *, timeout_s: float = TIMEOUT_S, **arguments: object) -> dict[str, Any]:
    """The last line of the answer to one request, without `ok`. Blocks; raises ControlError."""
    last: dict[str, Any] = {}
    for answer in ask_for_many(path, verb, timeout_s=timeout_s, **arguments):
        last = answer
    return last


def ask_for_many(
    path: str, verb: str, *, timeout_s: float | None = TIMEOUT_S, **arguments: object
) -> Iterator[dict[str, Any]]:
    """Each line of the answer, as it comes, the last one included unless it says nothing but "ok".

    Blocks between lines, for `timeout_s` at most (None: for ever, for what is watched). Raises ControlError.
    """
    request = json.dumps({**arguments, "verb": verb}).encode() + b"\n"
    if len(request) > REQUEST_BYTES_MAX:
        raise ControlError(f"the request is over {REQUEST_BYTES_MAX} bytes long", ExitCode.USAGE)
    with _connect(path, timeout_s if timeout_s is not None else TIMEOUT_S) as connection:
        try:
            connection.sendall(request)
            connection.settimeout(timeout_s)
            with connection.makefile("rb") as lines:
                more = True
                while more:
                    answer = _parse(path, lines.readline(ANSWER_BYTES_MAX))
                    more = bool(answer.pop("more", False))
                    if more or answer:
                        yield answer
        except TimeoutError:
            raise ControlError(f"no answer from {path} within {timeout_s:g} s", ExitCode.UNFINISHED) from None
        except OSError as error:
            raise _unreachable(path, error) from None


def understood(verb: Callable[Given, int]) -> Callable[Given, int]:
    """A verb that asks and prints; it raises ControlError for an answer of another shape, too."""

    @functools.wraps(verb)
    def carried_out(*arguments: Given.args, **more: Given.kwargs) -> int:
        try:
            return verb(*arguments, **more)
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            from protocol.mistakes import MistakesFound  # late: it imports typing

            if isinstance(error, MistakesFound):
                raise
            text = f"the answer cannot be understood: is it of another version? {error!r}"
            raise ControlError(text[:_TEXT_LETTERS_MAX], ExitCode.INTERNAL) from error

    return carried_out


def _connect(path: str, timeout_s: float) -> socket.socket:
    if len(os.fsencode(path)) > PATH_BYTES_MAX:
        text = f"control path {path} is over {PATH_BYTES_MAX} bytes long; set a shorter [control] folder"
        raise ControlError(text, ExitCode.USAGE)
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(timeout_s)
    try:
        connection.connect(path)
    except (OSError, ValueError) as error:
        connection.close()
        raise _unreachable(path, error) from None
    return connection


def _unreachable(path: str, error: Exception) -> ControlError:
    number = getattr(error, "errno", None)
    if number == errno.ENOENT:
        text = f"nothing is running behind control socket {path}: no such file"
    elif number == errno.ECONNREFUSED:
        text = f"nothing is running behind control socket {path}: whoever made it has ended"
    elif number in (errno.EACCES, errno.EPERM):
        text = f"not permitted to use control socket {path}; become its owner, or see [control] group and mode"
    elif number in (errno.ECONNRESET, errno.EPIPE):
        text = f"control socket {path} was closed before the answer came"
    elif number == errno.EAGAIN or isinstance(error, TimeoutError):
        text = f"control socket {path} does not answer"
    else:
        text = f"control socket {path}: {getattr(error, 'strerror', None) or error}"
    return ControlError(text, ExitCode.UNREACHABLE)


def _parse(path: str, line: bytes) -> dict[str, Any]:
    if not line:
        raise ControlError(f"control socket {path} was closed before the answer came", ExitCode.UNREACHABLE)
    try:
        answer = json.loads(line)
        if not line.endswith(b"\n") or not isinstance(answer, dict):
            raise ValueError("not a whole object")
    except (ValueError, RecursionError):
        raise ControlError(f"what answers on {path} does not speak our language", ExitCode.INTERNAL) from None
    if answer.pop("ok", False) is not True:
        text, code = str(answer.get("error", "no reason given")), answer.get("code")
        raise ControlError(text[:_TEXT_LETTERS_MAX], int(code) if code in _CODES else ExitCode.INTERNAL)
    return answer
