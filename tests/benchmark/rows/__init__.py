"""One row of the table, one module; each has `measure(bench) -> list[Figure]`."""

ROWS = (
    "lookup",
    "throughput",
    "latency",
    "acknowledged",
    "failover",
    "snapshot",
    "resync",
    "memory",
    "tls",
    "followers",
)
"""In the order of DESIGN section 10."""
