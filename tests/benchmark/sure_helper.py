"""A helper for Squid that asks nobody: it says OK to every question at once. The least that a helper can cost.

Run by itself, with no site: the standard library and nothing more.
"""

import os


def main() -> None:
    """Until squid closes our input."""
    rest = b""
    while data := os.read(0, 64 * 1024):
        *lines, rest = (rest + data).split(b"\n")
        os.write(1, b"".join([line.partition(b" ")[0] + b" OK user=anybody\n" for line in lines]))


if __name__ == "__main__":
    main()
