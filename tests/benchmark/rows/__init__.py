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
    "wan",
    "followers",
    "start",
    "cookie",
    "squid",
    "nginx",
    "haproxy",
)
"""In the order of DESIGN section 10; then what section 6 asks of the command line."""
