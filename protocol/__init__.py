"""The language that agents and proxies speak: pure, no I/O (protocol.io excepted)."""
