"""`authagent import`: turns the auth.cfg of BorderManager 3.8 into an authagent.toml, and says what it could not take.

Rules of this file:

- What is written has been read back by the parser that will read it later, as with `authagent init`.
- Nothing is overwritten. With --output a secret is made beside the file, so that `authagent check` has nothing to say.
- What could not be carried over stands in the file, where the next reader finds it, and is said at once.
"""

import os
from typing import NamedTuple

from authagent import auth_cfg, init
from protocol.mistakes import Mistake, MistakesFound


class Imported(NamedTuple):
    """The new file's text, what to tell the operator of writing it, and what could not be carried over."""

    text: str
    told: str
    remarks: tuple[str, ...]


def run(path: str, *, site: str = "", output: str = "") -> Imported:
    """Read an auth.cfg and make a configuration file of it, for one site.

    With `output`, it and a secret beside it are written. Raises MistakesFound, and has written nothing, when anything
    is wrong with the file or a file exists. Blocks on the disk.
    """
    try:
        with open(path, "rb") as file:
            content = file.read(auth_cfg.BYTES_MAX + 1)
    except OSError as error:
        raise MistakesFound(path, [Mistake("", os.strerror(error.errno) if error.errno else str(error))]) from None
    found = auth_cfg.parse(content, path)
    agents = [where for _, where in sorted(found.agents.items())]
    proxies = [(f"proxy{number}", host) for number, host in sorted(found.proxies.items())]
    head = f"Made from BorderManager's {os.path.basename(path)} by `authagent import`. What could not be carried over:"
    text = init.document(site or "lan1", agents, proxies, remarks=(head, *found.remarks), values=found.values)
    told = init.write_both(os.path.abspath(output), text) if output else ""
    return Imported(text, told, tuple(found.remarks))
