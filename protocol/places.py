"""Which files and folders are used: the file, the state, the control sockets. Pure, and light on purpose.

Rules of this file:

- A flag counts before the environment, the environment before the file, the file before the default; an empty value
  is as good as none.
- The verbs that only ask a control socket start in under 100 ms: so nothing heavier than `collections` is imported
  here. What the environment holds and who runs us is handed in (protocol.io.surroundings).
- A relative path inside the configuration file is relative to that file.
"""

from collections.abc import Mapping
from typing import NamedTuple

CONFIG_NAME = "authagent.toml"

SYSTEM_CONFIG = "/etc/authagent/authagent.toml"

SOCKET_PATH_BYTES_MAX = 107
"""sun_path of unix(7) is 108 bytes with its closing NUL."""


class Surroundings(NamedTuple):
    """What a process finds around itself."""

    environment: Mapping[str, str]
    root: bool
    home: str
    folder: str
    """The current working folder, absolute."""


class PathTooLong(ValueError):
    """A control socket would have a path that the system cannot bind."""


def given(flag: str | None, names: tuple[str, ...], surroundings: Surroundings) -> str:
    """The flag, else the first of these environment variables that is set, else nothing."""
    return flag or next((value for name in names if (value := surroundings.environment.get(name, ""))), "")


def beside(path: str, name: str) -> str:
    """The file `name` as meant by a file at `path`: absolute, or in the same folder."""
    return name if name.startswith("/") or not path else f"{path.rpartition('/')[0]}/{name}"


def absolute(path: str, surroundings: Surroundings) -> str:
    """`path` as meant by a person in the current folder."""
    if path.startswith("~/"):
        return f"{surroundings.home}/{path[2:]}"
    return path if path.startswith("/") else f"{surroundings.folder.rstrip('/')}/{path.removeprefix('./')}"


def named_config(flag: str | None, program: str, surroundings: Surroundings) -> str:
    """The configuration file that was named by a flag or the environment, which must exist; else nothing."""
    path = given(flag, (f"{program.upper()}_CONFIG", "AUTHAGENT_CONFIG"), surroundings)
    return absolute(path, surroundings) if path else ""


def usual_configs(surroundings: Surroundings) -> tuple[str, ...]:
    """Where the configuration file is looked for when none was named; the first that exists counts."""
    return absolute(CONFIG_NAME, surroundings), SYSTEM_CONFIG


def state_folder(flag: str | None, configured: str, config_path: str, surroundings: Surroundings) -> str:
    """The folder under which each agent has its own, and where a secret made at first start is kept."""
    named = given(flag, ("AUTHAGENT_STATE_DIR",), surroundings)
    if named:
        return absolute(named, surroundings)
    if configured:
        return beside(config_path, configured)
    service = surroundings.environment.get("STATE_DIRECTORY", "").partition(":")[0]
    if service:
        return service
    return "/var/lib/authagent" if surroundings.root else f"{surroundings.home}/.local/state/authagent"


def agent_folder(state: str, site: str, agent_id: int) -> str:
    """The folder of one agent's store inside the state folder."""
    return f"{state}/{site}-agent-{agent_id}"


def control_folder(configured: str, config_path: str, state: str, surroundings: Surroundings) -> str:
    """The folder of the control sockets."""
    if configured:
        return beside(config_path, configured)
    service = surroundings.environment.get("RUNTIME_DIRECTORY", "").partition(":")[0]
    if service:
        return service
    return "/run/authagent" if surroundings.root else state


def agent_socket(folder: str, site: str, agent_id: int) -> str:
    """The control socket of an AuthAgent. Raises PathTooLong."""
    return checked_socket(f"{folder}/{site}-agent-{agent_id}.sock")


def proxy_socket(folder: str, site: str, proxy_id: str) -> str:
    """The control socket of a ProxyAgent. Raises PathTooLong."""
    return checked_socket(f"{folder}/{site}-proxyagent-{proxy_id}.sock")


def squid_socket(control: str) -> str:
    """Where a ProxyAgent answers squid's helpers: beside its control socket. Raises PathTooLong."""
    return checked_socket(f"{control.removesuffix('.sock')}.squid")


def checked_socket(path: str) -> str:
    """`path`, when a Unix socket can have it. Raises PathTooLong, in one line that says what to do."""
    size = len(path.encode(errors="surrogateescape"))  # as the system has it, be it text or not
    if size > SOCKET_PATH_BYTES_MAX:
        raise PathTooLong(
            f"control socket {path}: the path has {size} bytes, the system allows {SOCKET_PATH_BYTES_MAX}; "
            "set a shorter folder under [control], or RUNTIME_DIRECTORY"
        )
    return path
