"""Free TCP ports for tests that start programs which must be told where to listen.

Rules of this file:

- Each worker of pytest has ports of its own, so that two never choose the same one.
- They lie below those from which the system takes the near ends of connections: a port that is free stays free.
"""

import itertools
import os
import socket

FIRST = 10_000
EACH_WORKER = 1_000
WORKERS = 20

_number = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % WORKERS
_own = itertools.cycle(range(FIRST + _number * EACH_WORKER, FIRST + (_number + 1) * EACH_WORKER))


def free_port(host: str = "127.0.0.1") -> int:
    """A port of `host` that nobody listens on, and that is not given out again for long."""
    for port in itertools.islice(_own, EACH_WORKER):
        try:
            with socket.create_server((host, port), reuse_port=False):
                return port
        except OSError:
            continue
    raise AssertionError(f"no port is free on {host}")


def free_ports(count: int) -> list[int]:
    """So many different ones, on 127.0.0.1."""
    return [free_port() for _ in range(count)]
