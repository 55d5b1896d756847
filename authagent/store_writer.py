"""The one thread that writes the store.

Rules of this file:

- One thread owns the file. When little happens, a payload is written at once and what gathers meanwhile is the next
  group commit. After a large group the thread lets the next one gather for 4 ms: then the events of 5 ms share one
  sync and one piece of news, which halves the cost at full load and delays nobody at other times.
- Payloads and calls are done in the order in which they were given.
- After a failure everything is dropped until a call mends the file: the table in memory holds the same facts, so a
  snapshot repairs what was dropped, and nothing dropped is ever reported as stored.
- Only `tell` crosses back to the owner's thread. Nothing here knows trio.
"""

import queue
import threading
from collections.abc import Callable
from typing import Any, TypeAlias

import attrs

from authagent.store_errors import StoreUnusable
from authagent.store_file import StoreFile

GROUP_BYTES_MAX = 1024 * 1024
"""What one group commit holds at most: some 10 ms of disk, so that a call behind it does not wait long."""

LARGE_GROUP_BYTES = 16 * 1024
"""From here on a group is a sign of load: 400 logins within one sync."""

GATHER_S = 0.004
"""How long the next group gathers after a large one; with the sync itself a group commit stays within 5 ms."""


@attrs.frozen
class Payload:
    """Bytes to be stored, and how the owner knows them again."""

    position: int
    data: bytes


@attrs.frozen
class Call:
    """Something else to be done with the file, between two groups.

    `function` gets the writer; it may replace the file. `done` gets its answer, or the exception it raised.
    """

    function: Callable[["Writer"], Any]
    done: Callable[[Any], None]
    needs_file: bool


@attrs.frozen
class Written:
    """A group was handled: stored, or dropped because the store is broken."""

    position: int
    payloads: int
    payload_bytes: int
    row_bytes: int
    stored: bool


@attrs.frozen
class Failed:
    """The file failed; everything is dropped until it is mended."""

    error: Exception


@attrs.frozen
class Answered:
    """A call was done."""

    call: Call
    answer: Any


class _Stop:
    """The last command."""


_STOP = _Stop()

Command: TypeAlias = Payload | Call | _Stop
News: TypeAlias = Written | Failed | Answered


class NoFile(Exception):
    """The store is broken; what was asked cannot be done now."""


class Writer:
    """The thread. `file` is None while the store is broken."""

    def __init__(self, tell: Callable[[News], None]) -> None:
        self.file: StoreFile | None = None
        self._tell = tell
        self._commands: queue.SimpleQueue[Command] = queue.SimpleQueue()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="authagent-store", daemon=True)

    def start(self) -> None:
        """Start the thread. It is a daemon: a disk that never answers must not keep the process from ending."""
        self._thread.start()

    def put(self, command: Payload | Call) -> None:
        """Hand over a command; never blocks. The bound on what waits is the caller's."""
        self._commands.put(command)

    def stop(self) -> None:
        """End the thread once everything before has been handled, and close the file. Never blocks."""
        self._commands.put(_STOP)
        self._stopping.set()

    def join(self, timeout_s: float) -> bool:
        """Wait for the end; False when the disk did not answer in time. Blocks."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        waiting: Command | None = None
        while True:
            command, waiting = waiting or self._commands.get(), None
            if isinstance(command, Payload):
                group, waiting = self._gather(command)
                self._commit(group)
            elif isinstance(command, Call):
                self._answer(command)
            else:
                break
        if self.file is not None:
            self.file.close()

    def _gather(self, first: Payload) -> tuple[list[Payload], Command | None]:
        """What waits behind `first`, and the command that ended the group, if one did."""
        group = [first]
        size = len(first.data)
        while size < GROUP_BYTES_MAX:
            try:
                command = self._commands.get_nowait()
            except queue.Empty:
                return group, None
            if not isinstance(command, Payload):
                return group, command
            group.append(command)
            size += len(command.data)
        return group, None

    def _commit(self, group: list[Payload]) -> None:
        row_bytes = 0
        if self.file is not None:
            try:
                row_bytes = self.file.append([payload.data for payload in group])
            except Exception as error:  # noqa: BLE001 - whatever it is, nothing counts as stored after it
                self._fail(error)
        size = sum(len(payload.data) for payload in group)
        self._tell(Written(group[-1].position, len(group), size, row_bytes, self.file is not None))
        if row_bytes >= LARGE_GROUP_BYTES:
            self._stopping.wait(GATHER_S)

    def _answer(self, call: Call) -> None:
        try:
            if call.needs_file and self.file is None:
                raise NoFile("the store is broken")
            answer = call.function(self)
        except (NoFile, StoreUnusable) as error:
            answer = error
        except Exception as error:  # noqa: BLE001 - it is raised again where the call was made
            self._fail(error)
            answer = error
        self._tell(Answered(call, answer))

    def _fail(self, error: Exception) -> None:
        file, self.file = self.file, None
        if file is not None:
            file.close()
        self._tell(Failed(error))
