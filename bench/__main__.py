"""`python -m bench`: measure, print the tables, and write the result (JSON, Markdown, SVG) to bench/results/."""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from bench import contestants, plot, report, runner
from bench.runner import Plan
from bench.targets import TargetName
from bench.workload import Workload

_HERE = Path(__file__).resolve().parent
_RESULTS = _HERE / "results"
_PLOT = "figures.svg"

SYNC = [Workload("sync", workers) for workers in (1, 2, 4, 8, 16)]
ASYNC = [Workload("async", workers) for workers in (1, 4)]
QUICK = [Workload("sync", 1), Workload("sync", 16), Workload("async", 1)]
SMOKE = [Workload("sync", 2), Workload("async", 1)]


def main(arguments: Sequence[str] | None = None) -> None:
    # So that a terminated run takes its cluster and its contestant down, as one that is interrupted does.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))
    asked = _parse(arguments)
    if asked.results:
        result = json.loads(asked.results.read_text())
        path = asked.results
    else:
        result = runner.run(_plan(asked), lambda line: print(line, flush=True))
        asked.out.mkdir(parents=True, exist_ok=True)
        path = asked.out / f"{time.strftime('%Y%m%d-%H%M%S')}.json"
        path.write_text(json.dumps(result, indent=1))
    text = report.markdown(result)
    path.with_suffix(".md").write_text(text)
    plot.write_svg(result, path.with_suffix(".svg"))
    print(f"\n{text}\nWritten to {path} (.md, .svg)")
    if asked.write_readme:
        shutil.copyfile(path.with_suffix(".svg"), _HERE / _PLOT)
        report.write_readme(result, _HERE / "README.md", _PLOT)
    if result["failures"]:
        sys.exit(f"{len(result['failures'])} measurements failed: see above")


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--target", choices=["mock", "cluster", "both"], default="both")
    parser.add_argument("--scenario", choices=["sync", "async", "both"], default="both")
    parser.add_argument("--contestants", nargs="+", choices=contestants.NAMES, default=list(contestants.NAMES), metavar="NAME")
    parser.add_argument("--rounds", type=int, help="5; quick 2")
    parser.add_argument("--seconds", type=float, help="length of one measurement: 4; quick 2")
    parser.add_argument("--quick", action="store_true", help="sync N=1 and 16 and async N=1 only, in two short rounds: a first look")
    parser.add_argument("--smoke", action="store_true", help="does it still run? The mock only, 20 s in all; the figures mean nothing")
    parser.add_argument("--out", type=Path, default=_RESULTS, metavar="FOLDER", help="where results are written")
    parser.add_argument("--results", type=Path, metavar="JSON", help="report on an earlier result instead of measuring")
    parser.add_argument("--write-readme", action="store_true", help="put the tables and the plot into bench/README.md")
    return parser.parse_args(arguments)


def _plan(asked: argparse.Namespace) -> Plan:
    if asked.smoke:
        return Plan(asked.contestants, ["mock"], SMOKE, rounds=1, seconds=0.8, warmup_s=0.2, broker_warmup_s=0)
    workloads = [workload for workload in (QUICK if asked.quick else SYNC + ASYNC) if asked.scenario in ("both", workload.mode)]
    return Plan(
        asked.contestants,
        get_args(TargetName) if asked.target == "both" else [asked.target],
        workloads,
        rounds=asked.rounds or (2 if asked.quick else 5),
        seconds=asked.seconds or (2 if asked.quick else 4),
        warmup_s=1 if asked.quick else 2,
        broker_warmup_s=15,
    )


if __name__ == "__main__":
    main()
