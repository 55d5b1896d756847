"""`python -m tests.simulation`: run, replay, bugs, traces, ledger."""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.simulation import bugs, campaign, ledger
from tests.simulation.campaign import DURATION_S, FIRST_WORDS
from tests.simulation.options import draw
from tests.simulation.run import play, schedule
from tests.simulation.shrink import Shrinker, read, spelled


def main() -> int:
    """Exit code 0 when no promise was broken, 1 when one was."""
    arguments = _parser().parse_args()
    return int(arguments.act(arguments))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=FIRST_WORDS, description=__doc__)
    verbs = parser.add_subparsers(required=True)

    run = verbs.add_parser("run", help="many runs, each from its seed")
    run.set_defaults(act=_run)
    run.add_argument("--runs", type=int, default=100)
    run.add_argument("--minutes", type=float, help="as many runs as fit, instead of --runs")
    run.add_argument("--seconds", type=float, default=DURATION_S, help="simulated seconds of each run")
    run.add_argument("--first-seed", type=int, default=0)
    run.add_argument("--processes", type=int, default=len(os.sched_getaffinity(0)), help="default: all cores")
    run.add_argument("--json", action="store_true", help="print the summary as JSON")
    run.add_argument("--summary", type=Path, help="write the summary there, for `ledger`")

    replay = verbs.add_parser("replay", help="one run again, or what is left of it")
    replay.set_defaults(act=_replay)
    replay.add_argument("seed", type=int)
    replay.add_argument("--seconds", type=float, default=DURATION_S)
    replay.add_argument("--steps", type=read, help="only the steps at these places, as 3-7,12")
    replay.add_argument("--shrink", action="store_true", help="look for the smallest history that breaks the same")
    replay.add_argument("--quiet", action="store_true", help="do not list the steps")

    seeded = verbs.add_parser("bugs", help="seed each known bug, and see that a run finds it")
    seeded.set_defaults(act=_bugs)
    seeded.add_argument("--only", help="one bug, by its name")
    seeded.add_argument("--remember", action="store_true", help="write the seeds that found them into catches.txt")
    seeded.add_argument("--processes", type=int, default=len(os.sched_getaffinity(0)), help="default: all cores")

    traces = verbs.add_parser("traces", help="the trace hash of each seed; equal in every process")
    traces.set_defaults(act=_traces)
    traces.add_argument("seeds", type=read)
    traces.add_argument("--seconds", type=float, default=DURATION_S)

    add_up = verbs.add_parser("ledger", help="add summaries to the table of docs/reliability.md")
    add_up.set_defaults(act=_ledger)
    add_up.add_argument("summaries", type=Path, nargs="+")
    add_up.add_argument("--page", type=Path, default=ledger.PAGE)
    return parser


def _run(arguments: argparse.Namespace) -> int:
    runs = arguments.runs if arguments.minutes is None else 100_000_000
    seeds = range(arguments.first_seed, arguments.first_seed + runs)
    summary = campaign.run(
        seeds, arguments.seconds, arguments.processes, arguments.minutes, _complain, name="simulation"
    )
    told = summary.as_json()
    if arguments.summary is not None:
        arguments.summary.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    if arguments.json:
        print(json.dumps(told))
    else:
        print(
            f"{summary.runs} runs, {told['simulated_days']} simulated days in {summary.wall_s:.0f} s, "
            f"{told['faults_total']:,} faults, {told['acts_total']:,} acts, {told['checks_total']:,} checks: "
            f"{len(summary.broken)} broken"
        )
    return 1 if summary.broken else 0


def _complain(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _replay(arguments: argparse.Namespace) -> int:
    options = draw(arguments.seed, arguments.seconds)
    steps = schedule(options)
    kept = list(range(len(steps))) if arguments.steps is None else arguments.steps
    outcome = play(arguments.seed, arguments.seconds, kept)
    if arguments.shrink and outcome.broken:

        def breaks(places: Sequence[int]) -> bool:
            return play(arguments.seed, arguments.seconds, places).broken == outcome.broken

        kept = Shrinker(breaks).smallest(kept)
        outcome = play(arguments.seed, arguments.seconds, kept)
    if not arguments.quiet:
        print(options)
        for place in kept:
            print(f"{place:5}  {steps[place]}")
    print(f"trace {outcome.trace:016x}, {outcome.simulated_s:.1f} s simulated: {outcome.text or 'nothing broke'}")
    if outcome.broken:
        seconds = "" if arguments.seconds == DURATION_S else f" --seconds {arguments.seconds:g}"
        print(f"replay it: {FIRST_WORDS} replay {arguments.seed}{seconds} --steps {spelled(kept)}")
    return 1 if outcome.broken else 0


def _traces(arguments: argparse.Namespace) -> int:
    for seed in arguments.seeds:
        print(f"{seed} {play(seed, arguments.seconds).trace:016x}")
    return 0


def _bugs(arguments: argparse.Namespace) -> int:
    return bugs.report(arguments.only, arguments.processes, remember=arguments.remember)


def _ledger(arguments: argparse.Namespace) -> int:
    ledger.update(arguments.page, arguments.summaries)
    return 0


if __name__ == "__main__":
    sys.exit(main())
