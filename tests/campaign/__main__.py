"""`python -m tests.campaign --minutes M [--against NAME]... [--json FILE]`: break things, tell what was lost."""

import argparse
import json
import secrets
import shutil
import sys
from pathlib import Path

import trio

from tests.campaign import report
from tests.campaign.contenders import CONTENDERS, PAIR
from tests.campaign.run import Contender, missing, play


def main() -> int:
    """0 when nothing of the pair was lost, nobody came back and all was mended; 1 otherwise. Peers decide nothing."""
    parser = argparse.ArgumentParser(prog="python -m tests.campaign", description=__doc__)
    parser.add_argument("--minutes", type=float, default=15.0, help="for each contender")
    parser.add_argument("--seed", type=int, default=None, help="of the order of faults; drawn and told when absent")
    parser.add_argument("--rate", type=float, default=2_000.0, help="logins a second over all proxies")
    parser.add_argument("--against", choices=(*CONTENDERS, "all"), default=PAIR.name)
    parser.add_argument("--json", type=Path, help="keep the figures in this file and write docs/reliability.md anew")
    options = parser.parse_args()
    seed = secrets.randbelow(10**6) if options.seed is None else options.seed
    print(f"seed {seed}", flush=True)
    limits = trio.run(missing)
    for limit in limits:
        print(f"left out on this machine: {limit}", flush=True)
    names = list(CONTENDERS) if options.against == "all" else [options.against]
    return max(_campaign(CONTENDERS[name], seed, options, limits) for name in names)


def _campaign(contender: Contender, seed: int, options: argparse.Namespace, limits: list[str]) -> int:
    """One contender: play, print, keep. The exit code."""
    impossible = contender is not PAIR and any("namespaces" in limit for limit in limits)
    if impossible or any(shutil.which(program) is None for program in contender.programs):
        needs = ", ".join(contender.programs) or "root"
        print(f"{contender.name}: left out; it needs network namespaces (root, nft) and {needs}", file=sys.stderr)
        return 0
    found, rounds = trio.run(play, contender, seed, options.rate, options.minutes, _say)
    result = report.result(contender, found, rounds, options.rate, seed, limits)
    print(json.dumps(result, indent=2))
    if options.json is not None:
        report.keep(options.json, result)
        report.write_page(options.json)
    return 1 if contender is PAIR and found.broken else 0


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
