"""How both programs end: what is said, and the exit code (DESIGN section 6).

Rules of this file:

- A user's mistake is one line for each thing that is wrong; no letter in it can steer a terminal.
- Exit code 1 means "no" and nothing else, so whatever nobody foresaw must not end in it: that is shown whole, and 70.
- Nothing heavy is imported before it is needed: verbs that only ask a control socket start in under 100 ms.
"""

import os
import sys
from typing import Any, NoReturn

import click


def end(name: str, cli: click.Command) -> NoReturn:
    """Carry out the command line of the program `name`, and end the process with the exit code that is due."""
    try:
        code = cli(prog_name=name, standalone_mode=False)
        sys.stdout.flush()
    except (click.Abort, KeyboardInterrupt):
        code = 130
    except BrokenPipeError:  # `authagent sessions | head`: who reads has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    except click.ClickException as error:
        code = say(name, _usage(name, error), error.exit_code)
    except Exception as error:  # noqa: BLE001 - told apart in _mistake
        code = _mistake(name, error)
    sys.exit(code or 0)


def say(name: str, text: str, code: int) -> int:
    """Write the lines of a text to standard error, each with the name of the program; returns the code."""
    for line in text.splitlines():
        sys.stderr.write(f"{name}: {plain(line)}\n")
    return int(code)


def plain(line: str) -> str:
    """The line without letters that steer a terminal: users and peers choose what stands in it."""
    return "".join(each if each.isprintable() else "?" for each in line)


def _usage(name: str, error: click.ClickException) -> str:
    """One line, with where to read more: the command that was called, or the one above it when that is hidden."""
    ctx = error.ctx if isinstance(error, click.UsageError) else None
    if ctx is not None and ctx.command.hidden and ctx.parent is not None:
        ctx = ctx.parent
    where = name if ctx is None else ctx.command_path
    return f"{' '.join(error.format_message().split()).rstrip('.')}; see: {where} --help"


def _mistake(name: str, error: Exception) -> int:
    """One line for a user's mistake, and its exit code; a mistake of ours is shown whole."""
    from protocol.io.control_client import ControlError, ExitCode
    from protocol.io.sockets import NobodyThere
    from protocol.mistakes import MistakesFound

    match error:
        case MistakesFound():
            return say(name, str(error), ExitCode.USAGE)
        case NobodyThere():
            return say(name, str(error), ExitCode.UNREACHABLE)
        case ControlError():
            return say(name, str(error), error.code)
    import traceback

    traceback.print_exception(error)
    return say(name, f"internal error, please report it with the lines above: {error!r}", ExitCode.INTERNAL)


class Seconds(click.FloatRange):
    """A number of seconds within bounds; to click "nan" is within all of them."""

    name = "seconds"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        seconds: float = super().convert(value, param, ctx)
        if seconds != seconds:
            self.fail(f"{value!r} is not a number", param, ctx)
        return seconds
