"""Finds the control socket that a command-line verb means. Light: no trio, attrs, cattrs, structlog or rich.

Rules of this file:

- A verb finds its program even if the file has mistakes elsewhere: only `state_dir` and `[control] folder` are read.
- A socket file alone proves nothing (its owner may have been killed): among several, only those that answer count.
"""

import os
import socket
import tomllib
from collections.abc import Mapping
from typing import Any, NamedTuple

from protocol import places
from protocol.io.surroundings import find_config, read_config
from protocol.mistakes import Mistake, MistakesFound
from protocol.places import Surroundings


class NobodyThere(Exception):
    """No such program runs on this machine: exit code 3, one line."""


class Found(NamedTuple):
    """One control socket in the folder."""

    path: str
    site: str
    id: str

    def __str__(self) -> str:
        return f"{self.id} of site {self.site}"


def find_agents(
    around: Surroundings,
    *,
    config: str | None = None,
    state_dir: str | None = None,
    site: str | None = None,
    agent_id: str | None = None,
    control: str | None = None,
) -> tuple[str, ...]:
    """The control sockets of the AuthAgent that is meant, best first: ask the first one that answers.

    There are two when both agents of one site run on this machine and no number was given: admin verbs work at either.
    Raises MistakesFound (exit code 2) when agents of several sites run here, NobodyThere (3) when none does.
    """
    named = places.given(control, ("AUTHAGENT_CONTROL",), around)
    if named:
        return (_checked(places.absolute(named, around)),)
    folder = _folder("authagent", around, config, state_dir)
    wanted_id = places.given(agent_id, ("AUTHAGENT_ID",), around)
    wanted_site = places.given(site, ("AUTHAGENT_SITE",), around)
    found = _running(folder, "agent", wanted_site, wanted_id)
    if not found:
        who = " ".join(filter(None, ("AuthAgent", wanted_id, wanted_site and f"of site {wanted_site}")))
        raise NobodyThere(f"no {who} runs here: no control socket in {folder}; start it with: authagent")
    if len({each.site for each in found}) > 1:
        raise _several("AuthAgents", found, "--site NAME")
    return tuple(each.path for each in found)


def find_proxy(
    around: Surroundings,
    *,
    config: str | None = None,
    site: str | None = None,
    proxy_id: str | None = None,
    control: str | None = None,
) -> str:
    """The control socket of the ProxyAgent that is meant, or of the single one running.

    Raises MistakesFound (exit code 2) when several run here, NobodyThere (3) when none does.
    """
    named = places.given(control, ("PROXYAGENT_CONTROL",), around)
    if named:
        return _checked(places.absolute(named, around))
    folder = _folder("proxyagent", around, config, None)
    wanted_id = places.given(proxy_id, ("PROXYAGENT_ID",), around)
    wanted_site = places.given(site, ("PROXYAGENT_SITE",), around)
    found = _running(folder, "proxyagent", wanted_site, wanted_id)
    if not found:
        who = f"ProxyAgent {wanted_id}" if wanted_id else "ProxyAgent"
        raise NobodyThere(f"no {who} runs here: no control socket in {folder}; name it with --control PATH")
    if len(found) > 1:
        raise _several("ProxyAgents", found, "--id ID")
    return found[0].path


def _several(what: str, found: tuple[Found, ...], flag: str) -> MistakesFound:
    candidates = ", ".join(map(str, found))
    return MistakesFound("", [Mistake("", f"several {what} run here ({candidates}); say which with {flag}")])


def _checked(path: str) -> str:
    try:
        return places.checked_socket(path)
    except places.PathTooLong as error:
        raise MistakesFound("", [Mistake("", str(error))]) from None


def _folder(program: str, around: Surroundings, config: str | None, state_dir: str | None) -> str:
    path = find_config(config, program, around)
    content = _content(path) if path else {}
    state = places.state_folder(state_dir, _text(content, "state_dir"), path, around)
    control = content.get("control")
    return places.control_folder(_text(control if isinstance(control, dict) else {}, "folder"), path, state, around)


def _content(path: str) -> Mapping[str, Any]:
    try:
        return tomllib.loads(read_config(path))
    except (ValueError, RecursionError) as error:  # as in protocol.configuration
        raise MistakesFound(path, [Mistake("", f"this is not TOML: {error}")]) from None


def _text(table: Mapping[str, Any], key: str) -> str:
    value = table.get(key, "")
    return value if isinstance(value, str) else ""


def _running(folder: str, kind: str, site: str, wanted_id: str) -> tuple[Found, ...]:
    found = [each for each in _sockets(folder, kind) if site in ("", each.site) and wanted_id in ("", each.id)]
    if len(found) > 1:
        found = [each for each in found if _answers(each.path)] or found[:1]
    return tuple(found)


def _sockets(folder: str, kind: str) -> list[Found]:
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        return []
    found = []
    for name in names:
        site, middle, rest = name.partition(f"-{kind}-")
        if site and middle and rest.endswith(".sock"):
            found.append(Found(f"{folder}/{name}", site, rest.removesuffix(".sock")))
    return found


def _answers(path: str) -> bool:
    """Whether somebody listens there. One who does not let us in is there all the same."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(path)
        except (PermissionError, BlockingIOError):
            return True
        except OSError:
            return False
    return True
