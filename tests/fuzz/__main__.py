"""Hostile input: `python -m tests.fuzz --inputs N --seed S`; `make fuzz` takes a million.

Files are made in memory where there is such a place: their content is what is tried, and a disk is waited for long.
"""

import argparse
import os
import sys
import tempfile

from tests.fuzz import campaign

MEMORY = "/dev/shm"


def main() -> int:
    """The command; the exit code is 1 when something broke over an input."""
    if os.access(MEMORY, os.W_OK):
        tempfile.tempdir = MEMORY
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__.partition("\n")[0])
    parser.add_argument("--inputs", type=int, default=1_000_000, metavar="N", help="how many (1000000)")
    parser.add_argument("--first", type=int, default=0, metavar="NUMBER", help="go on from this one (0)")
    parser.add_argument("--seed", type=int, default=1, metavar="S", help="which ones (1)")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, metavar="W", help="processes")
    parser.add_argument("--only", type=int, metavar="NUMBER", help="take the one input of this number")
    options = parser.parse_args()
    if options.only is not None:
        result = campaign.run(options.seed, options.only, options.only + 1)
    else:
        result = campaign.run_all(options.seed, options.inputs, options.workers, options.first)
    for name, count in sorted(result.taken.items()):
        print(f"  {name:14} {count:>12,}")
    print(
        f"{result.taken.total():,} inputs of seed {options.seed} in {result.seconds:.0f} s, memory grew by "
        f"{result.grown_bytes / (1 << 20):.1f} MiB, {len(result.findings)} findings"
    )
    for finding in result.findings:
        print(finding)
    return 1 if result.findings else 0


if __name__ == "__main__":
    sys.exit(main())
