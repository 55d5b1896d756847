"""Reads what a process finds around itself, and the configuration file. Light: the control verbs use it."""

import os

from protocol import places
from protocol.mistakes import Mistake, MistakesFound
from protocol.places import Surroundings

_CONFIG_BYTES_MAX = 4 * 1024 * 1024
"""50,000 entries of ordinary size; a larger file is some other file."""


def surroundings() -> Surroundings:
    """The environment, the user and the folder of this process."""
    try:
        folder = os.getcwd()
    except OSError:  # the folder was removed under us
        folder = "/"
    home = os.environ.get("HOME") or os.path.expanduser("~")
    return Surroundings(dict(os.environ), os.geteuid() == 0, home.rstrip("/"), folder)


def find_config(flag: str | None, program: str, around: Surroundings) -> str:
    """The path of the configuration file: the one that was named, else the first usual one that exists, else nothing.

    Whether a named one exists is seen when it is read.
    """
    named = places.named_config(flag, program, around)
    return named or next((path for path in places.usual_configs(around) if os.path.exists(path)), "")


def read_config(path: str) -> str:
    """The text of the configuration file. Raises MistakesFound, one line, when it cannot be read. Blocks."""
    try:
        with open(path, "rb") as file:
            content = file.read(_CONFIG_BYTES_MAX + 1)
    except FileNotFoundError:
        raise MistakesFound(path, [Mistake("", "there is no such file; make one with: authagent init")]) from None
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise MistakesFound(path, [Mistake("", f"cannot be read: {reason}")]) from None
    if len(content) > _CONFIG_BYTES_MAX:
        raise MistakesFound(path, [Mistake("", "larger than 4 MiB: this is not a configuration file")])
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise MistakesFound(path, [Mistake("", f"not UTF-8 text at byte {error.start}")]) from None
