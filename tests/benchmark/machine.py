"""Names the machine on which the figures were taken: without it they mean nothing."""

import importlib.metadata
import os
import platform
import subprocess
import tempfile
import time
from pathlib import Path


def describe() -> dict[str, str]:
    """Processor, cores, memory, kernel, Python and the versions that matter."""
    libraries = ("trio", "msgpack", "redis", "hiredis")
    return {
        "processor": f"{_processor()}, {len(os.sched_getaffinity(0))} cores",
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB",
        "system": f"{platform.system()} {platform.release()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "libraries": ", ".join(f"{name} {importlib.metadata.version(name)}" for name in libraries),
        "redis": _redis(),
    }


def fdatasync_ms(folder: str | None = None, rounds: int = 200) -> float:
    """The median time of one small write and fdatasync where temporary files live, in milliseconds."""
    with tempfile.TemporaryFile(dir=folder) as file:
        times = []
        for _ in range(rounds):
            began = time.perf_counter()
            os.write(file.fileno(), b"x" * 4096)
            os.fdatasync(file.fileno())
            times.append(time.perf_counter() - began)
    return sorted(times)[rounds // 2] * 1000


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def _redis() -> str:
    try:
        done = subprocess.run(["redis-server", "--version"], capture_output=True, text=True, check=True)
    except OSError:
        return "not installed"
    return " ".join(done.stdout.split()[:3])
