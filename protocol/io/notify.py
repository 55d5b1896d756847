"""Telling the service manager how this process is: what sd_notify(3) does, one datagram at a time.

Rules of this file:

- Where no manager asked for it ($NOTIFY_SOCKET is not set), nothing happens; nor when the manager is gone.
- Nothing here blocks. What could not be sent because its queue was full goes with the next word.
- The watchdog is fed from the loop itself: a loop that stands still is one that a manager must end.

Source: sd_notify(3), systemd.service(5) on Type=notify and WatchdogSec.
"""

import os
import socket
from collections.abc import Mapping

import trio

WATCHDOG_SHARE = 3
"""The watchdog is fed so many times in the time after which it would bite."""


class ServiceManager:
    """Whoever started this process and wants to know when it is ready.

    `address` is the path of a datagram socket, with `@` in front for an abstract one; empty for nobody.
    `watchdog_s` is how long it bears silence, or None.
    """

    def __init__(self, address: str = "", watchdog_s: float | None = None) -> None:
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        self._watchdog_s = watchdog_s if address else None
        self._unsent: dict[str, str] = {}
        self._status = ""

    def ready(self, status: str) -> None:
        """The process does what it is for; harmless when repeated. `status` is one line for people."""
        self._status = status
        self._tell(READY="1", STATUS=_line(status))

    def status(self, text: str) -> None:
        """How it goes, in one line; told when it is another one than before."""
        if text != self._status:
            self._status = text
            self._tell(STATUS=_line(text))

    def stopping(self) -> None:
        """The process is on its way out."""
        self._tell(STOPPING="1", STATUS="stopping")

    async def keep_fed(self) -> None:
        """Feed the watchdog until cancelled; returns at once where there is none."""
        while self._watchdog_s is not None:
            self._tell(WATCHDOG="1")
            await trio.sleep(self._watchdog_s / WATCHDOG_SHARE)

    def _tell(self, **assignments: str) -> None:
        if not self._address:
            return
        self._unsent |= assignments
        lines = "\n".join(f"{name}={value}" for name, value in self._unsent.items())
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC) as to:
                to.sendto(lines.encode(), self._address)
        except BlockingIOError:
            return
        except OSError:
            pass  # the manager has gone, and nobody else wants to know
        self._unsent.clear()


def service_manager(environment: Mapping[str, str], process_id: int) -> ServiceManager:
    """The manager that the environment of this process names."""
    address = environment.get("NOTIFY_SOCKET", "")
    if address[:1] not in ("/", "@"):
        return ServiceManager()
    fed_by = environment.get("WATCHDOG_PID", "")
    interval_us = environment.get("WATCHDOG_USEC", "")
    fed = interval_us.isdigit() and int(interval_us) > 0 and fed_by in ("", str(process_id))
    return ServiceManager(address, int(interval_us) / 1_000_000 if fed else None)


def from_environment() -> ServiceManager:
    """The manager of this process."""
    return service_manager(os.environ, os.getpid())


def _line(text: str) -> str:
    """One printable line, of a length that any manager takes."""
    return "".join(each if each.isprintable() else " " for each in text)[:400]
