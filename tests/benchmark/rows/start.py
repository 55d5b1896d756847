"""How long a verb takes that only asks a control socket, beside redis-cli: from the shell's point of view.

And how long one of squid's helpers takes: squid starts them anew whenever it is reconfigured, and requests wait.
"""

import subprocess
import sys
import time

from tests.benchmark.figures import Figure
from tests.benchmark.job import Bench
from tests.benchmark.peer import open_redis

START_MS_MAX = 100.0
HELPER_START_MS_MAX = 150.0
STARTS = 15


def measure(bench: Bench) -> list[Figure]:
    """Nothing runs behind our socket: finding that out is all the work, as it is with PING."""
    folder = bench.place("start")
    with open_redis(bench.place("start-redis"), replica=False) as redis:
        peer_ms = _best_ms(["redis-cli", "-p", str(redis.ports[0]), "PING"], {})
    figures = []
    verbs = {
        "authagent status": START_MS_MAX, "proxyagent status": START_MS_MAX,
        "proxyagent squid-session": HELPER_START_MS_MAX,
    }  # fmt: skip
    for verb, most_ms in verbs.items():
        environment = {"HOME": str(folder), "PROXYAGENT_CONTROL": str(folder / "none.sock")}
        ours_ms = _best_ms([sys.executable, "-m", *verb.split()], environment)
        budget = f"<= {most_ms:.0f} ms"
        what = f"start of `{verb}`"
        figures.append(Figure(what, "ms", ours_ms, budget, ours_ms <= most_ms, peer_ms, "redis-cli PING"))
    return figures


def _best_ms(command: list[str], environment: dict[str, str]) -> float:
    """The best of some starts: others share the machine."""
    took_ms = []
    for _ in range(STARTS):
        began = time.monotonic()
        surroundings = {"PATH": "/usr/bin:/bin", **environment}
        subprocess.run(command, env=surroundings, stdin=subprocess.DEVNULL, capture_output=True, check=False)
        took_ms.append((time.monotonic() - began) * 1000)
    return min(took_ms)
