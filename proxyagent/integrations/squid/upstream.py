"""A helper's connection to `proxyagent run`: made when it is needed, made anew when it breaks, never waited for.

Rules of this file:

- The standard library alone, and little of it.
- Nothing here blocks and nothing raises: whoever cannot be reached is `gone_since_s`, and why is told once, on standard
  error.
- A connection on which nothing came for as long as a question may take is given up: its daemon stands still, and what
  lies in its queue would only be stale.
"""

import os
import socket
import sys
from collections.abc import Callable

from proxyagent.integrations.squid.questions import DEADLINE_S

READ_BYTES = 64 * 1024
RETRY_S = 0.05
"""Between two tries, while questions wait."""

Find = Callable[[], str]
"""Where the daemon listens. Raises an exception whose text says why that cannot be told."""


class Upstream:
    """The one connection of one helper; `now_s` is any clock that only goes forward."""

    def __init__(self, find: Find, now_s: float) -> None:
        self.gone_since_s = now_s
        """Since when there is no connection; of no meaning while there is one."""
        self._find = find
        self._connection: socket.socket | None = None
        self._unsent = b""
        self._heard_s = now_s
        self._tried_s = float("-inf")
        self._complaint = ""

    def fileno(self) -> int:
        """The descriptor of the connection; -1 without one."""
        return -1 if self._connection is None else self._connection.fileno()

    @property
    def connected(self) -> bool:
        return self._connection is not None

    @property
    def has_unsent(self) -> bool:
        return bool(self._unsent)

    def reach(self, now_s: float) -> bool:
        """Try to connect unless that was tried just now; True when a new connection is there."""
        if self._connection is not None or now_s < self._tried_s + RETRY_S:
            return False
        self._tried_s = now_s
        path = ""
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            path = self._find()
            connection.connect(path)
        except Exception as error:  # noqa: BLE001 - whatever it is, squid must not lose its helper
            connection.close()
            self._complain(_told(path, error))
            return False
        self._complaint, self._connection, self._heard_s = "", connection, now_s
        return True

    def send(self, data: bytes, now_s: float) -> None:
        """Send what can be sent; the rest waits for `flush`. Without a connection it is dropped."""
        if self._connection is not None and data:
            self._unsent += data
            self.flush(now_s)

    def flush(self, now_s: float) -> None:
        """Send more of what waits."""
        if self._connection is None:
            return
        try:
            self._unsent = self._unsent[self._connection.send(self._unsent) :]
        except BlockingIOError:
            pass
        except OSError:
            self.drop(now_s)

    def receive(self, now_s: float) -> bytes:
        """What has come; nothing where nothing has, or the connection is at its end."""
        if self._connection is None:
            return b""
        try:
            data = self._connection.recv(READ_BYTES)
        except BlockingIOError:
            return b""
        except OSError:
            data = b""
        if data:
            self._heard_s = now_s
        else:
            self.drop(now_s)
        return data

    def drop_if_silent(self, now_s: float) -> None:
        """Give it up when nothing has come for as long as a question may take. To be called when one was late."""
        if self._connection is not None and now_s >= self._heard_s + DEADLINE_S:
            self._complain("proxyagent does not answer; it stands still, or has too much to do")
            self.drop(now_s)

    def drop(self, now_s: float) -> None:
        """Give the connection up."""
        if self._connection is not None:
            self._connection.close()
            self._connection, self._unsent, self.gone_since_s = None, b"", now_s

    def _complain(self, text: str) -> None:
        if text != self._complaint:
            self._complaint = text
            say(text)


def _told(path: str, error: Exception) -> str:
    """Why nobody answers at `path`, and what to do about it."""
    match error:
        case FileNotFoundError() | ConnectionRefusedError() if path:
            return f"{path}: {error.strerror}; start proxyagent run, with helpers = true under [squid]"
        case PermissionError() if path:
            return f"{path}: {error.strerror}; see [control] group and mode"
        case OSError() if path:
            return f"{path}: {error.strerror}"
        case _:
            return str(error)


def say(text: str) -> None:
    """Lines for squid's cache.log. Raises nothing."""
    try:
        for line in text.splitlines():
            os.write(sys.__stderr__.fileno() if sys.__stderr__ else 2, f"proxyagent: {line}\n".encode())
    except (OSError, ValueError):
        pass  # nobody reads it
