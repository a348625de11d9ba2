"""`python -m bench`: measure, print the report, and write the result (JSON, Markdown, SVG) to bench/results/."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from bench import against, contestants, goals, plot, report, results, runner, scenarios
from bench.builds import BuildFailed
from bench.publish import publish
from bench.runner import Plan

_HERE = Path(__file__).resolve().parent
_DOCS = _HERE.parent / "docs"
_ROUNDS, _SECONDS = 3, 2.0


def main(arguments: Sequence[str] | None = None) -> None:
    # So that a terminated run takes its cluster and its contestant down, as one that is interrupted does.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))
    asked = _parse(arguments)
    asked.out.mkdir(parents=True, exist_ok=True)
    path = asked.out / f"{time.strftime('%Y%m%d-%H%M%S')}.json"
    if asked.results:
        result = results.combined([json.loads(each.read_text()) for each in asked.results])
        results.write(result, path)
    else:
        try:
            plan = _plan(asked)
        except BuildFailed as error:
            sys.exit(str(error))
        result = runner.run(plan, _say, lambda so_far: results.write(so_far, path))
    text = against.markdown(result) if asked.against else report.markdown(result, goals.bars_of(asked.bars or ()))
    path.with_suffix(".md").write_text(text + "\n")
    if not asked.against:
        plot.write_svgs(result, path.with_suffix(""))
    print(f"\n{text}\n\nWritten to {path}, and beside it")
    if asked.publish:
        publish(result, _DOCS)
    if result["failures"]:
        sys.exit(f"{len(result['failures'])} measurements failed: see above")


def _say(line: str) -> None:
    print(line, flush=True)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    minutes = scenarios.minutes(scenarios.cases(list(scenarios.SCENARIOS), scenarios.TARGETS), _ROUNDS, _SECONDS)
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=f"What --bars takes by group, in {_ROUNDS} rounds of {_SECONDS:g} s on a quiet machine:\n"
        f"{goals.estimates(_ROUNDS, _SECONDS)}\n\nEverything takes about {minutes:.0f} minutes.",
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--scenario", nargs="+", choices=list(scenarios.SCENARIOS), default=list(scenarios.SCENARIOS), metavar="NAME")
    what.add_argument(
        "--bars",
        nargs="*",
        choices=list(goals.GROUPS),
        metavar="GROUP",
        help="only what it takes to judge these bars, or all: see below",
    )
    what.add_argument("--smoke", action="store_true", help="does it still run? The mock only, 20 s in all; the figures mean nothing")
    what.add_argument("--results", nargs="+", type=Path, metavar="JSON", help="report on earlier results, put together")
    parser.add_argument("--against", metavar="REV", help="only klife, of this tree and of that commit, in turn, with ratios")
    parser.add_argument("--case", nargs="+", metavar="CASE", help="of the scenarios only these cases, such as N=16 or 'no key'")
    parser.add_argument("--target", nargs="+", choices=scenarios.TARGETS, default=list(scenarios.TARGETS))
    parser.add_argument("--contestants", nargs="+", choices=contestants.NAMES, default=list(contestants.NAMES), metavar="NAME")
    parser.add_argument("--rounds", type=int, default=_ROUNDS, help="of everything; latency is measured twice in each")
    parser.add_argument("--minutes", type=float, help="as many rounds, up to --rounds, as this is enough for; and it ends then")
    parser.add_argument("--seconds", type=float, default=_SECONDS, help="length of one measurement")
    parser.add_argument("--out", type=Path, default=_HERE / "results", metavar="FOLDER", help="where results are written")
    parser.add_argument("--publish", action="store_true", help="put the result into docs/benchmarks.md and what belongs to it")
    asked = parser.parse_args(arguments)
    if asked.against and (asked.smoke or asked.results or asked.publish):
        parser.error("--against measures klife only, and reports at once: it goes with neither --smoke, --results nor --publish")
    return asked


def _plan(asked: argparse.Namespace) -> Plan:
    if asked.smoke:
        return Plan(scenarios.SMOKE, rounds=1, seconds=0.2, warmup_s=0.1, broker_warmup_s=0)
    wanted = scenarios.cases(asked.scenario, asked.target) if asked.bars is None else list(goals.cases(asked.bars))
    chosen = scenarios.restricted(wanted, asked.contestants, asked.target, asked.case)
    if not chosen:
        sys.exit("nothing is left to measure: no scenario has such cases with such contestants on such a target")
    if asked.against:
        return against.plan(asked.against, chosen, asked.rounds, asked.seconds, _say)
    rounds, most_s = asked.rounds, None
    if asked.minutes is not None:
        most_s = asked.minutes * 60
        rounds = max(
            each for each in range(1, rounds + 1) if each == 1 or scenarios.minutes(chosen, each, asked.seconds) <= asked.minutes
        )
    _say(f"{rounds} rounds, about {scenarios.minutes(chosen, rounds, asked.seconds):.0f} minutes where nothing else runs")
    return Plan(chosen, rounds, asked.seconds, scenarios.WARMUP_S, scenarios.BROKER_WARMUP_S, most_s=most_s)


if __name__ == "__main__":
    main()
