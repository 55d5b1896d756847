"""Logins and logouts for clients that block: handed to threads, taken in batches, acknowledged or given up in time.

Rules of this file:

- One thread is one connection. It takes what waits, up to BATCH together, and tries until the product says that it is
  safe or the time of a job is over; so a failover costs a client nothing but time.
- Of the product it knows one function, `do(jobs)`, which returns those that are safe now and raises OSError when the
  connection has to be made anew.
"""

import queue
import struct
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Protocol

import attrs
import trio

ACKNOWLEDGED_WITHIN_S = 8.0
BATCH = 200
PAUSE_S = 0.02
"""Before a job is tried again."""

FORGET_UNSENT = struct.pack("ii", 1, 0)
"""SO_LINGER for connections: what was not sent when a connection is given up must not arrive after its next attempt."""


@attrs.define(eq=False)
class Job:
    """One login (or, without a login id, one logout) under a key."""

    key: str
    login_id: str | None
    deadline_s: float
    finished: Callable[[bool], None]


class Worker(Protocol):
    """One connection to the product, used by one thread."""

    def do(self, jobs: list[Job]) -> list[Job]:
        """Try all of these; returns those that are safe. Raises OSError."""


class Jobs:
    """The threads of one client; made in trio's thread."""

    def __init__(self, workers: list[Worker]) -> None:
        self._token = trio.lowlevel.current_trio_token()
        self._waiting: queue.SimpleQueue[Job] = queue.SimpleQueue()
        for worker in workers:
            threading.Thread(target=self._run, args=(worker,), daemon=True).start()

    def put(self, key: str, login_id: str | None) -> Callable[[], Awaitable[bool]]:
        """Begin; returns what waits for the end and tells whether it is safe."""
        ended, results = trio.Event(), list[bool]()

        def finished(safe: bool) -> None:
            results.append(safe)
            self._token.run_sync_soon(ended.set)

        async def wait() -> bool:
            await ended.wait()
            return results[0]

        self._waiting.put(Job(key, login_id, time.monotonic() + ACKNOWLEDGED_WITHIN_S, finished))
        return wait

    def _run(self, worker: Worker) -> None:
        while True:
            jobs = [self._waiting.get()]
            while jobs:
                while len(jobs) < BATCH and not self._waiting.empty():
                    try:
                        jobs.append(self._waiting.get_nowait())
                    except queue.Empty:
                        break  # another thread was quicker
                jobs = self._try(worker, jobs)

    def _try(self, worker: Worker, jobs: list[Job]) -> list[Job]:
        """One attempt; returns what must be tried again."""
        try:
            safe = set(worker.do(jobs))
        except OSError:
            safe = set()
        now_s, rest = time.monotonic(), list[Job]()
        for job in jobs:
            if job in safe or now_s > job.deadline_s:
                job.finished(job in safe)
            else:
                rest.append(job)
        if rest:
            time.sleep(PAUSE_S)
        return rest
