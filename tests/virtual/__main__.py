"""`python -m tests.virtual SEED [LAST]`: play one history step by step, or many; see tests/virtual/__init__.py."""

import os
import sys

from tests.virtual.run import play


def main() -> int:
    """0 when no promise was broken."""
    if os.environ.get("PYTHONHASHSEED") != "0":
        sys.stderr.write("set PYTHONHASHSEED=0: the order of sets of words is part of a history\n")
        return 2
    seeds = [int(word) for word in sys.argv[1:3]]
    for seed in range(seeds[0], seeds[-1] + 1):
        try:
            outcome, trace = play(seed, print if len(seeds) == 1 else lambda line: None)
        except Exception as error:  # whatever it is, it is a finding
            print(f"seed {seed}: {type(error).__name__}: {error}", flush=True)
            if not isinstance(error, AssertionError):
                raise
            return 1
        told = f"{outcome.faults} faults, {outcome.logins} logins, {outcome.logouts} logouts, {outcome.seconds:.0f} s"
        print(f"seed {seed}: {told}, trace {trace}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
