"""The file of a Unix socket that a program listens at: whose it is, who may open it, and who it was that came.

Rules of this file:

- A lock file beside the socket says whether its maker lives; a socket whose maker is gone is removed, any other file
  is not. (Asking by connecting alone would let two processes that start together remove each other's socket.)
- Owner, group and mode are set before anybody can connect.
- Who came is what the kernel says (SO_PEERCRED), never what they say.
"""

import errno
import fcntl
import grp
import os
import socket
import stat
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from protocol.io.control_client import PATH_BYTES_MAX

_BACKLOG = 64


class ControlPathError(Exception):
    """The socket cannot be made here: exit code 2 for a control socket. The text is one line and says what to do."""


class _HasOptions(Protocol):
    def getsockopt(self, level: int, optname: int, buflen: int, /) -> bytes: ...


def peer_uid(connection: _HasOptions) -> int:
    """The user of the process at the other end."""
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return int(struct.unpack("3i", credentials)[1])


@contextmanager
def listening(path: str, *, mode: int, group: str) -> Iterator[socket.socket]:
    """A listening, nonblocking Unix socket at `path`, removed at the end. Raises ControlPathError.

    `mode` holds permission bits; `group` is the name of a group, empty for the process's own.
    """
    if len(os.fsencode(path)) > PATH_BYTES_MAX:
        raise ControlPathError(
            f"path {path} is {len(os.fsencode(path))} bytes long, the system takes {PATH_BYTES_MAX}; set a shorter one"
        )
    folder = os.path.dirname(path) or "."
    try:
        os.makedirs(folder, mode=0o755, exist_ok=True)
        lock = _lock(path)
    except FileExistsError:
        raise ControlPathError(f"socket {path} cannot be made: {folder} is no folder") from None
    except OSError as error:
        raise ControlPathError(f"socket {path} cannot be made: {error.strerror}") from None
    try:
        listener = _listen(path, mode, group)
        try:
            made = os.stat(path).st_ino
            yield listener
        finally:
            listener.close()
            _remove(path, made)
    finally:
        os.close(lock)


def _lock(path: str) -> int:
    descriptor = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise _in_use(path) from None
    return descriptor


def _in_use(path: str) -> ControlPathError:
    return ControlPathError(f"socket {path} is in use by a running process; stop it, or choose another path")


def _listen(path: str, mode: int, group: str) -> socket.socket:
    group_id = _group_id(group)
    _clear_stale(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        os.fchmod(listener.fileno(), 0o600)  # Linux gives the file of a socket the mode its descriptor had
        listener.bind(path)
        if group_id >= 0:
            os.chown(path, -1, group_id)
        os.chmod(path, mode)
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise ControlPathError(f"socket {path} cannot be made: {error.strerror}") from None
    return listener


def _group_id(group: str) -> int:
    if not group:
        return -1
    try:
        return grp.getgrnam(group).gr_gid
    except KeyError:
        raise ControlPathError(f"group {group}: there is no such group on this machine") from None


def _clear_stale(path: str) -> None:
    """Remove the socket of a process that is gone."""
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(status.st_mode):
        raise ControlPathError(f"{path} exists and is no socket; move it away, or choose another path")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as probe:
        if probe.connect_ex(path) not in (errno.ECONNREFUSED, errno.ENOENT):
            raise _in_use(path)  # by a program that keeps no lock, or may not be asked
    try:
        os.unlink(path)
    except OSError as error:
        raise ControlPathError(f"stale socket {path} cannot be removed: {error.strerror}") from None


def _remove(path: str, made: int) -> None:
    """Remove the socket if it is still the one that was made."""
    try:
        if os.stat(path).st_ino == made:
            os.unlink(path)
    except OSError:
        pass
