"""The exhaustive search of a small scope: `python -m tests.smallscope --depth D`."""

import argparse
import sys
import time

from tests.smallscope import search


def main() -> int:
    """The command; the exit code is 1 when a promise is broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.smallscope", description=__doc__)
    parser.add_argument("--depth", type=int, default=6, metavar="D", help="how many moves far, from each beginning")
    parser.add_argument("--judged-of", type=int, default=1, metavar="N", help="judge one of N states (1)")
    options = parser.parse_args()
    for name, beginning in search.beginnings():
        began_s = time.monotonic()
        try:
            found = search.search(name, beginning, options.depth, options.judged_of)
        except search.Counterexample as error:
            print(error)
            return 1
        took_s = time.monotonic() - began_s
        print(
            f"{name}: {found.states} states, {found.moves} moves, {found.judged} judged, {found.depth} moves far, "
            f"{took_s:.0f} s",
            flush=True,
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
