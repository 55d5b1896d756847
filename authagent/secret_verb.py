"""`authagent secret add` and `secret drop`: change the shared secret without a break.

Rules of this file:

- The order is add, copy, reload everywhere, drop, copy, reload everywhere: at every moment each two machines have a
  line in common (DESIGN section 5). Each verb says what comes next.
- The content is neither asked for nor shown.
"""

from authagent import config
from authagent.config import Flags
from protocol import places
from protocol.configuration import Configuration
from protocol.io import secret_file
from protocol.io.surroundings import surroundings
from protocol.places import Surroundings

_NEXT = {
    "add": "then run there: authagent reload, or proxyagent reload; when all have it: authagent secret drop",
    "drop": "then run there: authagent reload, or proxyagent reload; the old secret is of no use from then on",
}


def add(flags: Flags, around: Surroundings | None = None) -> str:
    """Put a fresh line before the one in use; returns what to tell the operator.

    Raises MistakesFound, nothing changed, when there are two already or the file cannot be used. Blocks on the disk.
    """
    found, path = _file(flags, around)
    secret_file.add(path)
    return f"{path}: a new first line was added; the old one still counts\n{_copy(found, path)}\n{_NEXT['add']}"


def drop(flags: Flags, around: Surroundings | None = None) -> str:
    """Remove the older line; returns what to tell the operator.

    Raises MistakesFound, nothing changed, when there is only one line or the file cannot be used. Blocks on the disk.
    """
    found, path = _file(flags, around)
    secret_file.drop(path)
    return f"{path}: the older line was removed\n{_copy(found, path)}\n{_NEXT['drop']}"


def _file(flags: Flags, around: Surroundings | None) -> tuple[Configuration, str]:
    around = surroundings() if around is None else around
    found = config.read(flags, around)
    state = places.state_folder(flags.state_dir, found.state_dir, found.path, around)
    return found, config.secret_path(found, state)


def _copy(found: Configuration, path: str) -> str:
    hosts = dict.fromkeys([agent.host for agent in found.authagents])
    proxies = dict.fromkeys([f"proxy {proxy.id}" for proxy in found.proxyagents])
    return f"copy it, mode kept (scp -p {path} ...), to: {', '.join([*hosts, *proxies])}"
