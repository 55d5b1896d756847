"""`authagent passwd`: sets the password of the status page.

Rules of this file:

- The password is typed twice, or comes as one line of standard input; never as an argument, which others can read.
- Where root sets it, the file belongs to the user whose agent runs here: the owner of the state folder.
- A running agent takes the new one at the next sign-in; whoever was signed in with the old one is out.
"""

import getpass
import os
import sys

from authagent import admin_password, config
from authagent.config import Flags
from protocol import places
from protocol.io.surroundings import surroundings
from protocol.mistakes import Mistake, MistakesFound
from protocol.places import Surroundings


def run(flags: Flags, around: Surroundings | None = None) -> str:
    """Ask for the password and write its hash; returns what to tell the operator.

    Raises MistakesFound, nothing changed, for a password that will not do and a file that cannot be written. Blocks.
    """
    around = surroundings() if around is None else around
    found = config.read(flags, around)
    state = places.state_folder(flags.state_dir, found.state_dir, found.path, around)
    path = config.admin_path(found, state)
    password = _typed() if sys.stdin.isatty() else _piped()
    try:
        admin_password.check(password)
    except ValueError as error:
        raise _mistake(str(error)) from None
    admin_password.write(path, password, _owner(state))
    where = found.http.listen or '[http] listen, for example "127.0.0.1:9080"'
    hosts = ", ".join(dict.fromkeys(agent.host for agent in found.authagents))
    return (
        f"wrote {path} (mode 0600): the status page asks for this password from now on, at {where}\n"
        f"for one password at every agent copy it, mode kept (scp -p {path} ...), to: {hosts}"
    )


def _owner(state: str) -> tuple[int, int] | None:
    """User and group of the agent on this machine, where it is for root to ask and it has run before."""
    if os.geteuid() != 0 or not os.path.isdir(state):
        return None
    status = os.stat(state)
    return status.st_uid, status.st_gid


def _typed() -> str:
    password = getpass.getpass("Password for the status page: ")
    if getpass.getpass("Again: ") != password:
        raise _mistake("the two are not the same; nothing was changed")
    return password


def _piped() -> str:
    return sys.stdin.readline(admin_password.LETTERS_MAX + 2).rstrip("\n")


def _mistake(text: str) -> MistakesFound:
    return MistakesFound("", [Mistake("passwd", text)])
